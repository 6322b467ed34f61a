import {
  type Journal,
  ConcurrentTaskRunner,
  flow,
  sleep,
  task,
  TroupeError,
  type Flow,
  type Task,
  type TaskRunner,
  type Transition,
} from '@troupe/core'
import { InProcessPool } from '@troupe/core/internal'
import {
  checkTransitions,
  crashingJournal,
  createTestEngine,
  seededRandom,
  virtualClock,
} from '@troupe/core/testing'
import { memoryJournal } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { rest } from './lives.ts'

/** One step of a made-up body. */
type Step =
  | { readonly kind: 'call'; readonly body: Program; readonly wait: boolean; readonly as: 'task' | 'flow' }
  | { readonly kind: 'all' | 'race' | 'settled'; readonly bodies: readonly Program[] }
  | { readonly kind: 'chain'; readonly first: Program; readonly then: Program }
  | { readonly kind: 'sleep'; readonly ms: number }

/** A made-up body: its steps, then how it ends. */
interface Program {
  readonly name: string
  readonly turns: number
  readonly fails: 'never' | 'first' | 'always'
  readonly retries: number
  readonly steps: readonly Step[]
}

interface Chance {
  number(): number
}

function make(chance: Chance, name: string, depth: number): Program {
  const pick = (n: number): number => Math.floor(chance.number() * n)
  const sub = (at: number): Program => make(chance, `${name}.${at}`, depth - 1)
  const steps: Step[] = []
  const count = depth === 0 ? 0 : pick(4)
  for (let at = 0; at < count; at++) {
    const roll = pick(8)
    if (roll < 3)
      steps.push({ kind: 'call', body: sub(at), wait: roll > 0, as: pick(5) === 0 ? 'flow' : 'task' })
    else if (roll === 3) steps.push({ kind: 'all', bodies: [sub(at), sub(at + 10), sub(at + 20)] })
    else if (roll === 4) steps.push({ kind: 'race', bodies: [sub(at), sub(at + 10)] })
    else if (roll === 5) steps.push({ kind: 'settled', bodies: [sub(at), sub(at + 10)] })
    else if (roll === 6) steps.push({ kind: 'chain', first: sub(at), then: sub(at + 10) })
    else steps.push({ kind: 'sleep', ms: pick(20) })
  }
  const fails = (['never', 'never', 'never', 'first', 'always'] as const)[pick(5)] ?? 'never'
  return { name, turns: pick(4), fails, retries: pick(3) === 0 ? 1 : 0, steps }
}

let seen = new Map<string, number>()

async function perform(program: Program): Promise<string> {
  const log: string[] = []
  const told = (promise: PromiseLike<string>): Promise<string> =>
    Promise.resolve(promise).catch(
      (error: unknown) => `!${(error as TroupeError).code ?? (error as Error).message}`,
    )
  for (const step of program.steps) {
    if (step.kind === 'sleep') await sleep(step.ms)
    else if (step.kind === 'call') {
      const future = step.as === 'flow' ? flowOf(step.body)(step.body) : taskOf(step.body)(step.body)
      if (step.wait) log.push(await told(future))
      else future.ignore()
    } else if (step.kind === 'chain') {
      const first = taskOf(step.first)(step.first)
      log.push(await told(taskOf(step.then).with({ waitFor: first })(step.then)))
    } else {
      const futures = step.bodies.map((body) => taskOf(body)(body))
      if (step.kind === 'race') log.push(await told(Promise.race(futures)))
      else if (step.kind === 'all') log.push(await told(Promise.all(futures).then((all) => all.join('&'))))
      else log.push((await Promise.all(futures.map(told))).join('|'))
    }
  }
  for (let turn = 0; turn < program.turns; turn++) await new Promise((resolve) => setImmediate(resolve))
  const before = seen.get(program.name) ?? 0
  seen.set(program.name, before + 1)
  if (program.fails === 'always' || (program.fails === 'first' && before === 0))
    throw new RangeError(`${program.name} failed`)
  return `${program.name}(${log.join(',')})`
}

function taskOf({ retries }: Program): Task<[Program], string> {
  return retries > 0 ? tried : plain
}
function flowOf({ retries }: Program): Flow<[Program], string> {
  return retries > 0 ? triedFlow : plainFlow
}
const plain = task('plain', perform)
const tried = task({ name: 'tried', retries: 1 }, perform)
const plainFlow = flow('plain-flow', perform)
const triedFlow = flow({ name: 'tried-flow', retries: 1 }, perform)

const oneAtATime: TaskRunner = {
  name: 'one',
  mode: 'sequential',
  createPool: (host) => new InProcessPool(host, 1, true),
}
const runners: Record<string, TaskRunner> = {
  'no limit': new ConcurrentTaskRunner(),
  'a limit of 2': new ConcurrentTaskRunner({ limit: 2 }),
  'one at a time': oneAtATime,
}

/** A journal that answers some turns of the event loop later. */
function late(journal: Journal, chance: Chance): Journal {
  const turns = async (): Promise<void> => {
    for (let left = Math.floor(chance.number() * 6); left > 0; left--)
      await new Promise((resolve) => setImmediate(resolve))
  }
  return {
    encodes: journal.encodes,
    append: async (request) => {
      await turns()
      const answer = await journal.append(request)
      await turns()
      return answer
    },
    read: async (id, from, limit) => {
      const entries = await journal.read(id, from, limit)
      await turns()
      return entries
    },
    summary: (id) => journal.summary(id),
    list: (query) => journal.list(query),
    delete: (id) => journal.delete(id),
    subscribe: (listener) => journal.subscribe(listener),
    close: () => journal.close(),
  }
}

