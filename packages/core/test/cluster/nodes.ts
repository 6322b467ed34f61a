import {
  createEngine,
  memoryTransport,
  type Engine,
  type EngineOptions,
  type MemoryTransport,
  type MemoryTransportOptions,
} from '@troupe/core'
import { virtualClock, type VirtualClock } from '@troupe/core/testing'
import { seededRandom } from '../../src/ports/random.ts'
import { mortalClock, type MortalClock } from '../../src/testing/mortal-clock.ts'

const silent = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

interface Member {
  readonly engine: Engine
  readonly clock: MortalClock
  isDead: boolean
}

/** Several engines in this process that share one transport, on one virtual time. */
export class ClusterOfTest {
  readonly clock: VirtualClock = virtualClock()
  readonly transport: MemoryTransport
  readonly #members = new Map<string, Member>()
  #seed = 0

  constructor(options: MemoryTransportOptions = {}) {
    this.transport = memoryTransport(options)
  }

  start(node: string, options: Omit<EngineOptions, 'transport' | 'node' | 'clock' | 'random'> = {}): Engine {
    const clock = mortalClock(this.clock)
    const random = seededRandom(++this.#seed)
    const engine = createEngine({
      logger: silent,
      ...options,
      node,
      clock,
      random,
      transport: this.transport,
    })
    this.#members.set(node, { engine, clock, isDead: false })
    return engine
  }

  /** Its process is killed. */
  kill(node: string): void {
    const member = this.#members.get(node)
    if (member === undefined) throw new RangeError(`there is no node ${node}`)
    member.isDead = true
    member.clock.die()
    this.transport.crash(node)
  }

  settle<T>(promise: PromiseLike<T>): Promise<T> {
    return this.clock.run(promise)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { engine, isDead } of this.#members.values()) {
      const closed = engine.close()
      // One that was killed waits for answers for ever.
      if (isDead) closed.catch(() => undefined)
      else await this.clock.run(closed)
    }
  }
}
