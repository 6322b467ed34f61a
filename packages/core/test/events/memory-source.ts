import type { Clock, DeadLetter, EventDelivery, EventSource, EventTaker, EventTap } from '@troupe/core'

/** An event that waits, is held, or is over. */
export interface Message<E> {
  readonly event: E
  readonly key: string | undefined
  deliveries: number
  state: 'waiting' | 'held' | 'done' | 'dead'
  /** Before this wall time it is not delivered. */
  dueAt: number
}

export interface MemorySourceOptions {
  readonly clock: Clock
  readonly keepAliveMs?: number
  readonly maxDeliver?: number
  /** Reads the event; default gives it. */
  readonly read?: (event: never) => unknown
  /** Keeps a dead letter; default keeps it in `letters`. */
  readonly bury?: (letter: DeadLetter) => Promise<void>
}

/** Events that are kept until they are acknowledged, in memory; several may take from it. */
export class MemorySource<E> implements EventSource<E> {
  readonly name = 'a source in memory'
  readonly redelivers = true
  readonly keepsDeadLetters = true
  readonly messages: Message<E>[] = []
  readonly letters: { readonly letter: DeadLetter; readonly place: string | undefined }[] = []
  /** What was said of deliveries, in order: `done 3`, the number being the place of the message. */
  readonly log: string[] = []
  readonly options: MemorySourceOptions
  readonly taps = new Set<MemoryTap<E>>()
  #isEnded = false

  constructor(options: MemorySourceOptions) {
    this.options = options
  }

  add(event: E, key?: string): Message<E> {
    const message: Message<E> = { event, key, deliveries: 0, state: 'waiting', dueAt: 0 }
    this.messages.push(message)
    this.deliver()
    return message
  }

  addAll(events: Iterable<E>, keyOf: (event: E) => string | undefined = () => undefined): this {
    for (const event of events) this.add(event, keyOf(event))
    return this
  }

  /** There will be no more events. */
  end(): void {
    this.#isEnded = true
    this.deliver()
  }

  /** The number of messages in a state. */
  count(state: Message<E>['state']): number {
    return this.messages.filter((message) => message.state === state).length
  }

  /** Told of each that is acknowledged. */
  onDone: (message: Message<E>) => void = () => undefined

  /** The most events that were held at once. */
  mostHeld = 0

  get isOver(): boolean {
    return this.#isEnded && this.messages.every(({ state }) => state === 'done' || state === 'dead')
  }

  open(taker: EventTaker<E>): EventTap {
    const tap = new MemoryTap<E>(this, taker, () => this.taps.delete(tap))
    this.taps.add(tap)
    return tap
  }

  fail(error: unknown): void {
    for (const tap of this.taps) tap.taker.failed(error)
  }

  trouble(error: unknown): void {
    for (const tap of this.taps) tap.taker.trouble(error)
  }

  /** Those who take are gone without a word: what they held is delivered again. */
  crash(): void {
    for (const tap of this.taps) tap.isDead = true
    this.taps.clear()
    for (const message of this.messages) if (message.state === 'held') message.state = 'waiting'
  }

  /** In a turn of its own, as messages come over a network. */
  deliver(): void {
    this.options.clock.turn(() => {
      for (const tap of this.taps) tap.deliver()
      if (this.isOver) for (const tap of this.taps) tap.taker.completed()
    })
  }

  next(): Message<E> | undefined {
    const now = this.options.clock.now()
    return this.messages.find(({ state, dueAt }) => state === 'waiting' && dueAt <= now)
  }
}

class MemoryTap<E> implements EventTap {
  readonly source: MemorySource<E>
  readonly taker: EventTaker<E>
  readonly #closed: () => void
  isDead = false
  #wanted = 0
  #isStopped = false

  constructor(source: MemorySource<E>, taker: EventTaker<E>, closed: () => void) {
    this.source = source
    this.taker = taker
    this.#closed = closed
  }

  get keepAliveMs(): number | undefined {
    return this.source.options.keepAliveMs
  }

  want(count: number): void {
    this.#wanted = count
    if (count > 0) this.source.deliver()
  }

  deliver(): void {
    while (this.#wanted > 0 && !this.#isStopped && !this.isDead) {
      const message = this.source.next()
      if (message === undefined) return
      this.#wanted--
      message.deliveries++
      message.state = 'held'
      this.source.mostHeld = Math.max(this.source.mostHeld, this.source.count('held'))
      this.taker.deliver(new MemoryDelivery(this, message))
    }
  }

  stop(): Promise<void> {
    this.#isStopped = true
    this.source.log.push('stopped')
    return Promise.resolve()
  }

  close(): Promise<void> {
    this.source.log.push('closed')
    this.#closed()
    return Promise.resolve()
  }
}

class MemoryDelivery<E> implements EventDelivery<E> {
  readonly key: string | undefined
  readonly deliveries: number
  readonly isLast: boolean
  readonly #tap: MemoryTap<E>
  readonly #message: Message<E>

  constructor(tap: MemoryTap<E>, message: Message<E>) {
    this.#tap = tap
    this.#message = message
    this.key = message.key
    this.deliveries = message.deliveries
    this.isLast = this.deliveries >= (tap.source.options.maxDeliver ?? Number.POSITIVE_INFINITY)
  }

  read(): E {
    const { read } = this.#tap.source.options
    return (read === undefined ? this.#message.event : read(this.#message.event as never)) as E
  }

  done(): void {
    if (this.#end('done')) this.#tap.source.onDone(this.#message)
  }

  handBack(delayMs = 0): void {
    const { clock } = this.#tap.source.options
    this.#message.dueAt = clock.now() + delayMs
    if (!this.#end('waiting', delayMs)) return
    if (delayMs > 0) clock.at(this.#message.dueAt, () => this.#tap.source.deliver())
  }

  keepAlive(): void {
    this.#say('keepAlive')
  }

  async reject(letter: DeadLetter, place: string | undefined): Promise<void> {
    const { source } = this.#tap
    await source.options.bury?.(letter)
    source.letters.push({ letter, place })
    this.#end('dead')
  }

  /** @returns Whether its taker is there and it was held: a word of one that is gone is not heard. */
  #end(state: 'done' | 'waiting' | 'dead', delayMs = 0): boolean {
    if (this.#tap.isDead) return false
    if (this.#message.state !== 'held') throw new TypeError(`${state} of one that is ${this.#message.state}`)
    this.#message.state = state
    this.#say(state === 'waiting' ? `handBack${delayMs > 0 ? ` after ${delayMs}` : ''}` : state)
    this.#tap.source.deliver()
    return true
  }

  #say(what: string): void {
    const { source } = this.#tap
    source.log.push(`${what} ${source.messages.indexOf(this.#message)}`)
  }
}
