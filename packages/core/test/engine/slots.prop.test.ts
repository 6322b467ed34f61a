import {
  currentTaskRun,
  flow,
  sleep,
  task,
  uuid,
  waitAll,
  type FlowRun,
  type Task,
  type TaskFuture,
} from '@troupe/core'
import type { TestEngine } from '@troupe/core/testing'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { counts, Gauge } from '../behaviour/limit-support.ts'
import { quiet, testEngine } from '../behaviour/support.ts'
import { abandoned, hang, or, silent } from '../hard/support.ts'
import { Lives, rest } from '../replay/lives.ts'

/** Which attempts have begun: one that begins twice is a body that ran twice. */
class Begun {
  readonly #seen = new Set<string>()
  readonly twice: string[] = []

  note(): void {
    const { id, attempt } = currentTaskRun()
    const key = `${id} ${attempt}`
    if (this.#seen.has(key)) this.twice.push(key)
    this.#seen.add(key)
  }
}

type Step =
  | { readonly do: 'start'; readonly what: keyof ReturnType<World['define']>; readonly runs: number }
  | { readonly do: 'cancel' | 'pause' | 'resume' | 'cancel task'; readonly which: number }
  | { readonly do: 'slots'; readonly concurrency: number }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'turn'; readonly turns: number }

const most = 3
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant('start' as const),
    what: fc.constantFrom('plain', 'retried', 'impatient', 'nested', 'keyed', 'drawing'),
    runs: fc.integer({ min: 1, max: 4 }),
  }),
  fc.record({ do: fc.constantFrom('cancel', 'pause', 'resume', 'cancel task'), which: fc.nat(12) }),
  fc.record({ do: fc.constant('slots' as const), concurrency: fc.integer({ min: 1, max: most }) }),
  fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 30 }) }),
  fc.record({ do: fc.constant('turn' as const), turns: fc.nat(4) }),
)

class World {
  readonly gauge = new Gauge()
  readonly begun = new Begun()
  readonly #engine: TestEngine
  readonly #futures: TaskFuture<unknown>[] = []
  readonly #runs: FlowRun<void>[] = []

  constructor(engine: TestEngine) {
    this.#engine = engine
  }

  /** Flows whose tasks come to their slots, and to their ends, in every way there is. */
  define() {
    const tags = ['x']
    const body = (ms: number): Promise<string> => {
      this.begun.note()
      return this.gauge.body('', ms)
    }
    const work = task({ name: 'work', tags }, () => body(10))
    const again = task({ name: 'again', tags, retries: 2, retryDelay: 7 }, async () => {
      await body(5)
      if (currentTaskRun().attempt < 3) throw new Error('again')
    })
    const soon = work.with({ waitTimeout: 12, priority: 1 })
    const free = task('free', () => sleep(3))
    const outer = task({ name: 'outer', retries: 2 }, async () => {
      this.begun.note()
      await free()
      if (currentTaskRun().attempt < 3) throw new Error('again')
    })
    const all = (name: string, call: () => TaskFuture<unknown>) =>
      flow({ name, retries: 1 }, async (runs: number) => {
        const own = Array.from({ length: runs }, call)
        this.#futures.push(...own)
        await waitAll(own)
      })
    return {
      plain: all('plain', work),
      retried: all('retried', again),
      impatient: all('impatient', soon),
      nested: all('nested', outer),
      keyed: all('keyed', work),
      drawing: all('drawing', () => {
        uuid()
        return work()
      }),
    }
  }

  async #do(one: Step, number: number, flows: ReturnType<World['define']>): Promise<void> {
    if (one.do === 'start') {
      const options = one.what === 'keyed' ? { id: `keyed-${number}` } : {}
      this.#runs.push(flows[one.what].with(options)(one.runs).ignore())
    } else if (one.do === 'slots') this.#engine.limits.set({ tag: 'x', concurrency: one.concurrency })
    else if (one.do === 'wait') this.#engine.clock.advance(one.ms)
    else if (one.do === 'turn') await quiet(one.turns)
    else {
      const run = this.#runs[one.which % Math.max(1, this.#runs.length)]
      if (one.do === 'cancel') void run?.cancel()
      else if (one.do === 'pause') void run?.pause()
      else if (one.do === 'resume') void run?.resume()
      else void this.#futures[one.which % Math.max(1, this.#futures.length)]?.cancel()
    }
  }

  /** @returns What the flow runs came to: their terminal states, or that they never end. */
  async play(steps: readonly Step[]): Promise<unknown> {
    const flows = this.define()
    for (const [number, one] of steps.entries()) await this.#do(one, number, flows)
    await quiet()
    for (const run of this.#runs) await run.resume()
    return or(this.#engine.clock, Promise.all(this.#runs.map((run) => run.wait())))
  }
}

it('all slots come back, whatever is cancelled, paused, tried again and raised at whatever moment', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async (steps) => {
      await using engine = testEngine({
        limits: [
          { tag: 'x', concurrency: 1 },
          { task: 'outer', concurrency: 2 },
          { flow: 'keyed', concurrency: 1 },
        ],
      })
      const world = new World(engine)
      expect(await world.play(steps)).not.toBe(hang)
      // The only deadline left is that of `or`.
      expect([counts(engine), engine.clock.waiting]).toEqual(['0/0 0/0 0/0', 1])
      expect([world.begun.twice, world.gauge.most <= most]).toEqual([[], true])
    }),
    { numRuns: 100 },
  )
})

