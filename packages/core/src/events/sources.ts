import type { Observable, Subscription } from 'rxjs'
import { UsageError } from '../base/errors.ts'
import { callOutside } from '../base/context-store.ts'
import { inWords } from '../base/words.ts'
import type { EventDelivery, EventSource, EventTaker, EventTap } from './event-source.ts'

/** What `engine.on` takes events from. @public */
export type EventsOf<E> = Observable<E> | AsyncIterable<E> | EventSource<E>

/** @throws UsageError `INVALID_OPTION` */
export function sourceOf<E>(given: EventsOf<E>): EventSource<E> {
  if (typeof given === 'object' && given !== null) {
    if ('open' in given && typeof given.open === 'function') return given
    // What is both is pulled: that is how it is slowed down.
    if (Symbol.asyncIterator in given) return iterableSource(given)
    if ('subscribe' in given && typeof given.subscribe === 'function') return observableSource(given)
  }
  throw new UsageError(
    'INVALID_OPTION',
    `expected a source of events: an Observable, an async iterable or an EventSource, got ${inWords(given)}`,
    { details: { option: 'source' } },
  )
}

/** An event of a source that knows nothing of acknowledgements. */
class PlainDelivery<E> implements EventDelivery<E> {
  readonly key = undefined
  readonly deliveries = 1
  readonly #event: E

  constructor(event: E) {
    this.#event = event
  }

  read(): E {
    return this.#event
  }

  done(): void {
    // Nobody is told.
  }

  handBack(): void {
    // It stays with its taker.
  }
}

/** An Observable: it gives what it gives, whatever is wanted. */
function observableSource<E>(observable: Observable<E>): EventSource<E> {
  return {
    name: 'an Observable',
    redelivers: false,
    open(taker): EventTap {
      let subscription: Subscription | undefined
      let isOver = false
      const subscribe = (): void => {
        subscription = observable.subscribe({
          next: (event) => {
            if (!isOver) taker.deliver(new PlainDelivery(event))
          },
          error: (error: unknown) => taker.failed(error),
          complete: () => taker.completed(),
        })
      }
      // What it does is no doing of the run that may be current.
      callOutside(() => {
        try {
          subscribe()
        } catch (error) {
          taker.failed(error)
        }
      })
      const stop = (): Promise<void> => {
        isOver = true
        subscription?.unsubscribe()
        return Promise.resolve()
      }
      return { want: () => undefined, stop, close: stop }
    },
  }
}

/** An async iterable: it is asked for one event after the other, as long as more are wanted. */
function iterableSource<E>(iterable: AsyncIterable<E>): EventSource<E> {
  return {
    name: 'an async iterable',
    redelivers: false,
    open: (taker) => new IterableTap(iterable, taker),
  }
}

class IterableTap<E> implements EventTap {
  readonly #taker: EventTaker<E>
  readonly #iterable: AsyncIterable<E>
  #iterator: AsyncIterator<E> | undefined
  #wanted = 0
  #isPulling = false
  #isStopped = false
  #isOver = false

  constructor(iterable: AsyncIterable<E>, taker: EventTaker<E>) {
    this.#iterable = iterable
    this.#taker = taker
  }

  want(count: number): void {
    this.#wanted = count
    if (this.#isPulling || this.#isOver || this.#isStopped || count === 0) return
    this.#isPulling = true
    callOutside(() => void this.#pull())
  }

  /** One that is waited for just now can't be stopped: when it comes, it is delivered all the same. */
  stop(): Promise<void> {
    this.#isStopped = true
    if (this.#isOver) return Promise.resolve()
    this.#isOver = !this.#isPulling
    callOutside(() => this.#return())
    return Promise.resolve()
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  #return(): void {
    // Nobody waits for it: a generator answers only after the event that it is asked for.
    try {
      const returned = Promise.resolve(this.#iterator?.return?.())
      returned.catch((error: unknown) => this.#taker.trouble(error))
    } catch (error) {
      this.#taker.trouble(error)
    }
  }

  async #pull(): Promise<void> {
    try {
      this.#iterator ??= this.#iterable[Symbol.asyncIterator]()
      while (this.#wanted > 0 && !this.#isStopped) {
        const { done, value } = await this.#iterator.next()
        if (done === true) {
          this.#isOver = true
          this.#taker.completed()
          return
        }
        this.#wanted--
        this.#taker.deliver(new PlainDelivery(value))
      }
    } catch (error) {
      this.#isOver = true
      this.#taker.failed(error)
    } finally {
      this.#isPulling = false
    }
  }
}
