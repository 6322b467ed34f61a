import { AsyncLocalStorage } from 'node:async_hooks'
import type { Place, PlaceHost } from './place.ts'
import type { Service } from './thread/service.ts'
import type { Call, ThreadData } from './wires.ts'

/** Calls are done on this thread, which does nothing else meanwhile. */
export function inline(data: ThreadData, host: PlaceHost): Place {
  return new Inline(data, host)
}

class Inline implements Place {
  readonly #data: ThreadData
  readonly #host: PlaceHost
  #service: Service | undefined
  #calls: Call[] = []
  #held = false
  #turn: NodeJS.Immediate | NodeJS.Timeout | undefined
  /** Ends the wait for the next turn. */
  #goOn: (() => void) | undefined
  #isDead = false
  /** Whoever calls first is not the one for whom all is done. */
  readonly #outside = AsyncLocalStorage.snapshot()

  constructor(data: ThreadData, host: PlaceHost) {
    this.#data = data
    this.#host = host
    void this.#guarded(async () => this.#load())
  }

  post(calls: readonly Call[]): void {
    const service = this.#service
    // Not later than it has to be: a step would wait for a timer while a sweep is under way.
    this.#goOn?.()
    if (service === undefined) this.#calls.push(...calls)
    else void this.#outside(async () => this.#guarded(async () => service.take(calls)))
  }

  hold(held: boolean): void {
    this.#held = held
    // What was begun while it was held ends within its turn; without a hold it would wait for something else to happen.
    if (held) this.#turn?.ref()
  }

  async end(): Promise<void> {
    // When its journal is closed nothing of it is left.
  }

  /** Only where it is asked for: programs with a thread need none of this here. */
  async #load(): Promise<void> {
    const { Service } = await import('./thread/service.ts')
    this.#service = new Service(this.#data, {
      more: () => undefined,
      report: (report) => {
        if (!this.#isDead) this.#host.report(report)
      },
      turn: () => this.#nextTurn(),
      ended: () => undefined,
    })
    await this.#service.take(this.#calls.splice(0))
  }

  /** By a timer where nothing holds the process: an immediate that does not would wait for something else to happen. */
  #nextTurn(): Promise<void> {
    return new Promise((resolve) => {
      const go = (): void => {
        clearTimeout(this.#turn as NodeJS.Timeout)
        clearImmediate(this.#turn as NodeJS.Immediate)
        this.#turn = this.#goOn = undefined
        resolve()
      }
      this.#goOn = go
      this.#turn = this.#held ? setImmediate(go) : setTimeout(go, 0).unref()
    })
  }

  /** A defect takes its calls with it, as it would with a thread. */
  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (cause) {
      if (this.#isDead) return
      this.#isDead = true
      this.#service?.abandon()
      this.#host.died({ reason: 'defect', cause })
    }
  }
}
