import { createRequire } from 'node:module'
import type { Observable } from 'rxjs'
import type { Sink } from '../remote/observe.ts'

/**
 * An observable in a thread. RxJS is loaded when the first is asked for: loading it takes longer than starting the thread,
 * and bodies that watch runs are rare.
 */
export function observe(subscribe: (sink: Sink) => () => void): Observable<unknown> {
  const rx = createRequire(import.meta.url)('rxjs') as typeof import('rxjs')
  return new rx.Observable((observer) =>
    subscribe({
      value: (value) => observer.next(value),
      error: (error) => observer.error(error),
      complete: () => observer.complete(),
    }),
  )
}
