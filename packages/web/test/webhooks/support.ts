import { verifyWebhook, type WebhookEvent } from '@troupe/web'

export const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`

/** One that was received, and verified. */
export interface Received {
  readonly id: string
  readonly headers: Headers
  readonly event: WebhookEvent
}

/** What a receiver answers; one that throws can't be reached, and undefined is 204. */
type Answer = (received: Received, count: number) => Response | Promise<Response> | undefined

/** A receiver in place of the network: verifies what it gets, and keeps it. */
export function receiver(answer: Answer = () => undefined): {
  received: Received[]
  /** What was answered with 2xx, in the order in which it came: runs and states. */
  taken: string[]
  fetch: typeof fetch
} {
  const received: Received[] = []
  const taken: string[] = []
  return {
    received,
    taken,
    async fetch(address, init) {
      const request = new Request(address, init)
      const body = await request.text()
      const { headers } = request
      const now = Number(headers.get('webhook-timestamp')) * 1000
      const event = verifyWebhook({ headers, body }, secret, { now })
      const one = { id: headers.get('webhook-id') ?? '', headers, event }
      received.push(one)
      const response = (await answer(one, received.length)) ?? new Response(null, { status: 204 })
      if (response.ok) taken.push(named(one))
      return response
    },
  }
}

export const named = ({ event: { data } }: Received): string => `${data.runName} ${data.to.name}`
