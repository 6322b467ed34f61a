import { flow, TroupeError, type Engine, type StateName, type Transition } from '@troupe/core'
import { flowOf, isGone, type DeliveryFlow } from './delivery.ts'
import { flowPrefix, type Endpoint, type Settings } from './options.ts'

/** How an endpoint is doing. @public */
export interface WebhookStatus {
  readonly id: string
  readonly url: string
  /**
   * `waiting`: reading has failed, and is tried again. `gone`: the receiver answered 410 Gone, and is sent nothing more. `closed`:
   * by `close`, or with the engine.
   */
  readonly state: 'delivering' | 'waiting' | 'gone' | 'closed'
  /** Deliveries that this process has seen end since it began, by whichever node: those that arrived, and those given up. */
  readonly delivered: number
  readonly failed: number
  /** Under way, or waiting for an earlier one of their flow run. */
  readonly inFlight: number
}

/** Says since when an endpoint is there: its run is the oldest of its tag, and the journal remembers it. */
export const begin = flow({ name: `${flowPrefix}begin` }, (id: string) => id)

/** Waits between attempts to read the journals: doubling. */
const firstPauseMs = 1_000
const longestPauseMs = 60_000

/** A delivery that has ended; undefined where the engine was closed before. */
type End = { readonly name: StateName; readonly message?: string } | undefined

/**
 * Takes the transitions that an endpoint wants from the journals, and starts a delivery for each: by a key, so that there is one,
 * however many nodes and restarts come to it. It reads on only when there is room.
 */
export class Feed {
  readonly #engine: Engine
  readonly #endpoint: Endpoint
  readonly #settings: Settings
  readonly #flow: DeliveryFlow
  readonly #tag: string
  /** Resolves when nothing more will be started. */
  readonly done: Promise<void>
  #resolve: () => void = () => undefined
  #state: WebhookStatus['state'] = 'delivering'
  #delivered = 0
  #failed = 0
  #inFlight = 0
  /** The newest delivery of each flow run that has one under way. */
  readonly #lanes = new Map<string, Promise<void>>()
  #iterator: AsyncIterator<Transition> | undefined
  #wake: (() => void) | undefined
  /** Ends of the waits between attempts. */
  readonly #pauses = new Set<() => void>()
  #over = false

