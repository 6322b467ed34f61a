import { errors, type Msg } from '@nats-io/transport-node'
import type { Connected } from '../connection/connected.ts'
import type { Times } from '../times.ts'
import { nodeToken } from './keys.ts'

/** What came of one ping: an answer, nobody listens, nobody answers, or it could not be asked. */
export type Pong = 'there' | 'nobody' | 'silent' | 'down'

/** What came of several. */
export type Verdict = 'there' | 'nobody' | 'silent'

/** For how long after a reconnect it is not judged who is gone: the others connect again, too. */
const settleMs = 2_000
/** Pings without an answer, after which no further one is sent. */
const mostSilent = 3

/** Asks nodes whether they are there. A killed process is known at once: the server knows that nobody listens any more. */
export class Pings {
  readonly #connected: Connected
  readonly #namespace: string
  readonly #times: Times
  #upSince = -Infinity

  constructor(connected: Connected, namespace: string, times: Times) {
    this.#connected = connected
    this.#namespace = namespace
    this.#times = times
    connected.onReconnect(() => (this.#upSince = performance.now()))
  }

  subjectOf(token: string): string {
    return `${this.#namespace}.node.${token}.ping`
  }

  async ping(token: string): Promise<Pong> {
    return (await this.#ask(token)) ?? 'there'
  }

  /** Asks until it is certain, or as certain as it can be. */
  async verdictOn(node: string, isClosed: () => boolean): Promise<Verdict> {
    const token = nodeToken(node)
    const { goneMs } = this.#times
    let nobodySince: number | undefined
    let silent = 0
    while (!isClosed()) {
      const askedAt = performance.now()
      const pong = await this.ping(token)
      if (pong === 'there') return 'there'
      if (pong === 'nobody' && this.#isSettled(askedAt)) {
        nobodySince ??= askedAt
        if (performance.now() - nobodySince >= goneMs) return 'nobody'
      } else {
        nobodySince = undefined
        if (pong === 'silent' && ++silent >= mostSilent) return 'silent'
      }
      if (pong !== 'silent') await pause(goneMs / 6)
    }
    return 'silent'
  }

  /** Whether the connection has been there for long enough. */
  #isSettled(now: number): boolean {
    return this.#connected.up && now - this.#upSince >= Math.min(settleMs, this.#times.goneMs * 2)
  }

  async #ask(token: string): Promise<Pong | undefined> {
    const connected = this.#connected
    if (!connected.up) return 'down'
    let answer: Msg
    try {
      answer = await connected.nc.request(this.subjectOf(token), undefined, { timeout: this.#times.answerMs })
    } catch (error) {
      if (!connected.up) return 'down'
      return isNobody(error) ? 'nobody' : 'silent'
    }
    return answer.data.length === 0 ? 'silent' : undefined
  }
}

/** Whether a request has failed because nobody listens. */
export function isNobody(error: unknown): boolean {
  return (
    error instanceof errors.NoRespondersError ||
    (error instanceof errors.RequestError && error.isNoResponders())
  )
}

/** Waits, without keeping the process alive. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms).unref())
}
