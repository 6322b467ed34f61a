import {
  ConcurrentTaskRunner,
  currentTaskRun,
  flow,
  inputs,
  memoryCache,
  memoryJournal,
  sleep,
  task,
  type Engine,
  type Flow,
  type FlowCallOptions,
  type FlowRunHandle,
  type Limit,
  type RunHandle,
  type Task,
  type TaskCallOptions,
  type TroupeError,
  type Transition,
} from '@troupe/core'
import {
  checkTransitions,
  crashingJournal,
  createTestEngine,
  seededRandom,
  virtualClock,
  type TestEngine,
  type VirtualClock,
} from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { delayed, silent } from '../hard/support.ts'
import { rest } from './lives.ts'
import { mortalClock } from './mortal-clock.ts'

/** A made-up body: how it is called, its steps, then how it ends. */
interface Program {
  readonly name: string
  readonly kind: 'task' | 'flow'
  readonly options: Options
  readonly steps: readonly Step[]
  /** How long it takes at the end, and whether it ends before its time limit at all. */
  readonly ms: number
  readonly hangs: boolean
  readonly heeds: boolean
  readonly fails: 'never' | 'first' | 'always'
}

/** What can go through a journal: the options of a call are made of it. */
interface Options {
  readonly retries: number
  readonly delay: number
  readonly timeout: number
  readonly waitTimeout: number
  readonly priority: number
  readonly tags: readonly string[]
  readonly cached: boolean
  readonly cancels: boolean
}

type Step =
  | { readonly kind: 'call'; readonly body: Program; readonly wait: boolean }
  | { readonly kind: 'all' | 'race' | 'settled'; readonly bodies: readonly Program[] }
  | { readonly kind: 'chain'; readonly first: Program; readonly then: Program }
  | { readonly kind: 'sleep'; readonly ms: number }

interface Chance {
  number(): number
}

/** What programs may have besides. */
interface Wild {
  /** What depends on how long things take: races, waiting limits, tags of bodies that submit runs. */
  readonly timing: boolean
}

class Maker {
  readonly #chance: Chance
  readonly #wild: Wild

  constructor(chance: Chance, wild: Wild) {
    this.#chance = chance
    this.#wild = wild
  }

  #pick(n: number): number {
    return Math.floor(this.#chance.number() * n)
  }

  #of<T>(...items: readonly [T, ...T[]]): T {
    return items[this.#pick(items.length)] ?? items[0]
  }

