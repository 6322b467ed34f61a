import {
  memoryJournal,
  type Engine,
  type Flow,
  type Journal,
  type RunHandle,
  type RunState,
  type Transition,
} from '@troupe/core'
import {
  crashingJournal,
  createTestEngine,
  virtualClock,
  type TestEngine,
  type TestEngineOptions,
  type VirtualClock,
} from '@troupe/core/testing'

/** A journal that outlives the processes that write to it. */
export class Lives {
  readonly journal: Journal = memoryJournal()
  readonly clock: VirtualClock = virtualClock()
  #seed = 0

  /** A process that lives until it is closed. */
  start(options: Omit<TestEngineOptions, 'clock' | 'seed' | 'node'> = {}): TestEngine {
    return createTestEngine({
      journal: this.journal,
      clock: this.clock,
      seed: ++this.#seed,
      node: `node-${this.#seed}`,
      ...options,
    })
  }

  /** Runs a flow in a process that dies after `afterEntries` entries. @returns The run's id. */
  async runUntilDeath<A extends readonly unknown[]>(
    afterEntries: number,
    flow: Flow<A, unknown>,
    ...args: A
  ): Promise<string> {
    const journal = crashingJournal(this.journal, { afterEntries })
    const engine = createTestEngine({
      journal,
      clock: this.clock,
      seed: ++this.#seed,
      node: `node-${this.#seed}`,
    })
    const run = (flow as Flow<readonly unknown[], unknown>).with({ engine })(...args)
    await this.clock.run(Promise.race([journal.death, run.wait()]))
    if (!journal.crashed)
      throw new RangeError(`the run wrote only ${journal.stored} entries and ended ${run.state.name}`)
    await rest()
    return run.id
  }

  /** Recovers the only unfinished run. */
  async recover(engine: Engine): Promise<RunHandle<unknown>> {
    const [run] = await engine.recover()
    if (run === undefined) throw new RangeError('there was nothing to recover')
    return run
  }

  /** Recovers the only unfinished run, and waits for its end. */
  async recoverToEnd(engine: Engine): Promise<{ state: RunState; run: RunHandle<unknown> }> {
    const run = await this.recover(engine)
    return { run, state: await this.clock.run(run.wait()) }
  }
}

/** Lets the event loop come to rest. */
export async function rest(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** All transitions in the journal of a flow run that has ended or rests. */
async function recorded(engine: Engine, flowRunId: string): Promise<Transition[]> {
  const all: Transition[] = []
  const subscription = engine.watch({ flowRunId }).subscribe((transition) => all.push(transition))
  await rest()
  subscription.unsubscribe()
  return all
}

/** State names of each run of a journal, by run name. */
export async function histories(engine: Engine, flowRunId: string): Promise<Record<string, string>> {
  const steps: Record<string, string> = {}
  for (const { runName, to } of await recorded(engine, flowRunId)) {
    steps[runName] = steps[runName] === undefined ? to.name : `${steps[runName]} ${to.name}`
  }
  return steps
}