  constructor(engine: Engine, endpoint: Endpoint, settings: Settings, deliveries: DeliveryFlow) {
    this.#engine = engine
    this.#endpoint = endpoint
    this.#settings = settings
    this.#flow = deliveries
    this.#tag = flowOf(endpoint)
    this.done = new Promise((resolve) => (this.#resolve = resolve))
    void this.#run(this.#begin())
  }

  get status(): WebhookStatus {
    const { id, url } = this.#endpoint
    return {
      id,
      url,
      state: this.#state,
      delivered: this.#delivered,
      failed: this.#failed,
      inFlight: this.#inFlight,
    }
  }

  close(): void {
    this.#end('closed')
  }

  #end(state: 'gone' | 'closed'): void {
    if (this.#over) return
    this.#over = true
    this.#state = state
    void this.#iterator?.return?.()
    this.#wake?.()
    for (const goOn of this.#pauses) goOn()
    // What is being read just now is not waited for: a journal that does not answer keeps nobody from closing.
    this.#resolve()
  }

  /** At the call, so that nothing that follows on it is missed. A run a day: retention may forget old ones. */
  #begin(): PromiseLike<unknown> {
    const { clock } = this.#settings
    const day = new Date(clock.now()).toISOString().slice(0, 10)
    const key = `${this.#endpoint.id}/${day}`
    const run = this.#engine.run(begin.with({ idempotencyKey: key, tags: [this.#tag] }), this.#endpoint.id)
    return run.wait()
  }

  async #run(begun: PromiseLike<unknown>): Promise<void> {
    const { logger } = this.#settings
    for (let pauseMs = firstPauseMs; !this.#over; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      try {
        await begun
        if (this.#over) return
        await this.#feed()
        return
      } catch (error) {
        // What was started already is found again by its key.
        if (TroupeError.is(error, 'ENGINE_CLOSED')) return this.#end('closed')
        if (this.#over) return
        this.#state = 'waiting'
        logger.warn({ err: error, endpoint: this.#endpoint.id }, 'a webhook can not read the journals')
        await this.#pause(pauseMs)
      }
    }
  }

  #pause(ms: number): Promise<void> {
    const { clock } = this.#settings
    return new Promise((resolve) => {
      const goOn = (): void => {
        takeBack()
        this.#pauses.delete(goOn)
        resolve()
      }
      const takeBack = clock.at(clock.now() + ms, goOn)
      this.#pauses.add(goOn)
    })
  }

  async #feed(): Promise<void> {
    if (await this.#wasGone()) return this.#end('gone')
    const since = await this.#since()
    const { tag, wants } = this.#endpoint
    if (this.#over) return
    this.#state = 'delivering'
    const watched = this.#engine.watch(tag === undefined ? {} : { tag }, { since })
    const iterator = watched[Symbol.asyncIterator]()
    this.#iterator = iterator
    for (;;) {
      const { done, value } = await iterator.next()
      if (done === true || this.#over) break
      if (value.at < since || !wants(value)) continue
      while (this.#inFlight >= this.#settings.concurrency && !this.#over) await this.#room()
      if (this.#over) break
      this.#queue(value)
    }
    this.#end('closed')
  }

  #room(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  /** One after the other of each flow run. */
  #queue(transition: Transition): void {
    const { flowRunId } = transition
    this.#inFlight++
    const before = this.#lanes.get(flowRunId) ?? Promise.resolve()
    const lane = before
      .then(() => this.#deliver(transition))
      .finally(() => {
        this.#inFlight--
        if (this.#lanes.get(flowRunId) === lane) this.#lanes.delete(flowRunId)
        this.#wake?.()
      })
    this.#lanes.set(flowRunId, lane)
  }

  /** Never rejects. */
  async #deliver(transition: Transition): Promise<void> {
    if (this.#over) return
    const { runId, seq, startedAt } = transition
    try {
      const options = { idempotencyKey: `${runId}/${seq}/${startedAt}`, tags: [this.#tag] }
      const { id } = this.#engine.run(this.#flow.with(options), transition)
      const end = await this.#followed(id)
      if (end === undefined) return
      if (end.name === 'Completed') this.#delivered++
      else this.#failed++
      if (isGone(end.message)) this.#end('gone')
    } catch (error) {
      if (TroupeError.is(error, 'ENGINE_CLOSED')) return this.#end('closed')
      this.#settings.logger.error(
        { err: error, endpoint: this.#endpoint.id, flowRunId: transition.flowRunId },
        'a webhook could not be followed',
      )
    }
  }

  /** The next one of its flow run is not sent before, however long the journals can't be read. */
  async #followed(runId: string): Promise<End> {
    for (let pauseMs = firstPauseMs; !this.#over; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      try {
        return await this.#endOf(runId)
      } catch (error) {
        if (TroupeError.is(error, 'ENGINE_CLOSED') || TroupeError.is(error, 'RUN_NOT_FOUND')) throw error
        this.#settings.logger.warn(
          { err: error, endpoint: this.#endpoint.id },
          'a webhook can not be followed',
        )
        if (!this.#over) await this.#pause(pauseMs)
      }
    }
    return undefined
  }

  /** Follows it, without looking at it: one that fails is told of in `engine.errors`. */
  async #endOf(runId: string): Promise<End> {
    let end: End
    const watched = this.#engine.watch({ runId })
    for await (const { to } of watched) end = to
    return watched.ended ? end : undefined
  }

  /** Whether a delivery of this endpoint has ended with 410, in whichever process. */
  async #wasGone(): Promise<boolean> {
    const query = { flow: flowOf(this.#endpoint), state: 'Cancelled', newestFirst: true, limit: 10 } as const
    for (const { id } of await this.#engine.list(query))
      if (isGone((await this.#endOf(id))?.message)) return true
    return false
  }

  /** When the endpoint was there first, as far as that is remembered; but not before what is too old. */
  async #since(): Promise<number> {
    const { clock, maxAgeMs } = this.#settings
    const now = clock.now()
    const [oldest] = await this.#engine.list({ tag: this.#tag, limit: 1 })
    let at = now
    if (oldest !== undefined) {
      for await (const first of this.#engine.watch({ flowRunId: oldest.id })) {
        at = first.at
        break
      }
    }
    return Math.max(at, now - maxAgeMs)
  }
}
