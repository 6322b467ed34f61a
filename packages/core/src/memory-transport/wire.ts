import { leaveRun } from '../base/context-store.ts'
import { JournalError } from '../base/errors.ts'
import type { Clock } from '../ports/clock.ts'
import type { TransportHost } from '../ports/transport.ts'
import type { World } from './world.ts'

/** How long a call waits that does not get through, in milliseconds. */
const patienceMs = 30_000

/** How a node and the rest of the world hear of each other: after a turn, unless it is cut off, dead or closed. */
export class Wire {
  readonly world: World
  readonly host: TransportHost
  readonly clock: Clock
  state: 'up' | 'cut' | 'dead' | 'closed' = 'up'
  /** How often it was cut. */
  cuts = 0
  /** What waits on both sides until it is whole again. */
  readonly #waiting: (() => void)[] = []
  readonly #ends = new Set<() => void>()
  #armedFor = Number.POSITIVE_INFINITY
  #disarm = (): void => undefined

  constructor(world: World, host: TransportHost) {
    this.world = world
    this.host = host
    this.clock = host.clock
    world.wires.add(this)
    world.arm()
  }

  /** Asks the world for something. Where the wire is cut it may be done later though the caller gave up. */
  call<T>(ask: () => T | Promise<T>, isAnswered: () => boolean = () => true): Promise<T> {
    if (this.state === 'closed') return this.refuse()
    return new Promise((resolve, reject) => {
      let stop = (): void => undefined
      const giveUp = (): void => reject(this.#unavailable())
      const answer = (fn: () => void): void => {
        if (!isAnswered()) this.after(1, giveUp)
        else if (this.state === 'up') fn()
        else this.down(fn, 'waits')
      }
      const asked = async (): Promise<T> => ask()
      const send = (): void => {
        stop()
        asked().then(
          (value) => answer(() => resolve(value)),
          (error: Error) => answer(() => reject(error)),
        )
      }
      this.#pass(send, () => {
        this.#waiting.push(send)
        stop = this.after(patienceMs, giveUp)
      })
    })
  }

  refuse(): Promise<never> {
    return Promise.reject(new JournalError('ENGINE_CLOSED', 'the transport was closed'))
  }

  /** To the world, in a later turn. @param lost - See `down`. */
  up(fn: () => void, lost: 'waits' | (() => void) = () => undefined): void {
    this.#pass(fn, lost === 'waits' ? () => this.#waiting.push(fn) : lost)
  }

  /** A subscription of the node, which it ends, or which ends with the wire. @param start - Gets a listener that falls silent then. */
  listen<A extends readonly unknown[]>(
    listener: (...args: A) => void,
    start: (told: (...args: A) => void) => () => void,
  ): () => void {
    let isLive = true
    const stop = start((...args) => {
      if (isLive) listener(...args)
    })
    const end = (): void => {
      isLive = false
      this.#ends.delete(end)
      stop()
    }
    this.#ends.add(end)
    return end
  }

  /**
   * To the node, in a later turn.
   *
   * @param lost - Called where it does not get there, for the wire is cut; `'waits'`: then it comes when that is whole again.
   */
  down(fn: () => void, lost: 'waits' | (() => void) = () => undefined): void {
    this.#pass(fn, lost === 'waits' ? () => this.#waiting.push(fn) : lost)
  }

  /** To the node, in a later turn, and by chance later than that. Where the wire is cut it is lost, or waits. */
  downLate(fn: () => void, lost: 'waits' | (() => void) = () => undefined): void {
    this.world.late(this.clock, () => this.down(fn, lost))
  }

  /** Calls `fn` on the node after so many milliseconds. @returns A function that takes it back. */
  after(ms: number, fn: () => void): () => void {
    return this.clock.at(this.clock.now() + ms, () => {
      if (this.state !== 'dead') fn()
    })
  }

  /** Wakes the world at one moment of its time at most. */
  arm(at: number, fire: () => void): void {
    if (at === this.#armedFor) return
    this.#disarm()
    this.#armedFor = at
    this.#disarm = (): void => undefined
    if (at === Number.POSITIVE_INFINITY) return
    const { clock } = this
    this.#disarm = clock.at(clock.now() + Math.max(Math.ceil(at - this.world.now()), 0), () => {
      this.#armedFor = Number.POSITIVE_INFINITY
      leaveRun()
      fire()
    })
  }

  cut(): void {
    this.state = 'cut'
    this.cuts++
  }

  heal(): void {
    this.state = 'up'
    for (const fn of this.#waiting.splice(0)) this.#pass(fn, () => this.#waiting.push(fn))
  }

  /** Nothing gets through any more. */
  end(state: 'dead' | 'closed'): void {
    this.state = state
    this.#waiting.length = 0
    for (const stop of this.#ends) stop()
    this.#disarm()
    this.#armedFor = Number.POSITIVE_INFINITY
    this.world.wires.delete(this)
  }

  #pass(fn: () => void, lost: () => void): void {
    this.clock.turn(() => {
      // The message has no sender's run with it.
      leaveRun()
      if (this.state === 'up' || this.state === 'closed') fn()
      else if (this.state === 'cut') lost()
    })
  }

  #unavailable(): JournalError {
    const message = `node ${this.host.node} got no answer: the connection was lost`
    return new JournalError('TRANSPORT_UNAVAILABLE', message, { details: { node: this.host.node } })
  }
}
