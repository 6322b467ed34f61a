/**
 * What a function of the user's gave that must answer at once. Where that is a promise, which the caller refuses, its
 * rejection must not end the process: nobody waits for it.
 */
export function notPending<T>(made: T): T {
  if (made instanceof Promise) made.catch(() => undefined)
  return made
}
