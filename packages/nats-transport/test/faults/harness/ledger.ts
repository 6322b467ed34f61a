/** What bodies did outside, in a file that outlives their processes: a line each, appended by whoever does it. */
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
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

  deeds(): Deed[] {
    const lines = readFileSync(this.#deeds, 'utf8').split('\n')
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Deed)
  }

  /** Lets bodies through a gate, those that wait and those that come. */
  open(gate: string): void {
    writeFileSync(join(this.folder, 'gates', gate), '')
  }

  isOpen(gate: string): boolean {
    return existsSync(join(this.folder, 'gates', gate))
  }
}
