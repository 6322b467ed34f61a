import type { AttemptName } from '../remote/node-talk.ts'

/** So many of the latest are remembered, and at most twice as many. */
const atLeast = 5_000

/**
 * Attempts that had begun here and are over, of late: a copy of their offer may come.
 *
 * By a number of 32 bits each. The names themselves would outlive two collections each, and were a third of what a worker of small
 * tasks spends. One that is taken for another is only asked about before it begins.
 */
export class Executed {
  #latest = new Set<number>()
  #before = new Set<number>()

  has(name: AttemptName): boolean {
    const number = numberOf(name)
    return this.#latest.has(number) || this.#before.has(number)
  }

  add(name: AttemptName): void {
    this.#latest.add(numberOf(name))
    if (this.#latest.size < atLeast) return
    this.#before = this.#latest
    this.#latest = new Set()
  }
}

/** FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/, over UTF-16 units. */
function numberOf([runId, attempt]: AttemptName): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < runId.length; at++) hash = Math.imul(hash ^ runId.charCodeAt(at), 0x01000193)
  return Math.imul(hash ^ attempt, 0x01000193)
}