  /** A program whose body does something. */
  make(name: string, depth: number): Program {
    return { ...this.#body(name, depth, 2 + this.#pick(4)), fails: 'never' }
  }

  #body(name: string, depth: number, count = depth === 0 ? 0 : this.#pick(4)): Program {
    const { timing } = this.#wild
    if (count === 0 && this.#pick(4) === 0) return this.#cached()
    const steps = Array.from({ length: count }, (_, at) => this.#step(`${name}.${at}`, depth - 1))
    const isLeaf = steps.length === 0
    const hangs = this.#pick(10) === 0
    return {
      name,
      kind: !isLeaf && this.#pick(4) === 0 ? 'flow' : 'task',
      steps,
      hangs,
      heeds: this.#pick(4) > 0,
      ms: this.#of(0, 0, 5, 20, 100),
      fails: timing
        ? this.#of('never', 'never', 'never', 'first', 'always')
        : this.#of('never', 'never', 'never', 'always'),
      options: {
        retries: this.#of(0, 0, 1, 2),
        delay: this.#of(0, 10, 1_000),
        timeout: hangs ? 500 : timing ? this.#of(0, 0, 0, 30, 300) : 0,
        waitTimeout: timing ? this.#of(0, 0, 0, 0, 50) : 0,
        priority: this.#of(0, 0, 1, -1, 5),
        tags:
          isLeaf || (timing && this.#pick(4) === 0)
            ? this.#of<readonly string[]>([], ['a'], ['b'], ['a', 'b'])
            : [],
        cached: false,
        cancels: timing && this.#pick(3) === 0,
      },
    }
  }

  /** One of few bodies, each of which is always called in the same way. */
  #cached(): Program {
    const { a, b, x, y, z } = cachedBodies
    return this.#wild.timing ? this.#of(a, b, x, y, z) : this.#of(a, b)
  }

  #step(name: string, depth: number): Step {
    const sub = (at: string): Program => this.#body(`${name}${at}`, depth)
    switch (this.#pick(this.#wild.timing ? 8 : 7)) {
      case 0:
        return { kind: 'all', bodies: [sub('a'), sub('b'), sub('c')] }
      case 1:
        return { kind: 'settled', bodies: [sub('a'), sub('b'), sub('c')] }
      case 2:
        return { kind: 'chain', first: sub('a'), then: sub('b') }
      case 3:
        return { kind: 'sleep', ms: this.#pick(20) }
      case 7:
        return { kind: 'race', bodies: [sub('a'), sub('b')] }
      default:
        return { kind: 'call', body: sub('a'), wait: this.#pick(4) > 0 }
    }
  }
}

function cachedBody(name: string, tags: readonly string[], steps: readonly Step[] = []): Program {
  const options = {
    retries: 0,
    delay: 0,
    timeout: 0,
    waitTimeout: 0,
    priority: 0,
    tags,
    cached: true,
    cancels: false,
  }
  return { name, kind: 'task', steps, hangs: false, heeds: true, ms: 7, fails: 'never', options }
}

/** Bodies with results that are shared, some of which need slots that their callers may have, and each other's results. */
const cachedBodies = ((): Readonly<Record<'a' | 'b' | 'x' | 'y' | 'z', Program>> => {
  const a = cachedBody('ca', ['a'])
  const b = cachedBody('cb', ['b'])
  const plainA: Program = { ...a, name: 'pa', options: { ...a.options, cached: false } }
  const x = cachedBody(
    'cx',
    [],
    [
      { kind: 'settled', bodies: [plainA, b] },
      { kind: 'call', body: a, wait: true },
    ],
  )
  const y = cachedBody('cy', ['b'], [{ kind: 'call', body: x, wait: true }])
  const z = cachedBody(
    'cz',
    [],
    [
      { kind: 'settled', bodies: [y, x, plainA] },
      { kind: 'call', body: y, wait: true },
    ],
  )
  return { a, b, x, y, z }
})()

/** What bodies of one test share. */
class World {
  readonly clock: VirtualClock
  readonly starts = new Map<string, number>()
  /** Bodies at work, by tag; and by tag the most there ever were. */
  readonly now = new Map<string, number>()
  readonly most = new Map<string, number>()

  constructor(clock: VirtualClock) {
    this.clock = clock
  }

  count(tags: readonly string[], by: 1 | -1): void {
    for (const tag of tags) {
      const now = (this.now.get(tag) ?? 0) + by
      this.now.set(tag, now)
      this.most.set(tag, Math.max(this.most.get(tag) ?? 0, now))
    }
  }
}

let world = new World(virtualClock())

async function perform(program: Program): Promise<string> {
  const { clock } = world
  const own = world
  const tags = program.kind === 'task' ? currentTaskRun().tags : []
  const signal = program.kind === 'task' ? currentTaskRun().signal : undefined
  let counted = true
  own.count(tags, 1)
  const leave = (): void => {
    if (counted) own.count(tags, -1)
    counted = false
  }
  // A slot is bound to the run, not to a body that goes on after its run has ended.
  signal?.addEventListener('abort', leave)
  try {
    const log: string[] = []
    for (const step of program.steps) log.push(...(await take(step)))
    const before = own.starts.get(program.name) ?? 0
    own.starts.set(program.name, before + 1)
    const ms = program.hangs ? 10_000 : program.ms
    if (program.heeds && ms > 0) await sleep(ms)
    else if (ms > 0) await new Promise<void>((resolve) => void clock.at(clock.now() + ms, resolve))
    if (program.fails === 'always' || (program.fails === 'first' && before === 0))
      throw new RangeError(`${program.name} failed`)
    return `${program.name}(${log.join(',')})`
  } finally {
    leave()
  }
}

async function take(step: Step): Promise<string[]> {
  const told = (promise: PromiseLike<string>): Promise<string> =>
    Promise.resolve(promise).catch(
      (error: unknown) => `!${(error as TroupeError).code ?? (error as Error).message}`,
    )
  if (step.kind === 'sleep') await sleep(step.ms)
  else if (step.kind === 'call') {
    const future = call(step.body)
    if (step.wait) return [await told(future)]
    future.ignore()
  } else if (step.kind === 'chain') {
    const first = call(step.first)
    return [await told(call(step.then, first))]
  } else {
    const futures = step.bodies.map((body) => call(body))
    if (step.kind === 'race') return [await told(Promise.race(futures))]
    if (step.kind === 'all')
      // Which of them fails first may depend on how long each takes.
      return [
        await Promise.all(futures).then(
          (all) => all.join('&'),
          () => '!',
        ),
      ]
    return [(await Promise.all(futures.map(told))).join('|')]
  }
  return []
}

function call(program: Program, waitFor?: unknown): ReturnType<Task<[Program], string>> {
  const { retries, delay, timeout, waitTimeout, priority, tags, cached, cancels } = program.options
  const common = {
    retries,
    retryDelay: delay,
    retryJitter: delay === 1_000 ? 0.3 : 0,
    timeout: timeout === 0 ? false : timeout,
    waitTimeout: waitTimeout === 0 ? false : waitTimeout,
    priority,
    tags,
    grace: 200,
    maxRecoveries: 9,
    onBodyError: cancels ? 'cancel' : 'wait',
    ...(waitFor === undefined ? undefined : { waitFor }),
  } as const satisfies FlowCallOptions & TaskCallOptions
  if (program.kind === 'flow')
    return below.with(common)(program) as unknown as ReturnType<Task<[Program], string>>
  return plain.with(cached ? { ...common, cache: inputs() } : common)(program)
}

const plain: Task<[Program], string> = task('r-plain', perform)
const below: Flow<[Program], string> = flow('r-below', perform)
const top = flow({ name: 'r-top', maxRecoveries: 9, grace: 500 }, perform)
const narrow = flow(
  { name: 'r-narrow', maxRecoveries: 9, grace: 500, taskRunner: new ConcurrentTaskRunner({ limit: 3 }) },
  perform,
)

const limits: readonly Limit[] = [
  { tag: 'a', concurrency: 1 },
  { tag: 'b', concurrency: 2, rate: { count: 4, per: '100ms' } },
  { flow: 'r-below', concurrency: 2 },
]

const terminal = new Set(['COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED'])

/** Legal histories, all of them ended, and no run ended before one that it submitted. */
function checkHistory(transitions: readonly Transition[]): void {
  checkTransitions(transitions)
  const last = new Map(transitions.map((transition) => [transition.runId, transition]))
  const ends = [...last.values()]
  expect(ends.filter(({ to }) => !terminal.has(to.type))).toEqual([])
  const early = ends.filter(({ parentRunId, flowRunId, position }) => {
    const parent = parentRunId === undefined ? undefined : last.get(parentRunId)
    return parent?.flowRunId === flowRunId && parent.position < position
  })
  expect(early).toEqual([])
}

const lineOf = ({ flowRunId, position, runName, to, seq, attempt, at }: Transition): string =>
  `${flowRunId} ${position}: ${runName} ${seq} ${to.name} ${attempt} ${at} ${to.message ?? ''}`

/** Everything in a journal, whichever flow run it belongs to. */
async function allTransitions(engine: Engine): Promise<Transition[]> {
  const all: Transition[] = []
  const subscription = engine.watch().subscribe((transition) => all.push(transition))
  await rest()
  subscription.unsubscribe()
  return all
}

/** Nothing is left of the runs of an engine, and what was shown live is what the journal says. */
async function checkLeft(engine: Engine, live: readonly Transition[]): Promise<string[]> {
  const all = await allTransitions(engine)
  checkHistory(all)
  const lines = all.map(lineOf)
  const known = new Set(lines)
  expect(live.map(lineOf).filter((line) => !known.has(line))).toEqual([])
  expect(engine.health()).toMatchObject({ liveRuns: 0, stalled: [] })
  expect(engine.limits.list().map(({ held, waiting }) => held + waiting)).toEqual(limits.map(() => 0))
  return lines
}

const seeds = Array.from({ length: Number(process.env['TROUPE_SEEDS'] ?? 100) }, (_unused, seed) => seed)

describe('a made-up program with options', () => {
  /** Cancels, pauses and resumes a run, and changes limits, in turns of the event loop that chance decides on. */
  const disturb = async (engine: TestEngine, run: RunHandle<string>, chance: Chance): Promise<void> => {
    const live = run as unknown as { pause(): Promise<unknown>; resume(): Promise<unknown> }
    const times = Math.floor(chance.number() * 6)
    for (let left = times; left > 0; left--) {
      for (let turns = Math.floor(chance.number() * 30); turns > 0; turns--)
        await new Promise((resolve) => setImmediate(resolve))
      // The time of what waits comes early now and then.
      if (chance.number() < 0.7) engine.clock.advance(chance.number() * 100)
      const what = chance.number()
      if (what < 0.15) void run.cancel('enough')
      else if (what < 0.7) {
        void live.pause()
        for (let turns = Math.floor(chance.number() * 30); turns > 0; turns--)
          await new Promise((resolve) => setImmediate(resolve))
        void live.resume()
      } else {
        engine.limits.set({ tag: 'a', concurrency: what < 0.85 ? 2 : 1 })
        if (what > 0.95 && engine.limits.remove({ tag: 'a' })) engine.limits.set({ tag: 'a', concurrency: 1 })
      }
    }
  }

  const lived = async (seed: number): Promise<string[]> => {
    const chance = seededRandom(seed)
    const program = new Maker(chance, { timing: true }).make('p', 3)
    const clock = virtualClock()
    // Every fourth journal answers late, until all is over.
    let late = seed % 4 === 1 ? 60 : 0
    const journal = delayed(memoryJournal(), clock, {
      append: () => chance.number() * late,
      read: () => chance.number() * late,
    })
    const strictValues = seed % 3 !== 1
    const engine = createTestEngine({ seed, limits, logger: silent, strictValues, journal, clock })
    world = new World(engine.clock)
    const live: Transition[] = []
    engine.transitions.subscribe((transition) => void live.push(transition))
    engine.errors.subscribe()
    const run = engine.run(seed % 3 === 0 ? narrow : top, program)
    await disturb(engine, run.handle, chance)
    expect(terminal.has((await engine.settle(run.wait())).type)).toBe(true)
    late = 0
    // Bodies that did not heed their signal end by themselves.
    engine.clock.advance(60_000)
    await rest()
    const lines = await checkLeft(engine, live)
    expect(engine.health().leftovers).toEqual([])
    expect(world.most.get('b') ?? 0).toBeLessThanOrEqual(2)
    await engine.close()
    expect(engine.clock.waiting).toBe(0)
    return lines
  }

  it.each(seeds)('ends in order, and leaves nothing behind (seed %i)', async (seed) => {
    expect(await lived(seed)).not.toEqual([])
  })

  it.each(seeds.filter((seed) => seed % 10 === 0))('ends in the same way again (seed %i)', async (seed) => {
    expect(await lived(seed)).toEqual(await lived(seed))
  })
})

describe('a made-up program with options whose process dies', () => {
  const ended = async (
    program: Program,
    deaths: readonly number[],
    { keepsCache, strictValues }: { keepsCache: boolean; strictValues: boolean },
  ): Promise<{ outcome: string; entries: number }> => {
    const journal = memoryJournal()
    const clock = virtualClock()
    const cache = memoryCache()
    let entries = 0
    for (const [life, afterEntries] of [...deaths, Number.POSITIVE_INFINITY].entries()) {
      const dying = crashingJournal(journal, { afterEntries })
      const time = mortalClock(clock)
      world = new World(time)
      const engine = createTestEngine({
        journal: dying,
        clock: time,
        seed: life,
        limits,
        logger: silent,
        strictValues,
        cache: keepsCache ? cache : memoryCache(),
      })
      const live: Transition[] = []
      engine.transitions.subscribe((transition) => void live.push(transition))
      engine.errors.subscribe()
      const [known] = await journal.list({ limit: 1 })
      const again = known?.ended === true ? await engine.get(known.flowRunId) : (await engine.recover())[0]
      const run = known === undefined ? engine.run(top, program) : again
      const how =
        run === undefined
          ? 'dead'
          : await clock.run(Promise.race([run.wait().then(() => 'ended'), dying.death.then(() => 'dead')]))
      entries += dying.stored
      if (how === 'ended' && run !== undefined) {
        clock.advance(60_000)
        await rest()
        await checkLeft(engine, live)
        expect(engine.health().leftovers).toEqual([])
        expect(world.most.get('a') ?? 0).toBeLessThanOrEqual(1)
        const outcome = await run.result().catch((error: unknown) => `!${(error as Error).message}`)
        await engine.close()
        expect(time.armed).toBe(0)
        return { outcome: String(outcome), entries }
      }
      time.die()
      await rest()
    }
    throw new RangeError('it never ended')
  }

  it.each(seeds)('ends as it would have (seed %i)', async (seed) => {
    const chance = seededRandom(seed + 1_000)
    const program = new Maker(chance, { timing: false }).make('p', 2)
    const strictValues = seed % 3 !== 1
    const whole = await ended(program, [], { keepsCache: true, strictValues })
    for (let trial = 0; trial < 3; trial++) {
      const first = 2 + Math.floor(chance.number() * Math.max(whole.entries - 2, 1))
      const deaths = trial < 2 ? [first] : [first, 2 + Math.floor(chance.number() * 6)]
      const { outcome } = await ended(program, deaths, { keepsCache: trial === 1, strictValues })
      expect({ deaths, outcome }).toEqual({ deaths, outcome: whole.outcome })
    }
  })
})

describe('a made-up program with options that another engine takes over', () => {
  it.each(seeds.slice(0, Math.ceil(seeds.length / 2)))(
    'ends as it would have, on both (seed %i)',
    async (seed) => {
      const chance = seededRandom(seed + 2_000)
      const program = new Maker(chance, { timing: false }).make('p', 2)
      const journal = memoryJournal()
      const clock = virtualClock()
      world = new World(clock)
      const live: Transition[] = []
      const open = (): TestEngine => {
        const engine = createTestEngine({ journal, clock, seed: live.length, limits, logger: silent })
        engine.transitions.subscribe((transition) => void live.push(transition))
        engine.errors.subscribe()
        return engine
      }
      const engines = [open()]
      const [first] = engines
      const run = first?.run(top, program)
      // Each of the others takes the run from the one before, which notices when it writes next.
      for (let left = 1 + Math.floor(chance.number() * 2); left > 0; left--) {
        for (let turns = Math.floor(chance.number() * 40); turns > 0; turns--)
          await new Promise((resolve) => setImmediate(resolve))
        if (chance.number() < 0.5) clock.advance(chance.number() * 200)
        const next = open()
        engines.push(next)
        await next.recover()
      }
      const outcome = await clock.run(
        Promise.resolve(run).catch((error: unknown) => `!${(error as Error).message}`),
      )
      clock.advance(60_000)
      await rest()
      for (const engine of engines) await checkLeft(engine, live)
      for (const engine of engines) await engine.close()
      expect(clock.waiting).toBe(0)
      await using whole = createTestEngine({ limits, logger: silent })
      whole.errors.subscribe()
      world = new World(whole.clock)
      const expected = await whole
        .settle(whole.run(top, program))
        .catch((error: unknown) => `!${(error as Error).message}`)
      expect(outcome).toBe(expected)
    },
  )
})

describe('a made-up program with options that is paused, and whose engine is closed', () => {
  it.each(seeds.slice(0, Math.ceil(seeds.length / 2)))('ends as it would have (seed %i)', async (seed) => {
    const chance = seededRandom(seed + 3_000)
    const program = new Maker(chance, { timing: false }).make('p', 2)
    const journal = memoryJournal()
    const clock = virtualClock()
    world = new World(clock)
    const live: Transition[] = []
    const turns = async (most: number): Promise<void> => {
      for (let left = Math.floor(chance.number() * most); left > 0; left--)
        await new Promise((resolve) => setImmediate(resolve))
      if (chance.number() < 0.5) clock.advance(chance.number() * 200)
    }
    const told = (run: PromiseLike<unknown>): Promise<unknown> =>
      Promise.resolve(run).catch((error: unknown) => `!${(error as Error).message}`)
    let outcome: unknown
    for (let lives = 2 + Math.floor(chance.number() * 2); lives >= 0; lives--) {
      const engine = createTestEngine({ journal, clock, seed: lives, limits, logger: silent })
      engine.transitions.subscribe((transition) => void live.push(transition))
      engine.errors.subscribe()
      const [known] = await journal.list({ limit: 1 })
      const ended = known === undefined ? undefined : await engine.get(known.flowRunId)
      const run =
        known === undefined ? engine.run(top, program).handle : ((await engine.recover())[0] ?? ended)
      const flowRun = run as FlowRunHandle<unknown>
      await turns(40)
      void flowRun.pause()
      await turns(20)
      if (chance.number() < 0.6) void flowRun.resume()
      await turns(20)
      if (lives === 0) {
        // Whatever it was told: it goes on now.
        await clock.run(flowRun.resume())
        outcome = await clock.run(told(flowRun.result()))
        clock.advance(60_000)
        await rest()
        await checkLeft(engine, live)
      } else void told(flowRun.result())
      await engine.close()
    }
    expect(clock.waiting).toBe(0)
    await using whole = createTestEngine({ limits, logger: silent })
    whole.errors.subscribe()
    world = new World(whole.clock)
    expect(outcome).toBe(await whole.settle(told(whole.run(top, program))))
  })
})
