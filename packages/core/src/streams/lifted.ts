import type { Observable, OperatorFunction, Subscriber } from 'rxjs'

/** What an operator does with the values of its source. */
export interface Operating<T> {
  next(value: T): void
  /** Nobody listens any more, or nothing comes any more. */
  stop?(): void
}

/**
 * An operator. It goes through `lift`, so that it keeps the guard of the source's observers, and it needs nothing of RxJS at run
 * time, which threads load only when an Observable is asked for.
 */
export function lifted<T, R>(operate: (to: Subscriber<R>) => Operating<T>): OperatorFunction<T, R> {
  return (source) =>
    source.lift<R>({
      call(to: Subscriber<R>, from: Observable<T>) {
        const operating = operate(to)
        const subscription = from.subscribe({
          next: (value) => operating.next(value),
          error: (error: unknown) => to.error(error),
          complete: () => to.complete(),
        })
        // Also called when it has ended.
        return () => {
          subscription.unsubscribe()
          operating.stop?.()
        }
      },
    })
}
