import { createEngine, type Engine } from '../engine/create-engine.ts'
import type { EngineOptions } from '../engine/engine.ts'
import { memoryJournal } from '../ports/memory-journal.ts'
import { seededRandom } from '../ports/random.ts'
import type { Journal } from '../ports/journal.ts'
import { virtualClock, type VirtualClock } from './virtual-clock.ts'

/** @public */
export interface TestEngineOptions extends Omit<EngineOptions, 'clock' | 'random'> {
  /** Seed of all chance; default 1. */
  readonly seed?: number
  /** The clock to share with other engines; default a new one. */
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
  const { seed = 1, clock = virtualClock(), journal = memoryJournal(), ...rest } = options
  const engine = createEngine({
    strictValues: true,
    node: 'test',
    ...rest,
    clock,
    random: seededRandom(seed),
    journal,
  })
  return Object.assign(engine, { clock, journal, settle: <T>(promise: PromiseLike<T>) => clock.run(promise) })
}