/** A task run that calls others, which it waits for all at once. */
interface Plan {
  readonly task: number
  /** Its own; those that it calls have them, too. */
  readonly tags: readonly string[]
  /** Equal ones are one call to the cache; undefined where it has no part in it. */
  readonly key: string | undefined
  readonly priority: number
  /** How long it works before it calls the others. */
  readonly ms: number
  readonly calls: readonly Plan[]
}

const { plan } = fc.letrec<{ plan: Plan }>((tie) => ({
  plan: fc.record({
    task: fc.nat(3),
    tags: fc.subarray(['x', 'y']),
    key: fc.option(fc.constantFrom('k', 'l'), { nil: undefined }),
    priority: fc.nat(1),
    ms: fc.nat(3),
    calls: fc.oneof({ maxDepth: 3 }, fc.constant([]), fc.array(tie('plan'), { maxLength: 3 })),
  }),
}))

const limit = fc.record({
  concurrency: fc.integer({ min: 1, max: 2 }),
  rate: fc.option(fc.record({ count: fc.integer({ min: 1, max: 2 }), per: fc.constant(5) }), {
    nil: undefined,
  }),
})
const targets = [{ task: 'tangled-0' }, { task: 'tangled-1' }, { tag: 'x' }, { tag: 'y' }] as const
const limits = fc.tuple(limit, limit, limit, limit).map((all) =>
  all.map(({ concurrency, rate }, number) => ({
    ...(targets[number] ?? fail()),
    concurrency,
    ...(rate === undefined ? undefined : { rate }),
  })),
)
const trees = fc.array(plan, { minLength: 1, maxLength: 6, size: 'max' })

let tangled = new Begun()
const call = (one: Plan): TaskFuture<string> =>
  (tangledTasks[one.task] ?? fail()).with({ priority: one.priority, tags: one.tags })(one)
// One that fails for a deadlock is a run like every other.
const tangledTasks: Task<[Plan], string>[] = [0, 1, 2, 3].map((number) =>
  task({ name: `tangled-${number}`, cacheKey: ({ key }: Plan) => key }, async ({ ms, calls }: Plan) => {
    tangled.note()
    await sleep(ms)
    await waitAll(calls.map(call))
    return 'done'
  }),
)
const tangle = flow('tangle', async (plans: Plan[]) => {
  await waitAll(plans.map(call))
})

it('all runs end, whatever they call, wait for and take from the cache', async () => {
  await fc.assert(
    fc.asyncProperty(trees, limits, async (plans, given) => {
      await using engine = testEngine({ limits: given })
      tangled = new Begun()
      expect(await or(engine.clock, tangle(plans))).not.toBe(hang)
      expect([counts(engine), engine.clock.waiting, tangled.twice]).toEqual(['0/0 0/0 0/0 0/0', 1, []])
    }),
    { numRuns: 400 },
  )
})

it('all runs end in the process that takes them over, too', async () => {
  await fc.assert(
    fc.asyncProperty(trees, limits, fc.nat(20), async (plans, given, ms) => {
      const lives = new Lives()
      const first = lives.start({ limits: given, logger: silent })
      const run = abandoned(first.run(tangle, plans))
      await or(lives.clock, run, ms)
      await first.close()
      // What began just when the first process went may begin again: a body runs at least once.
      tangled = new Begun()
      await using second = lives.start({ limits: given, logger: silent })
      const [unfinished] = await second.recover()
      expect(await or(lives.clock, unfinished?.result() ?? Promise.resolve())).not.toBe(hang)
      await rest()
      expect([counts(second), tangled.twice]).toEqual(['0/0 0/0 0/0 0/0', []])
    }),
    { numRuns: 100 },
  )
})

function fail(): never {
  throw new RangeError('there is no such task')
}
