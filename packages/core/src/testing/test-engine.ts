import { createEngine, type CloseOptions, type Engine } from '../engine/create-engine.ts'
import type { EngineOptions } from '../engine/engine-options.ts'
import { memoryJournal } from '../ports/memory-journal.ts'
import { seededRandom } from '../ports/random.ts'
import type { Journal } from '../ports/journal.ts'
import { virtualClock, type VirtualClock } from './virtual-clock.ts'

/** The clock of each journal: what is recovered from it goes on in the same time. */
const clocks = new WeakMap<Journal, VirtualClock>()

/** How many engines each journal has had. */
const engines = new WeakMap<Journal, number>()

/** @public */
export interface TestEngineOptions extends Omit<EngineOptions, 'clock' | 'random'> {
  /** Seed of all chance; default 1, and 2 for the second engine of a journal, and so on: ids of runs are not to meet. */
  readonly seed?: number
  /** The clock to share with other engines; default that of the journal's earlier engines, for time does not go back. */
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
  const { journal = memoryJournal(), seed: given, ...rest } = options
  const beneath = 'beneath' in journal ? (journal.beneath as Journal) : journal
  const clock = options.clock ?? clocks.get(beneath) ?? virtualClock()
  clocks.set(beneath, clock)
  const number = (engines.get(beneath) ?? 0) + 1
  engines.set(beneath, number)
  const engine = createEngine({
    strictValues: true,
    node: 'test',
    ...rest,
    clock,
    random: seededRandom(given ?? number),
    journal,
  })
  const close = engine.close.bind(engine)
  return Object.assign(engine, {
    clock,
    journal,
    settle: <T>(promise: PromiseLike<T>) => clock.run(promise),
    // What it waits for is on virtual time, too, which nobody else moves.
    close: (closing?: CloseOptions) => clock.run(close(closing)),
  })
}
