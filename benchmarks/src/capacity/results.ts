import { readResults, type Results as Read } from '../lib/results.ts'
import type { Summary } from '../lib/stats.ts'

/** The main runtime's, whatever runs this. */
const node = '20'

/** Stored results of one benchmark. What is not there throws: a figure that is missing must not become one that is guessed. */
export class Results {
  readonly #read: Read
  readonly name: string

  constructor(name: string) {
    this.name = name
    const read = readResults(name, node)
    if (read === undefined) throw new Error(`${name} was never measured`)
    this.#read = read
  }

  get cores(): number {
    return this.#read.surroundings.cores
  }

  /** When and where it was measured. */
  get origin(): string {
    const { at, options, surroundings, loads } = this.#read
    const { cpu, cores, node, commit } = surroundings
    const where = `${cpu}, ${cores} cores, Node ${node.replace('v', '')}`
    const load = `load of the machine ${loads.before} before and ${loads.after} after`
    return `\`${this.name}\`: ${options.rounds} rounds on ${at.slice(0, 10)}, ${where}, commit ${commit}, ${load}`
  }

  /** A reading of a case. */
  summary(title: string, label: string, reading: string): Summary {
    const group = this.#read.groups.find((one) => one.title === title)
    const found = group?.cases.find((one) => one.label === label)?.readings[reading]
    if (found === undefined || Number.isNaN(found.median))
      throw new Error(`${this.name} has no "${reading}" of "${label}" in "${title}"`)
    return found
  }

  median(title: string, label: string, reading: string): number {
    return this.summary(title, label, reading).median
  }
}
