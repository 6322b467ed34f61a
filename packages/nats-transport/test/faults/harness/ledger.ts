/** What bodies did outside, in a file that outlives their processes: a line each, appended by whoever does it. */
import { appendFileSync, closeSync, existsSync, mkdirSync, openSync, readSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Deed {
  /** A body has begun, had its effect, was told to stop, or has come to its end. */
  readonly what: 'began' | 'did' | 'told' | 'ended'
  readonly key: string
  readonly node: string
  readonly runId: string
  readonly attempt: number
  /** Wall time, in milliseconds since 1970. */
  readonly at: number
  /** What it was told. */
  readonly why?: string
}

/** The file of deeds, and the gates that bodies wait at. */
export class Ledger {
  readonly folder: string
  readonly #deeds: string
  readonly #read: Deed[] = []
  #readTo = 0

  constructor(folder: string) {
    this.folder = folder
    this.#deeds = join(folder, 'deeds')
  }

  static create(folder: string): Ledger {
    mkdirSync(join(folder, 'gates'), { recursive: true })
    const ledger = new Ledger(folder)
    writeFileSync(ledger.#deeds, '')
    return ledger
  }

  /** One write in append mode: lines of several processes do not mix. */
  note(deed: Deed): void {
    appendFileSync(this.#deeds, `${JSON.stringify(deed)}\n`)
  }

  /** All deeds until now, in the order in which they were noted. */
  deeds(): readonly Deed[] {
    const file = openSync(this.#deeds, 'r')
    try {
      const bytes = Buffer.alloc(1 << 16)
      for (;;) {
        const count = readSync(file, bytes, 0, bytes.length, this.#readTo)
        if (count === 0) return this.#read
        // Of the last line the rest may be yet to come.
        const whole = bytes.subarray(0, count).lastIndexOf(10) + 1
        if (whole === 0) return this.#read
        this.#readTo += whole
        for (const line of bytes.toString('utf8', 0, whole - 1).split('\n'))
          this.#read.push(JSON.parse(line) as Deed)
      }
    } finally {
      closeSync(file)
    }
  }

  /** Lets bodies through a gate, those that wait and those that come. */
  open(gate: string): void {
    writeFileSync(join(this.folder, 'gates', gate), '')
  }

  isOpen(gate: string): boolean {
    return existsSync(join(this.folder, 'gates', gate))
  }
}
