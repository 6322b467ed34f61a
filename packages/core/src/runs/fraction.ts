import { UsageError } from '../base/errors.ts'
import { inWords } from '../base/words.ts'

/** @throws UsageError `INVALID_OPTION` where it is no progress */
export function checkFraction(fraction: unknown): void {
  if (typeof fraction === 'number' && fraction >= 0 && fraction <= 1) return
  throw new UsageError('INVALID_OPTION', `expected progress from 0 to 1, got ${inWords(fraction)}`)
}
