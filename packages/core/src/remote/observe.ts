import { Observable } from 'rxjs'

export interface Sink {
  value(value: unknown): void
  error(error: unknown): void
  complete(): void
}

/** An observable in a thread; where the light entry was loaded, `thread/observe.ts` is in place of this. */
export function observe(subscribe: (sink: Sink) => () => void): Observable<unknown> {
  return new Observable((observer) =>
    subscribe({
      value: (value) => observer.next(value),
      error: (error) => observer.error(error),
      complete: () => observer.complete(),
    }),
  )
}
