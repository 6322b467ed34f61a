import { TroupeError, UsageError } from '../base/errors.ts'
import { inWords } from '../base/words.ts'
import { steerOf } from '../definitions/retrying.ts'
import type { Clock } from '../ports/clock.ts'
import type { DeadLetter, EventDelivery } from './event-source.ts'
import { areTags, pauseBefore, type IntakeSettings } from './intake-options.ts'
import type { EventOrder, FlowStarter, Started } from './start-event.ts'

/** Tags go beside the entry in a message of the journal: what does not fit would be tried for ever. */
const longestTags = 10_000

/** What an event asks for. */
interface Asked extends EventOrder {
  /** Why nothing is started for it any more: it is only looked for the flow run that it has started before. */
  readonly refusal: unknown
}

/** What an intake does for the events that it holds. */
export interface EventHost<E> {
  readonly settings: IntakeSettings<E>
  readonly starter: FlowStarter
  readonly clock: Clock
  /** Whether what is handed back is delivered again. */
  readonly redelivers: boolean
  count(what: 'started' | 'duplicates' | 'dead' | 'handedBack'): void
  /** Something can't be done now, and is tried again; undefined when it was done. */
  stuck(holder: object, error: unknown): void
  /** Says of an event that it is dead: is to be done before all is over. Never rejects. */
  tells(telling: Promise<void>): void
  /** An error that no caller hears of. */
  report(error: unknown): void
}

