import {
  flow,
  inputs,
  memoryCache,
  memoryJournal,
  sleep,
  task,
  type FlowRunHandle,
  type RunHandle,
  type TaskOptions,
} from '@troupe/core'
import { virtualClock, type TestEngine } from '@troupe/core/testing'
import { expect } from 'vitest'
import { quiet, testEngine } from './support.ts'

export type Kind = 'flow' | 'task'

/** Processes over one journal, one after the other, and every edge that a run went over in them. */
export class World {
  readonly driven = new Set<string>()
  readonly cache = memoryCache()
  readonly #journal = memoryJournal()
  readonly #clock = virtualClock()
  readonly #kind: Kind
  engine: TestEngine

  constructor(kind: Kind) {
    this.#kind = kind
    this.engine = this.#start()
  }

  #start(): TestEngine {
    const engine = testEngine({
      journal: this.#journal,
      clock: this.#clock,
      cache: this.cache,
      limits: [
        { task: 'edge-limited', concurrency: 1 },
        { flow: 'edge-limited', concurrency: 1 },
      ],
    })
    engine.transitions.subscribe(({ kind, from, to, runName }) => {
      if (kind === this.#kind) this.driven.add(`${from?.name ?? '–'} → ${to.name}`)
      else if (!runName.startsWith('helper')) throw new TypeError(`unexpected run ${runName}`)
    })
    return engine
  }

  /** The process ends, and another one takes the journal over. @returns The run that goes on. */
  async loseHost(): Promise<FlowRunHandle<unknown>> {
    await quiet()
    await this.engine.close()
    this.engine = this.#start()
    const [run] = await this.engine.recover()
    if (run === undefined) throw new TypeError('expected a run that goes on')
    return run.ignore()
  }

