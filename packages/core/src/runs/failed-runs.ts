/** Of which run an error object was the failure: how a body's own throw is told from the rethrow of a run's error. */
const failedRuns = new WeakMap<object, object>()

/** The run whose failure `error` is, if it is one. */
export function runOfError(error: unknown): object | undefined {
  return typeof error === 'object' && error !== null ? failedRuns.get(error) : undefined
}

/** The error is the failure of that run. */
export function isFailureOf(error: unknown, run: object): void {
  if (typeof error === 'object' && error !== null) failedRuns.set(error, run)
}
