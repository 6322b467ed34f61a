/** For how long it counts as open what was handed back, and what another process may be dealing with since. */
const backForMs = 60_000

/** Where a consumer begins that is made again. */
export interface Beginning {
  /** Sequence of the first message. */
  readonly seq: number
  /** The stream of that sequence was there at this time: wall time of the server in milliseconds since 1970. */
  readonly since: number
}

/** Which messages of its stream a tap was given, and has dealt with. */
export class Progress {
  readonly #now: () => number
  /** Sequences of those that it holds. */
  readonly #open = new Set<number>()
  /** Of those that it handed back, until when they count; oldest first. */
  readonly #back = new Map<number, number>()
  #newest = 0
  /** When that was stored, as far as is known. */
  #newestAt = 0
  #since = 0

  /** @param now - Monotonic time. */
  constructor(now: () => number) {
    this.#now = now
  }

  /** The consumer was found. @param acknowledged - All messages up to this sequence are. */
  found({ acknowledged, createdAt }: { readonly acknowledged: number; readonly createdAt: number }): void {
    this.#since = Math.max(this.#since, createdAt)
    this.#newest = Math.max(this.#newest, acknowledged)
  }

  delivered({ sequence, storedAt }: { readonly sequence: number; readonly storedAt: number }): void {
    // Somebody made the stream anew: its sequences begin at 1 again.
    if (sequence <= this.#newest && storedAt > this.#newestAt) this.forget()
    this.#back.delete(sequence)
    this.#open.add(sequence)
    this.#since = Math.max(this.#since, storedAt)
    if (sequence <= this.#newest) return
    this.#newest = sequence
    this.#newestAt = storedAt
  }

  /** It will not be delivered again. */
  dealtWith(sequence: number): void {
    this.#open.delete(sequence)
  }

  handedBack(sequence: number, delayMs: number): void {
    const now = this.#now()
    for (const [old, until] of this.#back) {
      if (until > now) break
      this.#back.delete(old)
    }
    this.#open.delete(sequence)
    this.#back.set(sequence, now + delayMs + backForMs)
  }

  /** The stream is another one than before. */
  forget(): void {
    this.#open.clear()
    this.#back.clear()
    this.#newest = 0
    this.#newestAt = 0
  }

  /** Undefined where nothing is known. */
  get next(): Beginning | undefined {
    if (this.#since === 0) return undefined
    const now = this.#now()
    let seq = this.#newest + 1
    for (const open of this.#open) seq = Math.min(seq, open)
    for (const [back, until] of this.#back) if (until > now) seq = Math.min(seq, back)
    return { seq, since: this.#since }
  }
}
