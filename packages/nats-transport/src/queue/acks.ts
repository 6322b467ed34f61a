import type { Connected } from '../connection/connected.ts'

/** How long an acknowledgement is kept, at least: a killed server forgets those of its last 100 ms. */
const keepMs = 1_000
/** When those from before a reconnect are repeated once more: nobody takes them while a consumer's leader is elected. */
const electedMs = 10_000

interface Sent {
  readonly subject: string
  readonly payload: Uint8Array
}

/**
 * Acknowledges without waiting for an answer. What is published while the connection is gone is dropped without a word, and
 * what was published last may have been; so the newest are kept, and repeated when the connection is back.
 */
export class Acks {
  readonly #connected: Connected
  #recent: Sent[] = []
  #older: Sent[] = []
  #timer: NodeJS.Timeout | undefined
  #repeat: NodeJS.Timeout | undefined
  readonly #end: () => void

  constructor(connected: Connected) {
    this.#connected = connected
    this.#end = connected.onReconnect(() => this.#reconnected())
  }

  send(subject: string, payload: Uint8Array): void {
    this.#publish({ subject, payload })
    this.#recent.push({ subject, payload })
    this.#timer ??= setInterval(() => this.#forget(), keepMs).unref()
  }

  /** Resolves when the server has got all. */
  async flush(): Promise<void> {
    if (this.#connected.up) await this.#connected.nc.flush()
  }

  close(): void {
    this.#end()
    clearInterval(this.#timer)
    clearTimeout(this.#repeat)
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

  #reconnected(): void {
    const kept = [...this.#older, ...this.#recent]
    if (kept.length === 0) return
    for (const sent of kept) this.#publish(sent)
    clearTimeout(this.#repeat)
    this.#repeat = setTimeout(() => {
      for (const sent of kept) this.#publish(sent)
    }, electedMs).unref()
  }
}
