import {
  currentTaskRun,
  flowParameters,
  inputs,
  runId,
  sleep,
  task,
  withTags,
  type Limit,
  type RunHandle,
  type TaskOptions,
} from '@troupe/core'
import { crashingJournal } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { atFirst, counts } from '../behaviour/limit-support.ts'
import { code, deferred, outcomeOf, quiet, testEngine } from '../behaviour/support.ts'
import { histories, Lives, rest } from '../replay/lives.ts'
import { forever, later, or, pass, silent } from './support.ts'

const again = atFirst(
  () => {
    throw new Error('again')
  },
  () => 'done',
)

/** A task run outside any flow, each with one thing that options may ask for, and the states that it goes through. */
const cases: Record<
  string,
  { options: Omit<TaskOptions, 'parameters'>; body?: () => unknown; steps: string; limits?: Limit[] }
> = {
  'a retry that waits': {
    options: { retries: 1, retryDelay: '1m' },
    body: again,
    steps: 'Pending Running AwaitingRetry Retrying Completed',
  },
  'a retry at once': { options: { retries: 1 }, body: again, steps: 'Pending Running Retrying Completed' },
  'a time limit': { options: { timeout: '1s' }, body: () => sleep('1h'), steps: 'Pending Running TimedOut' },
  'a slot': {
    options: { tags: ['db'] },
    limits: [{ tag: 'db', concurrency: 1 }],
    steps: 'Pending Running Completed',
  },
  'a rate': {
    options: {},
    limits: [{ task: 'root', rate: { count: 1, per: '1s' } }],
    steps: 'Pending Running Completed',
  },
  'a cached result': { options: { cache: [inputs(), flowParameters()] }, steps: 'Pending Running Completed' },
  'a cached result of its own': { options: { cache: runId() }, steps: 'Pending Running Completed' },
  'a time to wait': { options: { waitTimeout: '1s' }, steps: 'Pending Running Completed' },
  'a name': { options: { runName: 'called {0}' }, steps: 'Pending Running Completed' },
  'a hook that throws': {
    options: {
      onRunning: () => {
        throw new Error('a hook of its own')
      },
    },
    steps: 'Pending Running Completed',
  },
}

describe('a task run outside any flow', () => {
  it.each(Object.entries(cases))('may have %s', async (_, { options, body, steps, limits = [] }) => {
    await using engine = testEngine({ limits })
    engine.errors.subscribe()
    const root = task({ name: 'root', ...options }, (text: string) => body?.() ?? text)
    const run: RunHandle<unknown> = root('x')
    await outcomeOf(engine, run)
    expect(Object.values(await histories(engine, run.id))).toEqual([steps])
    expect([counts(engine).replaceAll('0/0', '').trim(), engine.health().liveRuns]).toEqual(['', 0])
  })

  it.each(Object.entries(cases))(
    'ends as it would have, wherever its process dies, with %s',
    async (_, given) => {
      const { options, body, limits = [] } = given
      const run = async (afterEntries: number): Promise<{ stored: number; end: string }> => {
        const lives = new Lives()
        const journal = crashingJournal(lives.journal, { afterEntries })
        const first = lives.start({ journal, limits, logger: silent })
        const root = task({ name: 'root', ...options }, body ?? (() => 'done'))
        const started = root() as unknown as RunHandle<unknown>
        const ended = started.wait().then(
          ({ name }) => name,
          () => 'lost',
        )
        const end = await lives.clock.run(Promise.race([journal.death.then(() => 'dead'), ended]))
        await first.close()
        if (end !== 'dead') return { stored: journal.stored, end }
        await using second = lives.start({ limits, logger: silent })
        const [recovered] = await second.recover()
        const state = recovered === undefined ? 'nothing' : await or(lives.clock, recovered.wait())
        return { stored: journal.stored, end: (state as { name: string }).name }
      }
      const whole = await run(Number.POSITIVE_INFINITY)
      for (let at = 2; at < whole.stored; at++)
        expect.soft({ at, end: (await run(at)).end }).toEqual({ at, end: whole.end })
    },
  )

  it('gives its result to equal calls, and takes it from them', async () => {
    await using engine = testEngine()
    let calls = 0
    const root = task({ name: 'shared', cache: inputs() }, async (n: number) => {
      calls++
      await later(engine.clock, 10)
      return n
    })
    const runs = [root(1), root(1), root(2)]
    expect(await engine.settle(Promise.all(runs))).toEqual([1, 1, 2])
    expect(await engine.settle(root(1))).toBe(1)
    expect(calls).toBe(2)
  })

  it('is cancelled in every state', async () => {
    await using engine = testEngine({ limits: [{ task: 'limited', concurrency: 1 }] })
    const limited = task(
      { name: 'limited', retries: 1, retryDelay: '1h', grace: 5 },
      async (fails: boolean) => {
        if (fails) throw new Error('again')
        await forever()
      },
    )
    const waits = limited(true)
    await quiet()
    const runs = limited(false)
    await quiet()
    const queued = limited(false)
    await quiet()
    expect([waits, runs, queued].map(({ state }) => state.name)).toEqual([
      'AwaitingRetry',
      'Running',
      'AwaitingConcurrencySlot',
    ])
    const ends = await or(
      engine.clock,
      Promise.all([waits, runs, queued].map((run) => run.ignore().cancel())),
    )
    expect(ends).toMatchObject([{ name: 'Cancelled' }, { name: 'Cancelled' }, { name: 'Cancelled' }])
    expect(counts(engine)).toBe('0/0')
  })

  it('has the tags of the scope, also when it was recovered', async () => {
    const lives = new Lives()
    const first = lives.start({ logger: silent })
    const root = task({ name: 'root-of-scope', tags: ['own'] }, async () => {
      await sleep(10)
      return currentTaskRun().tags
    })
    withTags(['scope'], () => withTags(['inner'], () => root())).ignore()
    await rest()
    await first.close()
    await using second = lives.start()
    const [run] = await second.recover()
    expect(await or(lives.clock, run?.result() ?? forever())).toEqual(['own', 'scope', 'inner'])
  })

  it('that waits for its slot is refused by a closed engine, and goes on where that is recovered', async () => {
    const lives = new Lives()
    const gate = deferred()
    const limits = [{ task: 'root-that-waits', concurrency: 1 }]
    const first = lives.start({ limits, logger: silent })
    const root = task('root-that-waits', (n: number) => gate.promise.then(() => n))
    const runs = [root(1), root(2)]
    await rest()
    await first.close()
    const ends = await Promise.allSettled(runs)
    expect(ends).toMatchObject([{ reason: code('ENGINE_CLOSED') }, { reason: code('ENGINE_CLOSED') }])
    gate.resolve()
    await using second = lives.start({ limits })
    const recovered = await second.recover()
    expect(await or(lives.clock, Promise.all(recovered.map((run) => run.result())))).toEqual([1, 2])
    await pass(lives.clock, 1)
    expect(counts(second)).toBe('0/0')
  })
})
