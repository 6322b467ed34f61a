import { UsageError } from '../base/errors.ts'

export function twoCopies(where: string): UsageError {
  return new UsageError(
    'TWO_COPIES',
    `${where} belongs to another copy of @troupe/core in this program; ` +
      'make all packages use one (`npm ls @troupe/core` shows where they come from)',
  )
}

export function nativePromise(path: string): UsageError {
  return new UsageError(
    'NATIVE_PROMISE',
    `expected a value or a future at ${path}, got a native promise; await it, or call the task that makes it`,
    { details: { path } },
  )
}

export function unmappedOutside(path: string): UsageError {
  return new UsageError('INVALID_OPTION', `unmapped(…) at ${path} means something only in \`map\``, {
    details: { path },
  })
}
