import { createEngine, type CloseOptions, type Engine } from '../engine/create-engine.ts'
import { inside } from '../engine/start.ts'
import type { EngineOptions } from '../engine/engine-options.ts'
import { memoryJournal } from '../ports/memory-journal.ts'
import { seededRandom } from '../ports/random.ts'
import type { Journal } from '../ports/journal.ts'
import { virtualClock, type VirtualClock } from './virtual-clock.ts'

/** The clock of each journal and each transport: what is recovered from it goes on in the same time. */
const clocks = new WeakMap<object, VirtualClock>()

/** How many engines each of them has had. */
const engines = new WeakMap<object, number>()

/** @public */
export interface TestEngineOptions extends Omit<EngineOptions, 'clock' | 'random'> {
  /** Seed of all chance; default 1, and 2 for the second engine of a journal or a transport, and so on: ids of runs are not to meet. */
  readonly seed?: number
  /** The clock to share with other engines; default that of the earlier engines of the journal or the transport, for time does not go back. */
  readonly clock?: VirtualClock
}

/** An engine on virtual time. @public */
export interface TestEngine extends Engine {
  readonly clock: VirtualClock
  readonly journal: Journal
  /** See {@link VirtualClock.run}. */
  settle<T>(promise: PromiseLike<T>): Promise<T>
}

/**
 * An engine for tests: virtual time, chance from a seed, values encoded and decoded as threads and other machines do, so
 * that a flow tested in memory runs anywhere.
 *
 * @throws UsageError `INVALID_OPTION`
 * @public
 */
export function createTestEngine(options: TestEngineOptions = {}): TestEngine {
  const { transport, seed: given, ...rest } = options
  const journal = options.journal ?? (transport === undefined ? memoryJournal() : undefined)
  const beneath = beneathOf(journal) ?? transport ?? {}
  const clock = options.clock ?? clocks.get(beneath) ?? virtualClock()
  clocks.set(beneath, clock)
  const number = (engines.get(beneath) ?? 0) + 1
  engines.set(beneath, number)
  const engine = createEngine({
    strictValues: true,
    node: transport === undefined || number === 1 ? 'test' : `test-${number}`,
    ...rest,
    clock,
    random: seededRandom(given ?? number),
    ...(journal === undefined ? undefined : { journal }),
    ...(transport === undefined ? undefined : { transport }),
  })
  const close = engine.close.bind(engine)
  return Object.assign(engine, {
    clock,
    journal: journal ?? (engine as unknown as Record<symbol, { readonly journal: Journal }>)[inside]!.journal,
    settle: <T>(promise: PromiseLike<T>) => clock.run(promise),
    // What it waits for is on virtual time, too, which nobody else moves.
    close: (closing?: CloseOptions) => clock.run(close(closing)),
  })
}

function beneathOf(journal: Journal | undefined): Journal | undefined {
  return journal !== undefined && 'beneath' in journal ? (journal.beneath as Journal) : journal
}