/** An event from its delivery until its flow run has ended, or it is known that there will be none. */
export class HeldEvent<E> {
  readonly #host: EventHost<E>
  readonly #delivery: EventDelivery<E>
  #event: E | undefined
  #key: string | undefined
  /** What became of it; nothing yet where undefined. */
  #fate: 'done' | 'back' | 'dead' | undefined
  #isRecorded = false
  /** Nothing more is done for it. */
  #isOver = false
  #wake: (() => void) | undefined
  #recorded: (() => void) | undefined
  /** Resolves when its flow run is in the journal, or it is over before. */
  readonly untilRecorded = new Promise<void>((resolve) => (this.#recorded = resolve))

  constructor(host: EventHost<E>, delivery: EventDelivery<E>) {
    this.#host = host
    this.#delivery = delivery
    this.#key = delivery.key
  }

  /** Whether it comes again where it is handed back. */
  get #comesAgain(): boolean {
    return this.#host.redelivers && this.#delivery.isLast !== true
  }

  /** Whether its flow run is in the journal. */
  get isRecorded(): boolean {
    return this.#isRecorded
  }

  /** Resolves when nothing more is to be done for it. */
  async deal(): Promise<void> {
    try {
      await this.#deal()
    } catch (error) {
      // What nobody thought of must not cost the event: it goes back, or is told of.
      this.#host.report(error)
      this.giveUp(error)
    } finally {
      this.#host.stuck(this, undefined)
      this.#isOver = true
      this.#recorded?.()
    }
  }

  /** It is still being dealt with. */
  keepAlive(): void {
    if (this.#fate === undefined) this.#tell(() => this.#delivery.keepAlive?.())
  }

  /** Nothing more can be done for it: it goes back to its source, and where that would lose it, becomes a dead letter. */
  giveUp(reason: unknown): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#wake?.()
    this.#recorded?.()
    if (this.#fate !== undefined) return
    // One that is recorded may as well be given up by its source: who is told of that finds its flow run.
    if (this.#comesAgain || (this.#host.redelivers && this.#isRecorded)) this.#handBack(0)
    else if (!this.#isRecorded) this.tellDead(reason)
  }

  /** Says once, as well as can be, that there will be no flow run of an event that nobody else has. */
  tellDead(error: unknown): void {
    this.#end('dead')
    this.#host.tells(this.#tellDead(error))
  }

  async #tellDead(error: unknown): Promise<void> {
    const { deadLetter } = this.#host.settings
    const isToldHere = typeof deadLetter === 'function'
    try {
      this.#event ??= await this.#delivery.read()
    } catch (failure) {
      this.#host.report(failure)
    }
    if (!isToldHere) this.#host.report(this.#told(error))
    try {
      await this.#bury(this.#letter(error))
    } catch (failure) {
      if (isToldHere) this.#host.report(this.#told(error))
      this.#host.report(failure)
    }
  }

  /** Keeps a dead letter where dead letters go, once. @throws what is in the way */
  async #bury(letter: DeadLetter<E>): Promise<void> {
    const delivery = this.#delivery
    const { deadLetter } = this.#host.settings
    if (typeof deadLetter === 'function') await deadLetter(letter)
    else if (delivery.reject !== undefined) return delivery.reject(letter, deadLetter)
    // Where it was given up meanwhile, it went back.
    if (this.#fate !== 'back') this.#tell(() => delivery.done())
  }

  async #deal(): Promise<void> {
    const order = await this.#ordered()
    if (order === undefined || this.#isOver) return
    const started = await this.#trying(() => this.#started(order))
    if (started === undefined) return
    this.#isRecorded = true
    // The journal has what it needs; its flow run may take days.
    this.#event = undefined
    this.#host.count(started.isNew ? 'started' : 'duplicates')
    this.#recorded?.()
    const { ackWhen } = this.#host.settings
    if (ackWhen === 'recorded') this.#done()
    if (started.isNew || ackWhen === 'finished') await this.#ended(started)
    this.#done()
  }

  async #started(order: Asked): Promise<Started> {
    const { starter } = this.#host
    if (order.refusal === undefined) return starter.start(order)
    // A taker may have died between the journal's answer and the acknowledgement.
    const known = await starter.known(order)
    if (known !== undefined) return known
    throw new TroupeError('BAD_EVENT', inWords(order.refusal), { cause: order.refusal })
  }

  async #ended(started: Started): Promise<void> {
    await this.#trying(async () => {
      await started.ended()
      return true
    })
  }

  /** The flow run that it asks for; undefined where there will be none, or not now. */
  async #ordered(): Promise<Asked | undefined> {
    while (!this.#isOver) {
      try {
        return await this.#order()
      } catch (thrown) {
        const steer = steerOf(thrown)
        const error = steer === undefined ? thrown : steer.error
        if (steer?.delayMs === undefined) return this.#reject(error)
        if (this.#host.redelivers) {
          if (!this.#comesAgain) return this.#reject(error)
          if (!this.#isOver) this.#handBack(steer.delayMs)
          return undefined
        }
        await this.#pause(steer.delayMs)
      }
    }
    return undefined
  }

  async #order(): Promise<Asked> {
    const { settings } = this.#host
    const { deliveries, refusal } = this.#delivery
    if (deliveries <= settings.maxDeliveries) return this.#asked(refusal)
    const tooOften = (cause?: unknown): TroupeError =>
      new TroupeError('BAD_EVENT', `it was delivered ${deliveries} times, and nothing came of it`, { cause })
    // Reading it may be what ends the process each time. Once more it is read, to know whose it is.
    if (deliveries > settings.maxDeliveries + 1) throw tooOften()
    try {
      return await this.#asked(tooOften())
    } catch (error) {
      throw tooOften(error)
    }
  }

  /** @param refusal - Why nothing is to be started for it; undefined for one that is fine so far. */
  async #asked(refusal: unknown): Promise<Asked> {
    const { settings, starter } = this.#host
    const { deliveries, key: given } = this.#delivery
    const event = await this.#delivery.read()
    this.#event = event
    const info = { key: given, deliveries }
    const key = (await settings.key?.(event, info)) ?? given
    if (key !== undefined && (typeof key !== 'string' || key === ''))
      throw wrong('key', 'a string that is not empty, or undefined', key)
    this.#key = key
    const args = settings.parameters === undefined ? [event] : await settings.parameters(event, info)
    if (!Array.isArray(args)) throw wrong('parameters', 'a list of arguments', args)
    const tags = typeof settings.tags === 'function' ? settings.tags(event) : settings.tags
    if (tags !== undefined && !(areTags(tags) && tags.join('').length <= longestTags))
      throw wrong('tags', `a list of strings that are not empty, ${longestTags} characters at most`, tags)
    if (refusal === undefined) await starter.check(args)
    return { args, tags, key: key === undefined ? undefined : `${settings.name}/${key}`, refusal }
  }

  /** Does it, again and again while what is in the way may pass; undefined where the event is over. */
  async #trying<T>(act: () => Promise<T>): Promise<T | undefined> {
    for (let tries = 1; !this.#isOver; tries++) {
      try {
        const result = await act()
        this.#host.stuck(this, undefined)
        return this.#isOver ? undefined : result
      } catch (error) {
        if (TroupeError.is(error, 'BAD_EVENT')) return this.#reject(error.cause)
        if (TroupeError.is(error, 'ENGINE_CLOSED')) {
          this.giveUp(error)
          return undefined
        }
        await this.#troubled(tries, error)
      }
    }
    return undefined
  }

  async #troubled(tries: number, error: unknown): Promise<void> {
    if (this.#isOver) return
    this.#host.stuck(this, error)
    const { ms, trouble } = pauseBefore(this.#host.settings, tries, error)
    if (trouble !== undefined) this.#host.report(trouble)
    await this.#pause(ms)
  }

  /** Puts it where dead letters go, however often that has to be tried. */
  async #reject(error: unknown): Promise<undefined> {
    const { deadLetter } = this.#host.settings
    if (this.#isOver) return undefined
    if (typeof deadLetter !== 'function') this.#host.report(this.#told(error))
    const letter = this.#letter(error)
    for (let tries = 1; !this.#isOver; tries++) {
      try {
        await this.#bury(letter)
        break
      } catch (failure) {
        await this.#troubled(tries, failure)
      }
    }
    this.#host.stuck(this, undefined)
    // Where it was given up meanwhile, it went back.
    if (this.#isOver) return undefined
    this.#end('dead')
    return undefined
  }

  #letter(error: unknown): DeadLetter<E> {
    const { settings, starter, clock } = this.#host
    return {
      intake: settings.name,
      flow: starter.flow,
      event: this.#event,
      key: this.#key,
      deliveries: this.#delivery.deliveries,
      error,
      at: clock.now(),
    }
  }

  #told(error: unknown): TroupeError {
    const { settings, starter } = this.#host
    const which = this.#key === undefined ? '' : ` ${JSON.stringify(this.#key)}`
    const message = `event${which} of intake ${settings.name} started no ${starter.flow}: ${inWords(error)}`
    const { deliveries } = this.#delivery
    return new TroupeError('BAD_EVENT', message, {
      cause: error,
      details: { intake: settings.name, flow: starter.flow, key: this.#key, deliveries },
    })
  }

  #done(): void {
    if (this.#isOver || this.#fate !== undefined) return
    this.#end('done')
    this.#tell(() => this.#delivery.done())
  }

  #handBack(delayMs: number): void {
    this.#end('back')
    this.#tell(() => this.#delivery.handBack(delayMs))
  }

  #end(fate: 'done' | 'back' | 'dead'): void {
    this.#fate = fate
    if (fate !== 'done') this.#host.count(fate === 'dead' ? 'dead' : 'handedBack')
  }

  #tell(say: () => void): void {
    try {
      say()
    } catch (error) {
      this.#host.report(error)
    }
  }

  /** Waits, unless it is over. */
  async #pause(ms: number): Promise<void> {
    if (this.#isOver) return
    const { clock } = this.#host
    await new Promise<void>((resolve) => {
      const takeBack = clock.at(clock.now() + ms, resolve)
      this.#wake = () => {
        takeBack()
        resolve()
      }
    })
    this.#wake = undefined
  }
}

function wrong(option: string, expected: string, got: unknown): UsageError {
  return new UsageError('INVALID_OPTION', `expected \`${option}\` to give ${expected}, got ${inWords(got)}`, {
    details: { option },
  })
}
