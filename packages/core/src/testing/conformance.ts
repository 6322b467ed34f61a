import assert from 'node:assert/strict'
import { systemClock } from '../ports/system-clock.ts'

/**
 * One case of a suite that an adapter is held to. It needs no test framework: it resolves where the adapter keeps its
 * promise, and rejects with an `AssertionError` where it does not.
 *
 * @example
 * ```ts
 * for (const { name, run } of journalConformance(open)) it(name, run)
 * ```
 * @public
 */
export interface ConformanceCase {
  /** What the adapter is expected to do, as a sentence. */
  readonly name: string
  readonly run: () => Promise<void>
}

/** What a suite opens for each of its cases. */
export interface Opened {
  /** Waits for a promise where time does not pass by itself: `virtualClock().run`. */
  settle?<T>(promise: Promise<T>): Promise<T>
  /** How long a case may take in real time, in milliseconds; default 20,000. */
  readonly patienceMs?: number
  /** Lets go of what the adapter was made with, such as a folder; called after each case. */
  close?(): Promise<void>
}

/** Turns cases that need something opened into cases that open it and let go of it. */
export function casesOf<T extends Opened>(
  make: () => Promise<T>,
  cases: Readonly<Record<string, (opened: T) => Promise<void>>>,
): ConformanceCase[] {
  return Object.entries(cases).map(([name, test]) => ({
    name,
    async run() {
      const opened = await make()
      try {
        await inTime(opened, test(opened))
      } finally {
        await inTime(opened, opened.close?.() ?? Promise.resolve())
      }
    },
  }))
}

/** What is waited for may never come. */
async function inTime(opened: Opened, ends: Promise<void>): Promise<void> {
  const { patienceMs = 20_000 } = opened
  const clock = systemClock()
  let stop = (): void => undefined
  const late = new Promise<never>((_, reject) => {
    const message = `what was waited for did not come within ${patienceMs} ms`
    stop = clock.at(clock.now() + patienceMs, () => reject(new assert.AssertionError({ message })))
  })
  try {
    await Promise.race([opened.settle?.(ends) ?? ends, late])
  } finally {
    stop()
  }
}

/** Asserts that a call throws or rejects; which of the two is not asked. */
export async function assertFails(call: () => unknown, what: string): Promise<void> {
  let failed = false
  try {
    await call()
  } catch {
    failed = true
  }
  assert.ok(failed, `${what}: expected a rejection`)
}

/** What a listener is told, in its order. A case waits for that and never for time. */
export class Told<T> {
  readonly items: T[] = []
  readonly #waits = new Set<() => void>()

  readonly add = (item: T): void => {
    this.items.push(item)
    for (const look of this.#waits) look()
  }

  /** Resolves when there are so many. @returns All that are there. */
  async atLeast(count: number): Promise<readonly T[]> {
    return this.until((items) => items.length >= count)
  }

  /** Resolves when what is there is enough. @returns All that is there. */
  async until(isEnough: (items: readonly T[]) => boolean): Promise<readonly T[]> {
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (!isEnough(this.items)) return
        this.#waits.delete(look)
        resolve()
      }
      this.#waits.add(look)
      look()
    })
    return this.items
  }
}
