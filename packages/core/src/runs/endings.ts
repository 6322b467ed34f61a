/** What a body may return to end its run in a state of its choice. */
export class Ending<T> {
  readonly type: 'COMPLETED' | 'FAILED' | 'CANCELLED'
  readonly value: T | undefined
  readonly error: unknown
  readonly message: string | undefined

  constructor(type: Ending<T>['type'], parts: { value?: T; error?: unknown; message?: string }) {
    this.type = type
    this.value = parts.value
    this.error = parts.error
    this.message = parts.message
  }
}

/** Returned by a body: the run is COMPLETED with the value, whatever became of the runs that it submitted. @public */
export function completed<T>(value: T, message?: string): Ending<T> {
  return new Ending('COMPLETED', message === undefined ? { value } : { value, message })
}

/** Returned by a body: the run is FAILED with the error, and tried again while retries remain. @public */
export function failed(error: unknown, message?: string): Ending<never> {
  return new Ending<never>('FAILED', message === undefined ? { error } : { error, message })
}

/** Returned by a body: the run is CANCELLED. @public */
export function cancelled(reason?: string): Ending<never> {
  return new Ending<never>('CANCELLED', reason === undefined ? {} : { error: reason, message: reason })
}
