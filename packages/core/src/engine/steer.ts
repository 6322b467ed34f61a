import { uuidV4 } from '../base/ids.ts'
import type { RunState } from '../machines/states.ts'
import type { Random } from '../ports/random.ts'
import type { Given, Signal, Target } from '../runs/current-body.ts'

/** With what tells it from others: repeated, it counts once. */
export type Identified<T> = T & { readonly id: string }

/** How runs are steered, from inside and outside. */
export interface Steered<Run> {
  /** The run as another engine has it, where this one lost it. @throws UsageError `ENGINE_CLOSED` */
  elsewhere(run: Run): Target | undefined
  /** @returns For one whose body was let go, a promise: its journal is read first. */
  cancel(run: Run, reason: unknown): Promise<void> | undefined
  pause(run: Run): Promise<void>
  /** @throws RunError `INVALID_INPUT`, `NO_INPUT_EXPECTED`; CodecError `NOT_ENCODABLE` */
  resume(run: Run, given: Identified<Given> | undefined): Promise<void>
  /** Sends a message to the body of a flow run. @throws RunError `RUN_ENDED`; CodecError `NOT_ENCODABLE` */
  signal(run: Run, signal: Identified<Signal>): void
  /** A body waits for an input that is not there. */
  asked(run: Run): void
  /** What a run whose body was let go waits for may be there. */
  wake(run: Run): void
}

/** A run, as far as it can be told something by those who hold it. */
export abstract class SteeredRun<Run> {
  abstract looked: boolean
  abstract readonly run: Run
  abstract readonly state: RunState
  abstract readonly host: {
    readonly closed: boolean
    readonly random: Random
    readonly steering: Steered<Run>
  }
  abstract readonly ledger: { whenSafe(go: () => void): void }

  abstract untilEnd(asker: undefined): Promise<RunState>

  async cancel(reason: string | undefined): Promise<RunState> {
    const other = this.#other()
    if (other !== undefined) return other.cancel(reason)
    const { looked } = this
    void this.host.steering.cancel(this.run, reason)
    // Whoever cancels and closes the engine at once has heard enough.
    const ended = this.untilEnd(undefined).catch(() => this.state)
    this.looked = looked
    await this.#safe()
    const gone = this.host.closed ? undefined : this.#other()
    return gone === undefined ? ended : gone.cancel(reason)
  }

  pause(): Promise<RunState> {
    return this.#steer(
      (steering) => steering.pause(this.run),
      (other) => other.pause(),
    )
  }

  resume(asked?: Given): Promise<RunState> {
    const given = asked && { ...asked, id: asked.id ?? uuidV4(this.host.random) }
    return this.#steer(
      (steering) => steering.resume(this.run, given),
      (other) => other.resume(given),
    )
  }

  async signal(asked: Signal): Promise<void> {
    const signal = { ...asked, id: asked.id ?? uuidV4(this.host.random) }
    await this.#steer(
      (steering) => steering.signal(this.run, signal),
      (other) => other.signal(signal),
    )
  }

  /** Resolves when what came of it is safe. Where another engine has the run, or takes it before that, it is asked. */
  async #steer<T>(
    act: (steering: Steered<Run>) => unknown,
    ask: (other: Target) => Promise<T>,
  ): Promise<T | RunState> {
    const other = this.#other()
    if (other !== undefined) return ask(other)
    try {
      await act(this.host.steering)
    } finally {
      await this.#safe()
    }
    const gone = this.#other()
    return gone === undefined ? this.state : ask(gone)
  }

  #safe(): Promise<void> {
    return new Promise((resolve) => this.ledger.whenSafe(resolve))
  }

  #other(): Target | undefined {
    return this.host.steering.elsewhere(this.run)
  }
}