const journals: Record<string, (chance: Chance) => Journal> = {
  'a journal that answers at once': () => memoryJournal(),
  'a journal that answers late': (chance) => late(memoryJournal(), chance),
}
const worlds = Object.entries(runners).flatMap(([runner, taskRunner]) =>
  Object.entries(journals).map(([journal, open]) => ({ name: `${runner} and ${journal}`, taskRunner, open })),
)

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

/** Everything in a journal, whichever flow run it belongs to. */
async function allTransitions(engine: {
  watch(): { subscribe(next: (t: Transition) => void): { unsubscribe(): void } }
}): Promise<Transition[]> {
  const all: Transition[] = []
  const subscription = engine.watch().subscribe((transition) => all.push(transition))
  await rest()
  subscription.unsubscribe()
  return all
}

const seeds = Number(process.env['TROUPE_SEEDS'] ?? 60)

describe.each(worlds)('a made-up program, with $name', ({ taskRunner, open }) => {
  it.each(Array.from({ length: seeds }, (_unused, seed) => seed))(
    'ends in order, and leaves nothing behind (seed %i)',
    async (seed) => {
      seen = new Map()
      const chance = seededRandom(seed)
      const program = make(chance, 'p', 3)
      await using engine = createTestEngine({ seed, journal: open(chance) })
      // That a program failed before anybody asked is no news here.
      engine.errors.subscribe()
      const run = engine.run(plainFlow.with({ taskRunner }), program)
      // Two of three are cancelled somewhere on their way.
      const cancelAfter = chance.number() < 0.33 ? Number.POSITIVE_INFINITY : Math.floor(chance.number() * 60)
      for (let turn = 0; turn < cancelAfter && turn < 60; turn++)
        await new Promise((resolve) => setImmediate(resolve))
      if (cancelAfter !== Number.POSITIVE_INFINITY) void run.cancel('enough')
      const state = await engine.settle(run.wait())
      expect(terminal.has(state.type)).toBe(true)
      checkHistory(await allTransitions(engine))
      expect(engine.health()).toMatchObject({ liveRuns: 0, stalled: [] })
      // The slots are back: another flow gets through.
      expect(
        await engine.settle(
          engine.run(plainFlow.with({ taskRunner }), { ...make(seededRandom(1), 'q', 0), fails: 'never' }),
        ),
      ).toBe('q()')
    },
  )
})

describe('a made-up program whose process dies', () => {
  const ended = async (
    program: Program,
    deaths: readonly number[],
  ): Promise<{ outcome: string; entries: number }> => {
    seen = new Map()
    const journal = memoryJournal()
    const clock = virtualClock()
    let entries = 0
    for (const [life, afterEntries] of [...deaths, Number.POSITIVE_INFINITY].entries()) {
      const dying = crashingJournal(journal, { afterEntries })
      const engine = createTestEngine({ journal: dying, clock, seed: life })
      const [known] = await journal.list({ limit: 1 })
      const again = known?.ended === true ? await engine.get(known.flowRunId) : (await engine.recover())[0]
      const run = known === undefined ? engine.run(plainFlow.with({ maxRecoveries: 9 }), program) : again
      const how =
        run === undefined
          ? 'dead'
          : await clock.run(Promise.race([run.wait().then(() => 'ended'), dying.death.then(() => 'dead')]))
      entries += dying.stored
      if (how === 'ended' && run !== undefined) {
        checkHistory(await allTransitions(engine))
        const outcome = await run.result().catch((error: unknown) => `!${(error as Error).message}`)
        await engine.close()
        return { outcome: String(outcome), entries }
      }
      await rest()
    }
    throw new RangeError('it never ended')
  }
  /** Without bodies that fail by how often they ran: a crash makes them run again. */
  const steady = (program: Program): Program => ({
    ...program,
    fails: program.fails === 'first' ? 'never' : program.fails,
    steps: program.steps.map((step): Step => {
      if (step.kind === 'call') return { ...step, body: steady(step.body) }
      if (step.kind === 'chain') return { ...step, first: steady(step.first), then: steady(step.then) }
      return step.kind === 'sleep'
        ? step
        : { ...step, bodies: step.bodies.map(steady), kind: step.kind === 'race' ? 'settled' : step.kind }
    }),
  })

  it.each(Array.from({ length: seeds }, (_unused, seed) => seed))(
    'ends as it would have (seed %i)',
    async (seed) => {
      const chance = seededRandom(seed + 1_000)
      const program = steady(make(chance, 'p', 3))
      const whole = await ended(program, [])
      for (let trial = 0; trial < 6; trial++) {
        const first = 2 + Math.floor(chance.number() * Math.max(whole.entries - 2, 1))
        const deaths = trial < 4 ? [first] : [first, 2 + Math.floor(chance.number() * 6)]
        const { outcome } = await ended(program, deaths)
        expect({ deaths, outcome }).toEqual({ deaths, outcome: whole.outcome })
      }
    },
  )
})
