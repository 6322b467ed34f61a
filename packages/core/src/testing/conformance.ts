import assert from 'node:assert/strict'

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
        await test(opened)
      } finally {
        await opened.close?.()
      }
    },
  }))
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
