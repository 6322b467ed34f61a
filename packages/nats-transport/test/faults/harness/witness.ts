import type { Engine, Transition } from '@troupe/core'
import { isTerminal } from '@troupe/core/internal'

/** What somebody saw who watched all transitions of a cluster from its beginning, live. */
export interface Witnessed {
  readonly count: number
  of(flowRunId: string): readonly Transition[]
  /** When the end of a run was seen, in milliseconds since 1970: from then on everybody can read it. */
  endOf(runId: string): number | undefined
}

export class Witness implements Witnessed {
  count = 0
  failure: unknown
  readonly #seen = new Map<string, Transition[]>()
  readonly #ends = new Map<string, number>()
  readonly #stop: () => void

  constructor(engine: Engine) {
    const subscription = engine.watch().subscribe({
      next: (transition) => this.#saw(transition),
      error: (error: unknown) => (this.failure = error),
    })
    this.#stop = () => subscription.unsubscribe()
  }

  #saw(transition: Transition): void {
    this.count++
    const { flowRunId, runId, to } = transition
    const seen = this.#seen.get(flowRunId)
    if (seen === undefined) this.#seen.set(flowRunId, [transition])
    else seen.push(transition)
    if (isTerminal(to.name)) this.#ends.set(runId, Date.now())
  }

  of(flowRunId: string): readonly Transition[] {
    return this.#seen.get(flowRunId) ?? []
  }

  endOf(runId: string): number | undefined {
    return this.#ends.get(runId)
  }

  /** Flow runs that have not ended, and whose newest transition a node wrote. */
  liveOn(node: string): string[] {
    return [...this.#seen].flatMap(([id, seen]) =>
      seen.at(-1)?.node === node && this.#ends.get(id) === undefined ? [id] : [],
    )
  }

  stop(): void {
    this.#stop()
  }
}
