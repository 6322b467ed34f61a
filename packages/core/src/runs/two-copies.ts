import { UsageError } from '../base/errors.ts'

export function twoCopies(where: string): UsageError {
  return new UsageError(
    'TWO_COPIES',
    `${where} belongs to another copy of @troupe/core in this program; ` +
      'make all packages use one (`npm ls @troupe/core` shows where they come from)',
  )
}
