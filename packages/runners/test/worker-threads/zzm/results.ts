import { word } from '../../../src/worker-threads/wires.ts'

/**
 * A ring of results in shared memory, written by one thread and read by the pool.
 *
 * Results are gathered, for a message each would cost more than a small body; and what is gathered must not be lost with a
 * thread that is ended while the next body runs. So they lie where the pool can read them when the thread is gone.
 */

/** How much there is room for. */
export const ringBytes = 256 * 1024
/** Larger results go by message. */
export const largestResult = 8 * 1024

/** Before each result: lease, flags, microseconds, length. */
const headBytes = 16
/** Instead of a length: the rest of the ring is not used. */
const skip = -1

const padded = (length: number): number => (length + 3) & ~3

export interface Result {
  readonly lease: number
  readonly thrown: boolean
  readonly micros: number
  readonly bytes: Uint8Array
}

export class ResultWriter {
  readonly #control: Int32Array
  readonly #words: Int32Array
  readonly #bytes: Uint8Array

  constructor(control: Int32Array, memory: SharedArrayBuffer) {
    this.#control = control
    this.#words = new Int32Array(memory)
    this.#bytes = new Uint8Array(memory)
  }

  /** @returns Whether there was room. */
  write({ lease, thrown, micros, bytes }: Result): boolean {
    const need = headBytes + padded(bytes.length)
    const read = Atomics.load(this.#control, word.read)
    let at = Atomics.load(this.#control, word.written)
    const used = (at - read + ringBytes) % ringBytes
    const toEnd = ringBytes - at
    // One word always stays free: equal places mean that the ring is empty. A result does not go over the end.
    const room = ringBytes - used
    if (need > (toEnd < need ? room - toEnd : room)) return false
    if (toEnd < need) {
      if (toEnd >= headBytes) this.#words[at / 4 + 3] = skip
      at = 0
    }
    const head = at / 4
    this.#words[head] = lease
    this.#words[head + 1] = thrown ? 1 : 0
    this.#words[head + 2] = micros
    this.#words[head + 3] = bytes.length
    this.#bytes.set(bytes, at + headBytes)
    Atomics.store(this.#control, word.written, (at + need) % ringBytes)
    return true
  }
}

export class ResultReader {
  readonly #control: Int32Array
  readonly #words: Int32Array
  readonly #bytes: Uint8Array

  constructor(control: Int32Array, memory: SharedArrayBuffer) {
    this.#control = control
    this.#words = new Int32Array(memory)
    this.#bytes = new Uint8Array(memory)
  }

  /** The next result; undefined where there is none. */
  next(): Result | undefined {
    let at = Atomics.load(this.#control, word.read)
    const written = Atomics.load(this.#control, word.written)
    if (at === written) return undefined
    if (ringBytes - at < headBytes || this.#words[at / 4 + 3] === skip) {
      at = 0
      if (at === written) return undefined
    }
    const head = at / 4
    const lease = this.#words[head] ?? 0
    const thrown = this.#words[head + 1] === 1
    const micros = this.#words[head + 2] ?? 0
    const length = this.#words[head + 3] ?? 0
    // A copy: decoders do not take shared memory, and the room is given back.
    const bytes = this.#bytes.slice(at + headBytes, at + headBytes + length)
    Atomics.store(this.#control, word.read, (at + headBytes + padded(length)) % ringBytes)
    return { lease, thrown, micros, bytes }
  }
}
