import { TroupeError } from '../base/errors.ts'
import type { CrashPoint } from './crashing-journal.ts'

/**
 * What `crashEverywhere` rejects with: a flow run that died came to something else than one that did not. Test frameworks
 * show `expected` and `actual`.
 *
 * @public
 */
export class CrashError extends TroupeError {
  /** Where its processes died, one after another; empty where runs differ that did not die. */
  readonly crashes: readonly CrashPoint[]
  /** What differed, a sentence each. */
  readonly differences: readonly string[]
  /** The journals of the run, and of its subflows, entry by entry, in lines for people. */
  readonly journal: readonly string[]
  /** What the run came to that did not die, and what this one came to. */
  readonly expected: unknown
  readonly actual: unknown

  constructor(
    message: string,
    found: Pick<CrashError, 'crashes' | 'differences' | 'journal' | 'expected' | 'actual'>,
  ) {
    super('CRASH_FOUND', message, { details: { crashes: found.crashes, differences: found.differences } })
    this.crashes = found.crashes
    this.differences = found.differences
    this.journal = found.journal
    this.expected = found.expected
    this.actual = found.actual
  }

  override get name(): string {
    return 'CrashError'
  }
}
