import { Observable, type Observer, type Subscription } from 'rxjs'

/** Where the errors of observers go. */
export type ReportError = (error: unknown) => void

/**
 * An Observable whose observers can't do harm: what one throws is reported and ends that subscription only. RxJS would
 * throw it in a timer, which ends the process. Operators applied to it keep the guard.
 */
export class GuardedObservable<T> extends Observable<T> {
  readonly #report: ReportError

  constructor(report: ReportError, subscribe?: (observer: Observer<T>) => (() => void) | undefined) {
    super(
      subscribe === undefined
        ? undefined
        : (subscriber) => {
            const teardown = subscribe(subscriber)
            if (teardown !== undefined) subscriber.add(teardown)
          },
    )
    this.#report = report
  }

  override lift<R>(operator?: Observable<R>['operator']): Observable<R> {
    const lifted = new GuardedObservable<R>(this.#report)
    lifted.source = this
    lifted.operator = operator
    return lifted
  }

  override subscribe(
    observerOrNext?: Partial<Observer<T>> | ((value: T) => void) | null,
    error?: ((error: unknown) => void) | null,
    complete?: (() => void) | null,
  ): Subscription {
    // An operator subscribes to its source with a subscriber of its own, which must be handed on as it is.
    if (isSubscriber(observerOrNext)) return super.subscribe(observerOrNext)
    const observer: Partial<Observer<T>> =
      typeof observerOrNext === 'function' || observerOrNext === null || observerOrNext === undefined
        ? compact(observerOrNext, error, complete)
        : observerOrNext
    const report = this.#report
    const held: { subscription?: Subscription } = {}
    const failed = (thrown: unknown): void => {
      held.subscription?.unsubscribe()
      report(thrown)
    }
    held.subscription = super.subscribe({
      next(value) {
        try {
          observer.next?.(value)
        } catch (thrown) {
          failed(thrown)
        }
      },
      error(thrown: unknown) {
        if (observer.error === undefined) return report(thrown)
        try {
          observer.error(thrown)
        } catch (again) {
          failed(again)
        }
      },
      complete() {
        try {
          observer.complete?.()
        } catch (thrown) {
          failed(thrown)
        }
      },
    })
    return held.subscription
  }
}

function isSubscriber(value: unknown): value is Partial<Observer<never>> {
  return typeof value === 'object' && value !== null && 'isStopped' in value && 'add' in value
}

function compact<T>(
  next: ((value: T) => void) | null | undefined,
  error: ((error: unknown) => void) | null | undefined,
  complete: (() => void) | null | undefined,
): Partial<Observer<T>> {
  return {
    ...(typeof next === 'function' ? { next } : undefined),
    ...(typeof error === 'function' ? { error } : undefined),
    ...(typeof complete === 'function' ? { complete } : undefined),
  }
}

/** A hot source: hands values to those who listen at the moment, and costs nothing while nobody does. */
export class Hub<T> {
  readonly #observers = new Set<Observer<T>>()
  readonly observable: Observable<T>
  #closed = false

  constructor(report: ReportError) {
    this.observable = new GuardedObservable<T>(report, (observer) => {
      if (this.#closed) {
        observer.complete()
        return undefined
      }
      this.#observers.add(observer)
      return () => void this.#observers.delete(observer)
    })
  }

  get observed(): boolean {
    return this.#observers.size > 0
  }

  emit(value: T): void {
    for (const observer of this.#observers) observer.next(value)
  }

  complete(): void {
    this.#closed = true
    for (const observer of this.#observers) observer.complete()
    this.#observers.clear()
  }
}
