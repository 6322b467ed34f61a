import { TroupeError, type Clock, type Transition, type Watched } from '@troupe/core'
import { endId, hasHad, idOf, type Place } from './request.ts'

/** What a watcher is told, with its defaults. */
export interface WatcherSettings {
  readonly retryMs: number
  readonly heartbeatMs: number
  /** Undefined: it may be idle for ever. */
  readonly idleMs: number | undefined
  readonly show: (transition: Transition) => unknown
  readonly clock: Clock
}

/** A chunk takes what is there, up to about this many characters. */
const chunkLength = 16_384

/** How long a response waits for the first transition, which says that there is a run: journals answer sooner. */
const firstMs = 250

type Arrived = { readonly result: IteratorResult<Transition, unknown> } | { readonly error: unknown }

const utf8 = new TextEncoder()

/**
 * One client that watches. It takes the next transition only when the client reads, and holds one that has come and not been
 * asked for. The rest waits in the journal.
 */
export class Watcher {
  readonly stream: ReadableStream<Uint8Array>
  readonly #watched: Watched<Transition>
  readonly #iterator: AsyncIterator<Transition, unknown, undefined>
  readonly #settings: WatcherSettings
  readonly #place: Place | undefined
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined
  #signal: AbortSignal | undefined
  #head: string
  /** Whether the next transition is under way. */
  #asked = false
  #arrived: Arrived | undefined
  /** Of a read that waits. */
  #wake: (() => void) | undefined
  /** Since when it waits for a transition, or for its client: one of them. */
  #since = 0
  #isIdle = false
  /** One deadline for both, which is looked at rather than moved: a chunk is sent far more often than one is due. */
  #takeBack: (() => void) | undefined
  /** No more comes, and all that came was sent. */
  #isOver = false
  #stopped = false

  constructor(watched: Watched<Transition>, settings: WatcherSettings, place: Place | undefined) {
    this.#watched = watched
    this.#iterator = watched[Symbol.asyncIterator]()
    this.#settings = settings
    this.#place = place
    this.#head = `retry: ${settings.retryMs}\n\n`
    // Nothing is asked for ahead of the client.
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller
        },
        pull: (controller) => this.#pull(controller),
        cancel: () => this.stop(),
      },
      { highWaterMark: 0 },
    )
  }

  /** Waits for the first transition, or a moment. @throws what reading the journal gives */
  async begin(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted === true) return this.#gone()
    this.#signal = signal
    signal?.addEventListener('abort', this.#gone)
    const first = await this.#next((wake) =>
      this.#settings.clock.at(this.#settings.clock.now() + firstMs, wake),
    )
    if (first !== undefined && 'error' in first) throw first.error
    this.#becomeIdle()
  }

  /** Ends the watch at once; again it does nothing. */
  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#signal?.removeEventListener('abort', this.#gone)
    this.#takeBack?.()
    this.#arrived = undefined
    this.#iterator.return?.().catch(() => undefined) // it has nothing to clean up that could fail
    this.#wake?.()
  }

  readonly #gone = (): void => {
    if (this.#stopped) return
    this.stop()
    this.#controller?.close()
  }

  /** The client reads. */
  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    this.#isIdle = false
    this.#since = this.#settings.clock.now()
    try {
      const text = this.#head === '' ? await this.#chunk() : this.#head
      this.#head = ''
      if (text === undefined || this.#stopped) return
      if (text !== '') controller.enqueue(utf8.encode(text))
      if (this.#isOver) {
        this.stop()
        controller.close()
      } else this.#becomeIdle()
    } catch (error) {
      this.stop()
      throw error
    }
  }

  /** The next events, or a comment; undefined where it was stopped. */
  async #chunk(): Promise<string | undefined> {
    let text = ''
    for (;;) {
      // What a commit brought goes together, and more than nothing is not waited for.
      const arrived = await this.#next(text === '' ? undefined : (wake) => turn(this.#settings.clock, wake))
      if (this.#stopped) return undefined
      if (arrived === undefined) return text === '' ? ':\n\n' : text
      this.#arrived = undefined
      if ('error' in arrived) throw arrived.error
      if (arrived.result.done === true) return text + this.#end()
      text += this.#event(arrived.result.value)
      if (text.length >= chunkLength) return text
    }
  }

  #event(transition: Transition): string {
    if (hasHad(this.#place, transition)) return ''
    // JSON has no line breaks but escaped ones, so an event can't be left by what it carries.
    const data = JSON.stringify(this.#settings.show(transition)) as string | undefined
    return data === undefined ? '' : `id: ${idOf(transition)}\nevent: transition\ndata: ${data}\n\n`
  }

  /** Where the run has ended, the client is told not to come again; else its engine was closed, and it should. */
  #end(): string {
    this.#isOver = true
    return this.#watched.ended ? `id: ${endId}\nevent: end\ndata: {}\n\n` : ''
  }

  /**
   * The next transition, which stays where it is; undefined where it was woken before one came, by `until`, a heartbeat or the
   * end. One at a time.
   */
  async #next(until?: (wake: () => void) => () => void): Promise<Arrived | undefined> {
    if (this.#arrived !== undefined || this.#stopped) return this.#arrived
    this.#ask()
    // No race with a promise that may be pending for days: each would leave something with it.
    await new Promise<void>((resolve) => {
      const takeBack = until?.(resolve)
      this.#wake = () => {
        takeBack?.()
        resolve()
      }
    })
    this.#wake = undefined
    return this.#arrived
  }

  #ask(): void {
    if (this.#asked) return
    this.#asked = true
    const arrive = (arrived: Arrived): void => {
      this.#asked = false
      if (this.#stopped) return
      this.#arrived = arrived
      this.#wake?.()
    }
    this.#iterator.next().then(
      (result) => arrive({ result }),
      (error: unknown) => arrive({ error }),
    )
  }

  /** From here on the client has something to read, and does not. */
  #becomeIdle(): void {
    this.#isIdle = true
    this.#since = this.#settings.clock.now()
    if (this.#takeBack === undefined) this.#look()
  }

  /** Whether it has waited too long for either, and again when it may have. */
  #look(): void {
    if (this.#stopped) return
    const { idleMs = Number.POSITIVE_INFINITY, heartbeatMs, clock } = this.#settings
    const now = clock.now()
    if (now >= this.#since + (this.#isIdle ? idleMs : heartbeatMs)) {
      if (this.#isIdle) return this.#drop(idleMs)
      this.#since = now
      this.#wake?.()
    }
    const due = this.#since + (this.#isIdle ? idleMs : heartbeatMs)
    this.#takeBack = clock.at(Math.min(due, now + Math.min(idleMs, heartbeatMs)), () => this.#look())
  }

  #drop(idleMs: number): void {
    this.stop()
    this.#controller?.error(new TroupeError('WATCHER_DROPPED', `the client read nothing for ${idleMs} ms`))
  }
}

function turn(clock: Clock, fn: () => void): () => void {
  clock.turn(fn)
  return () => undefined
}
