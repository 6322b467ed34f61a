import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Logger } from '../../base/logger.ts'
import type { TaskRunner } from '../../ports/task-runner.ts'
import type { ConformanceCase } from '../conformance.ts'
import { createTestEngine } from '../test-engine.ts'
import { createEngine } from '../../engine/create-engine.ts'
import { memoryJournal } from '../../ports/memory-journal.ts'
import { seededRandom } from '../../ports/random.ts'
import { systemClock } from '../../ports/system-clock.ts'
import { span } from './bodies.ts'
import { cancelling } from './cancelling.ts'
import { closing } from './closing.ts'
import { dependencies } from './dependencies.ts'
import { leftovers } from './leftovers.ts'
import { limits } from './limits.ts'
import { nesting } from './nesting.ts'
import { order } from './order.ts'
import { retries } from './retries.ts'
import { timeLimits } from './time-limits.ts'
import { values } from './values.ts'
import { World, type Case, type ContractEngine, type Facts } from './world.ts'

export type { ContractEngine } from './world.ts'

/** @public */
export interface TaskRunnerContractOptions {
  /** The mode of the runner: some cases apply to some modes only, and some expect another end of each. */
  readonly mode: TaskRunner['mode']
  /** How many bodies the runner runs at once; default no limit, and 1 for a sequential one. */
  readonly limit?: number
  /** Opens the engine for one case; default one on virtual time, with strict values. */
  readonly openEngine?: (options: { readonly logger: Logger }) => ContractEngine
  /** How long a short wait of the bodies is, in milliseconds; default 10. Longer where starting a body takes real time. */
  readonly tick?: number
  /** For runners whose bodies take real time: the engine runs on this machine's clock. Default false. */
  readonly realTime?: boolean
  /** How long bodies take to come to rest where time is real, in milliseconds. Default 100. */
  readonly restMs?: number
  /** Whether bodies go on when their engine is closed, for the next one. Default false. */
  readonly outlives?: boolean
}

const cases: readonly Case[] = [
  ...values,
  ...dependencies,
  ...order,
  ...nesting,
  ...retries,
  ...cancelling,
  ...leftovers,
  ...timeLimits,
  ...limits,
  ...closing,
]

const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

function openRealTime({ logger }: { readonly logger: Logger }): ContractEngine {
  const clock = systemClock()
  const journal = memoryJournal()
  const engine = createEngine({
    strictValues: true,
    node: 'test',
    logger,
    clock,
    journal,
    random: seededRandom(1),
  })
  return Object.assign(engine, {
    clock,
    journal,
    settle: <T>(promise: PromiseLike<T>) => Promise.resolve(promise),
  })
}

/**
 * What every task runner is held to: choosing a runner changes where and when bodies run, and nothing else.
 *
 * After each case, the suite also checks that all histories are legal and that the journal holds just what was shown,
 * and that the whole limit of the runner is free.
 *
 * @param make - Makes the description of a new runner; called once for each case.
 * @public
 */
export function taskRunnerContract(
  make: () => TaskRunner,
  {
    mode,
    limit = Number.POSITIVE_INFINITY,
    realTime = false,
    restMs = realTime ? 100 : 0,
    outlives = false,
    openEngine = realTime ? openRealTime : createTestEngine,
    tick = realTime ? 30 : 10,
  }: TaskRunnerContractOptions,
): ConformanceCase[] {
  const facts: Facts = {
    mode,
    slots: mode === 'sequential' ? 1 : limit,
    restMs,
    outlives,
  }
  const apply = ({ modes, when }: Case): boolean => (modes?.includes(mode) ?? true) && (when?.(facts) ?? true)
  return cases.filter(apply).map(({ name, test }) => ({
    name,
    async run() {
      const folder = await mkdtemp(join(tmpdir(), 'troupe-contract-'))
      const engine = openEngine({ logger: silent })
      try {
        const runner = make()
        assert.equal(runner.mode, mode)
        await engine.warm(runner, [span])
        const world = new World({ ...facts, engine, runner, tick, folder })
        await test(world)
        await world.check()
      } finally {
        await engine.close()
        await rm(folder, { recursive: true })
      }
    },
  }))
}