  /** Starts a run of the other kind, which fails. */
  failsBelow(): void {
    if (this.#kind === 'flow') helperFails()
    else helperFlow()
  }

  async end(run: RunHandle<unknown>): Promise<string> {
    return (await this.engine.settle(run.wait())).name
  }
}

export type Define = (
  options: Omit<TaskOptions, 'parameters'>,
  body: () => unknown,
) => () => RunHandle<unknown>

/** Counted by a limit of one. */
const limited = { name: 'edge-limited' }

/** Takes the only slot, until it is let go. */
function takeSlot(define: Define): RunHandle<unknown> {
  return define(limited, hold)()
}

export interface Scenario {
  readonly name: string
  readonly kinds?: readonly Kind[]
  readonly drives: readonly string[]
  readonly play: (world: World, define: Define) => Promise<void>
}

const hold = (): Promise<void> => sleep('1h')
const fails = (): never => {
  throw new Error('on purpose')
}
const helperFails = task('helper-fails', fails)
const helperFlow = flow('helper-fails', fails)
const invalid = {
  '~standard': { version: 1, vendor: 'test', validate: () => ({ issues: [{ message: 'never' }] }) },
} as const

/** Fails at first, then does `then`. */
function onceFailing(then: () => unknown): () => unknown {
  let calls = 0
  return () => (++calls === 1 ? fails() : then())
}

export const scenarios: readonly Scenario[] = [
  {
    name: 'its body returns',
    drives: ['– → Pending', 'Pending → Running', 'Running → Completed'],
    play: async (world, define) => expect(await world.end(define({}, () => 1)())).toBe('Completed'),
  },
  {
    name: 'its body throws',
    drives: ['Running → Failed'],
    play: async (world, define) => expect(await world.end(define({}, fails)())).toBe('Failed'),
  },
  {
    name: 'its parameters are invalid',
    drives: ['Pending → Failed'],
    play: async (world, define) => {
      const options = { parameters: invalid }
      expect(await world.end(define(options as never, () => 1)())).toBe('Failed')
    },
  },
  {
    name: 'it is cancelled before its body begins',
    drives: ['Pending → Cancelled'],
    play: async (world, define) => {
      const run = define({}, () => 1)()
      void run.cancel()
      expect(await world.end(run)).toBe('Cancelled')
    },
  },
  {
    name: 'its upstream failed',
    kinds: ['task'],
    drives: ['Pending → UpstreamFailed'],
    play: async (world) => {
      const next = task('edge-next', (_value: unknown) => 1)
      const run = flow('helper', async () => (await next(helperFails()).wait()).name)
      expect(await world.engine.settle(run())).toBe('UpstreamFailed')
    },
  },
  {
    name: 'a run of it failed and nobody looked',
    drives: ['Running → UnobservedFailure'],
    play: async (world, define) =>
      expect(await world.end(define({}, () => world.failsBelow())())).toBe('UnobservedFailure'),
  },
  {
    name: 'it is tried again, in vain and then not',
    drives: ['Running → Retrying', 'Retrying → Retrying', 'Retrying → Completed'],
    play: async (world, define) => {
      const run = define({ retries: 2 }, onceFailing(onceFailing(() => 1)))()
      expect(await world.end(run)).toBe('Completed')
    },
  },
  {
    name: 'it is tried again, and fails',
    drives: ['Retrying → Failed'],
    play: async (world, define) => expect(await world.end(define({ retries: 1 }, fails)())).toBe('Failed'),
  },
  {
    name: 'it is tried again, and nobody looks at a failure',
    drives: ['Retrying → UnobservedFailure'],
    play: async (world, define) => {
      const run = define(
        { retries: 1 },
        onceFailing(() => world.failsBelow()),
      )()
      expect(await world.end(run)).toBe('UnobservedFailure')
    },
  },
  {
    name: 'it is cancelled while its body runs',
    drives: ['Running → Cancelling', 'Cancelling → Cancelled'],
    play: async (world, define) => {
      const run = define({}, hold)()
      await quiet()
      void run.cancel()
      expect(await world.end(run)).toBe('Cancelled')
    },
  },
  {
    name: 'it is cancelled while it is tried again',
    drives: ['Retrying → Cancelling'],
    play: async (world, define) => {
      const run = define({ retries: 1 }, onceFailing(hold))()
      await quiet()
      void run.cancel()
      expect(await world.end(run)).toBe('Cancelled')
    },
  },
  {
    name: 'its host is lost',
    drives: ['Running → Recovering', 'Recovering → Running'],
    play: async (world, define) => {
      define({}, hold)().ignore()
      expect(await world.end(await world.loseHost())).toBe('Completed')
    },
  },
  {
    name: 'its host is lost while it is tried again',
    drives: ['Retrying → Recovering', 'Recovering → Retrying'],
    play: async (world, define) => {
      define({ retries: 1 }, onceFailing(hold))().ignore()
      expect(await world.end(await world.loseHost())).toBe('Completed')
    },
  },
  {
    name: 'its host is lost, and it must not run twice',
    drives: ['Running → Crashed'],
    play: async (world, define) => {
      define({ onHostLost: 'crash' }, hold)().ignore()
      expect(await world.end(await world.loseHost())).toBe('Crashed')
    },
  },
  {
    name: 'its host is lost while it is tried again, and it must not run twice',
    drives: ['Retrying → Crashed'],
    play: async (world, define) => {
      define({ onHostLost: 'crash', retries: 1 }, onceFailing(hold))().ignore()
      expect(await world.end(await world.loseHost())).toBe('Crashed')
    },
  },
  {
    name: 'its host is lost too often',
    drives: ['Recovering → Crashed'],
    play: async (world, define) => {
      define({ maxRecoveries: 1 }, hold)().ignore()
      await world.loseHost()
      expect(await world.end(await world.loseHost())).toBe('Crashed')
    },
  },
  {
    name: 'it is cancelled before its body begins again',
    kinds: ['flow'],
    drives: ['Recovering → Cancelling'],
    play: async (world, define) => {
      define({}, hold)().ignore()
      const run = await world.loseHost()
      void run.cancel()
      expect(await world.end(run)).toBe('Cancelled')
    },
  },
  {
    name: 'the body that called it cancels it before it begins again',
    kinds: ['task'],
    drives: ['Recovering → Cancelling'],
    play: async (world) => {
      const held = task('edge-held', hold)
      let lives = 0
      const run = flow('helper-cancels', async () => {
        const future = held()
        if (++lives === 2) void future.cancel()
        return (await future.wait()).name
      })
      run().ignore()
      expect(await world.engine.settle((await world.loseHost()).result())).toBe('Cancelled')
    },
  },
  {
    name: 'it is paused, goes on, and is cancelled while it is paused',
    kinds: ['flow'],
    drives: ['Running → Paused', 'Paused → Running', 'Paused → Cancelling'],
    play: async (world, define) => {
      const run = define({}, hold)() as FlowRunHandle<unknown>
      await quiet()
      await run.pause()
      await run.resume()
      await run.pause()
      void run.cancel()
      expect(await world.end(run)).toBe('Cancelled')
    },
  },
  {
    name: 'it is paused while it is tried again',
    kinds: ['flow'],
    drives: ['Retrying → Paused'],
    play: async (world, define) => {
      const run = define({ retries: 1 }, onceFailing(hold))() as FlowRunHandle<unknown>
      await quiet()
      await run.pause()
      await run.resume()
      expect(await world.end(run)).toBe('Completed')
    },
  },
  {
    name: 'it is paused, its host is lost, and it goes on',
    kinds: ['flow'],
    drives: ['Paused → Recovering'],
    play: async (world, define) => {
      const first = define({}, hold)() as FlowRunHandle<unknown>
      first.ignore()
      await quiet()
      await first.pause()
      const run = await world.loseHost()
      expect(run.state.name).toBe('Paused')
      await run.resume()
      expect(await world.end(run)).toBe('Completed')
    },
  },
  {
    name: 'it is tried again later, in vain and then not',
    drives: [
      'Running → AwaitingRetry',
      'AwaitingRetry → Retrying',
      'Retrying → AwaitingRetry',
      'Retrying → Completed',
    ],
    play: async (world, define) => {
      const run = define({ retries: 2, retryDelay: '1m' }, onceFailing(onceFailing(() => 1)))()
      expect(await world.end(run)).toBe('Completed')
    },
  },
  {
    name: 'it is cancelled while it waits to be tried again',
    drives: ['AwaitingRetry → Cancelled'],
    play: async (world, define) => {
      const run = define({ retries: 1, retryDelay: '1m' }, fails)()
      await quiet()
      void run.cancel()
      expect(await world.end(run)).toBe('Cancelled')
      expect(world.engine.clock.waiting).toBe(0)
    },
  },
  {
    name: 'its time limit is reached',
    drives: ['Running → TimedOut'],
    play: async (world, define) =>
      expect(await world.end(define({ timeout: '1m' }, hold)())).toBe('TimedOut'),
  },
  {
    name: 'its time limit is reached while it is tried again',
    drives: ['Retrying → TimedOut'],
    play: async (world, define) =>
      expect(await world.end(define({ timeout: '1m', retries: 1 }, hold)())).toBe('TimedOut'),
  },
  {
    name: 'it waits for a slot, and gets it',
    drives: ['Pending → AwaitingConcurrencySlot', 'AwaitingConcurrencySlot → Running'],
    play: async (world, define) => {
      takeSlot(define).ignore()
      expect(await world.end(define(limited, () => 1)())).toBe('Completed')
    },
  },
  {
    name: 'it waits for a slot, and is cancelled',
    drives: ['AwaitingConcurrencySlot → Cancelled'],
    play: async (world, define) => {
      takeSlot(define).ignore()
      const run = define(limited, () => 1)()
      await quiet()
      void run.cancel()
      expect(await world.end(run)).toBe('Cancelled')
    },
  },
  {
    name: 'it waits for a slot too long',
    drives: ['AwaitingConcurrencySlot → TimedOut'],
    play: async (world, define) => {
      takeSlot(define).ignore()
      const run = define({ ...limited, waitTimeout: '1m', retries: 5 }, () => 1)()
      expect(await world.end(run)).toBe('TimedOut')
    },
  },
  {
    name: 'another run has its slot when it is to be tried again',
    drives: ['AwaitingRetry → AwaitingConcurrencySlot', 'AwaitingConcurrencySlot → Retrying'],
    play: async (world, define) => {
      const options = { ...limited, retries: 1, retryDelay: '1m' } as const
      const run = define(
        options,
        onceFailing(() => 1),
      )()
      takeSlot(define).ignore()
      expect(await world.end(run)).toBe('Completed')
    },
  },
  {
    name: 'an earlier run made its result',
    kinds: ['task'],
    drives: ['Pending → Cached'],
    play: async (world, define) => {
      const run = define({ cache: inputs() }, () => 1)
      await world.end(run())
      expect(await world.end(run())).toBe('Cached')
    },
  },
  {
    name: 'another engine makes its result while it waits for a slot',
    kinds: ['task'],
    drives: ['AwaitingConcurrencySlot → Cached'],
    play: async (world, define) => {
      takeSlot(define).ignore()
      const options = { ...limited, cache: inputs() }
      const run = define(options, () => 1)()
      await quiet()
      const other = testEngine({ cache: world.cache, clock: world.engine.clock })
      const makes = flow('helper', () => task(options, () => 1)())
      await world.end(makes.with({ engine: other })())
      expect(await world.end(run)).toBe('Cached')
    },
  },
]
