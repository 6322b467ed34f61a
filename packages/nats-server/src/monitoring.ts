import { setTimeout as delay } from 'node:timers/promises'
import { NatsServerError } from './errors.ts'

/** Asks a server's monitoring, and gives undefined where it doesn't answer, or with no 200. */
export async function ask(monitorUrl: string, path: string): Promise<unknown> {
  try {
    const answer = await fetch(`${monitorUrl}${path}`, { signal: AbortSignal.timeout(5_000) })
    return answer.ok ? await answer.json() : undefined
  } catch {
    // Down, stopped or just starting: all the same to those who ask.
    return undefined
  }
}

/** Asks again and again, until there is an answer. */
export async function until<T>(what: string, ask: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + 30_000
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    if (performance.now() > deadline) throw new NatsServerError(`Waited 30 s in vain: ${what}.`)
    await delay(25)
  }
}

/** A part of what `/jsz?streams=true&consumers=true` tells. */
export interface JetStreamState {
  readonly meta_cluster?: { readonly leader?: string; readonly cluster_size?: number }
  readonly account_details?: readonly {
    readonly stream_detail?: readonly {
      readonly name: string
      readonly cluster?: { readonly leader?: string }
      readonly consumer_detail?: readonly {
        readonly name: string
        readonly cluster?: { readonly leader?: string }
      }[]
    }[]
  }[]
}

/** What a server says of its JetStream, or undefined where it doesn't answer. */
export async function jetStreamState(monitorUrl: string): Promise<JetStreamState | undefined> {
  return (await ask(monitorUrl, '/jsz?streams=true&consumers=true')) as JetStreamState | undefined
}
