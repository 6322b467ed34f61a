import type { Connected } from '../connection/connected.ts'

/** How long an acknowledgement is kept, at least: a killed server forgets those of its last 100 ms. */
const keepMs = 1_000
/** In a cluster, where nobody takes any while a consumer has no leader, and nobody says so: until the next pull is missed. */
const keepInClusterMs = 8_000
/** At most so many are kept. */
const mostKept = 20_000
/** When those from before a reconnect are repeated once more: a leader may be elected first. */
const electedMs = 10_000

interface Sent {
  readonly subject: string
  readonly payload: Uint8Array
}

/**
 * Acknowledges without waiting for an answer. What is published while the connection is gone, or while a consumer has no leader, is
 * dropped without a word. So the newest are kept, and repeated when the connection or the consumer is back.
 */
export class Acks {
  readonly #connected: Connected
  readonly #end: () => void
  /** What goes with the next message of this node, by one write. */
  #unsent: Sent[] = []
  #recent: Sent[] = []
  #older: Sent[] = []
  /** Those that are repeated once more. */
  #again: Sent[] = []
  #timer: NodeJS.Timeout | undefined
  #repeating: NodeJS.Timeout | undefined

  constructor(connected: Connected) {
    this.#connected = connected
    this.#end = connected.onReconnect(() => this.repeat())
  }

  /** Where it is not urgent, it goes along with what this node sends next, or 10 ms later. */
  send(subject: string, payload: Uint8Array, isUrgent = false): void {
    const sent = { subject, payload }
    if (this.#unsent.push(sent) === 1 && !isUrgent) this.#connected.publisher.along(this.#sendUnsent)
    if (isUrgent) this.#sendUnsent()
    this.#recent.push(sent)
    if (this.#recent.length >= mostKept / 2) this.#forget()
    const { info } = this.#connected.nc
    this.#timer ??= setInterval(
      () => this.#forget(),
      info?.cluster === undefined ? keepMs : keepInClusterMs,
    ).unref()
  }

  /** Says everything once more that was said of late: it may not have been heard. */
  repeat(): void {
    const kept = [...this.#older, ...this.#recent]
    if (kept.length === 0) return
    for (const sent of kept) this.#publish(sent)
    this.#again = kept
    this.#repeating ??= setTimeout(() => {
      this.#repeating = undefined
      for (const sent of this.#again) this.#publish(sent)
      this.#again = []
    }, electedMs).unref()
  }

  readonly #sendUnsent = (): void => {
    const unsent = this.#unsent
    this.#unsent = []
    for (const sent of unsent) this.#publish(sent)
  }

  /** Resolves when the server has got all. */
  async flush(): Promise<void> {
    this.#sendUnsent()
    await this.#connected.flush()
  }

  close(): void {
    this.#sendUnsent()
    this.#end()
    clearInterval(this.#timer)
    clearTimeout(this.#repeating)
  }

  #publish({ subject, payload }: Sent): void {
    if (this.#connected.up) this.#connected.nc.publish(subject, payload)
  }

  #forget(): void {
    // While the connection is gone, nothing is: at most all that is held.
    if (!this.#connected.up) return
    this.#older = this.#recent
    this.#recent = []
    if (this.#older.length > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}
