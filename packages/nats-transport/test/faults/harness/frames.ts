/** What clients and servers of NATS say to each other, cut into frames: an operation, and a payload where it has one. */

export interface Frame {
  /** Such as `PUB`, `HPUB`, `MSG`, `HMSG`, `PING`, `INFO`. */
  readonly op: string
  /** Of a message; else empty. */
  readonly subject: string
  readonly reply: string
  /** The block of headers of a message, as it is. */
  readonly headers: string
  readonly payload: Buffer
  /** All of it, as it went over the wire. */
  readonly raw: Buffer
}

const none = Buffer.alloc(0)

/** Cuts one direction of a connection into frames. */
export class Frames {
  #rest: Buffer = none

  push(chunk: Buffer): Frame[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const frames: Frame[] = []
    for (;;) {
      const frame = this.#next()
      if (frame === undefined) return frames
      frames.push(frame)
      this.#rest = this.#rest.subarray(frame.raw.length)
    }
  }

  #next(): Frame | undefined {
    const end = this.#rest.indexOf('\r\n')
    if (end === -1) return undefined
    const [op = '', ...words] = this.#rest.toString('latin1', 0, end).split(' ')
    const kind = op.toUpperCase()
    const numbers = kind === 'PUB' || kind === 'MSG' ? 1 : kind === 'HPUB' || kind === 'HMSG' ? 2 : 0
    if (numbers === 0) {
      const raw = this.#rest.subarray(0, end + 2)
      return { op: kind, subject: '', reply: '', headers: '', payload: none, raw }
    }
    const sizes = words.splice(-numbers).map(Number)
    const total = sizes.at(-1) ?? 0
    const headBytes = numbers === 2 ? (sizes[0] ?? 0) : 0
    const begin = end + 2
    const length = begin + total + 2
    if (this.#rest.length < length) return undefined
    // What the server sends has the number of the subscription after the subject.
    const [subject = '', ...more] = words
    return {
      op: kind,
      subject,
      reply: (kind.endsWith('MSG') ? more[1] : more[0]) ?? '',
      headers: this.#rest.toString('latin1', begin, begin + headBytes),
      payload: this.#rest.subarray(begin + headBytes, begin + total),
      raw: this.#rest.subarray(0, length),
    }
  }
}
