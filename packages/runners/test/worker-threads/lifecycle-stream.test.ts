import {
  ConcurrentTaskRunner,
  flow,
  memoryJournal,
  transfer,
  type RunHandle,
  type Transition,
} from '@troupe/core'
import { crashingJournal } from '@troupe/core/testing'
import { WorkerThreadsTaskRunner } from '@troupe/runners'
import { afterAll, describe, expect, it } from 'vitest'
import { code, errorOf, onThreads, range, thrownBy } from './support.ts'
import { waitsForGate } from './tasks/crashes.ts'
import { failsOnce, step, thread } from './tasks/life.ts'
import { goesOn } from './tasks/stops.ts'
import { fail, look, makeBuffer, Money, Plain, Refused, seeBuffer, unencodable } from './tasks/values.ts'

const stage = onThreads({ threads: 2, patience: 10 })
afterAll(() => stage[Symbol.asyncDispose]())

const hostsIn = (transitions: readonly Transition[], run: RunHandle<unknown> | undefined): string[] =>
  transitions.filter(({ runId }) => runId === run?.id).map(({ to, host }) => `${to.name} ${host ?? '-'}`)

describe('the stream says which thread ran what', () => {
  it('from Running to the end; nothing before, and nothing of flow runs', async () => {
    const submitted = stage.submit(() => [thread()])
    const [run] = await submitted.ended
    const host = `thread-${String(await run)}`
    expect(hostsIn(stage.transitions, run)).toEqual(['Pending -', `Running ${host}`, `Completed ${host}`])
    expect(new Set(hostsIn(stage.transitions, submitted.flowRun))).toEqual(
      new Set(['Pending -', 'Running -', 'Completed -']),
    )
  })

  it('for each attempt: until the next one begins it is the host of the last', async () => {
    const busy = goesOn.with({ timeout: 400, retries: 1 })
    const [atOnce, later] = await stage.submit(() => [
      busy('a busy loop', 1, stage.file()),
      busy.with({ retryDelay: 1 })('a busy loop', 1, stage.file()),
    ]).ended
    const [one, two] = stage.hosts(atOnce as RunHandle<unknown>)
    expect(one).not.toBe(two)
    expect(hostsIn(stage.transitions, atOnce)).toEqual([
      'Pending -',
      `Running ${one}`,
      `Retrying ${one}`,
      `Completed ${two}`,
    ])
    const [first, second] = stage.hosts(later as RunHandle<unknown>)
    expect(hostsIn(stage.transitions, later)).toEqual([
      'Pending -',
      `Running ${first}`,
      `AwaitingRetry ${first}`,
      `Retrying ${second}`,
      `Completed ${second}`,
    ])
  })

  it('for runs that fail', async () => {
    const [run] = await stage.submit(() => [fail('built-in'), failsOnce.with({ retries: 1 })()]).ended
    const [host] = stage.hosts(run as RunHandle<unknown>)
    expect(hostsIn(stage.transitions, run)).toEqual(['Pending -', `Running ${host}`, `Failed ${host}`])
  })

  it('not for runs whose body never began', async () => {
    const submitted = stage.submit(() => [
      ...range(2).map((n) => waitsForGate(stage.file(), `${n}`, stage.file('gate'))),
      thread(),
    ])
    const runs = await submitted.runs
    for (const n of range(2)) await stage.heard(`${n} is there`)
    await runs[2]?.cancel()
    stage.open('gate')
    await submitted.ended
    expect(hostsIn(stage.transitions, runs[2])).toEqual(['Pending -', 'Cancelled -'])
  })

  it('not for bodies in this process', async () => {
    const here = flow({ name: 'here', taskRunner: new ConcurrentTaskRunner() }, () => thread())
    const from = stage.transitions.length
    await stage.engine.run(here)
    expect(stage.transitions.slice(from).filter((transition) => 'host' in transition)).toEqual([])
  })

  it('also later, to those who watch the journal', async () => {
    const submitted = stage.submit(() => [thread(), fail('built-in')])
    const runs = await submitted.ended
    const watched: Transition[] = []
    for await (const transition of stage.engine.watch({ flowRunId: submitted.flowRun.id }))
      watched.push(transition)
    for (const run of runs) {
      const shown = hostsIn(stage.transitions, run)
      expect(hostsIn(watched, run)).toEqual(shown)
      expect(shown[1]).toMatch(/^Running thread-\d+$/)
    }
  })
})

describe('with values that are encoded, as for a durable journal', () => {
  const strict = onThreads({ threads: 2 }, { strictValues: true })
  afterAll(() => strict[Symbol.asyncDispose]())

  it('values and errors come whole', async () => {
    const value = { money: new Money(5), bytes: Uint8Array.of(1), map: new Map([['k', new Date(0)]]) }
    const given = (await strict.run(() => look(value))) as { value: typeof value }
    expect(given.value).toStrictEqual(value)
    expect(given.value.money.cents).toBe(5)
    expect(await errorOf(strict.run(() => fail('registered')))).toBeInstanceOf(Refused)
  })

  it('what can not be encoded is refused at the call, and fails the run as a result', async () => {
    const refused = await strict.run(() => thrownBy(() => look({ plain: new Plain() })) as Error)
    expect(refused).toMatchObject({ code: 'NOT_ENCODABLE', details: { path: 'args[0].plain' } })
    expect(await errorOf(strict.run(() => unencodable(false)))).toEqual(
      code('NOT_ENCODABLE', /result\.rows\[1\]/),
    )
  })

  it('a buffer that is given away is detached here, and whole there', async () => {
    const bytes = Uint8Array.of(1, 2, 3)
    expect(await strict.run(() => seeBuffer(transfer(bytes)))).toMatchObject({
      byteLength: 3,
      first: '1',
      last: '3',
    })
    expect(bytes.byteLength).toBe(0)
    expect(await strict.run(() => makeBuffer('Uint8Array', 4))).toEqual(new Uint8Array(4).fill(7))
  })
})

const runner = new WorkerThreadsTaskRunner({ threads: 2, patience: 10 })
/** Steps before and after one that waits for a gate. */
const journey = flow({ name: 'journey', taskRunner: runner }, async (traces: string, gate: string) => {
  const before = [await step(traces, 'one'), await step(traces, 'two')]
  const middle = await waitsForGate(traces, 'middle', gate)
  return [...before, middle, await step(traces, 'three')]
})

describe('a flow run on threads that lost its process', () => {
  it.each([[false], [true]])(
    'goes on from its journal on the threads of another one (values encoded: %s)',
    async (strictValues) => {
      const journal = memoryJournal()
      const files = onThreads({ threads: 1 })
      const [traces, gate] = [files.file(), files.file('gate')]

      // Up to the body that waits: claim, root, Running, and three task runs of which one goes on.
      const dying = crashingJournal(journal, { afterEntries: 3 + 3 + 3 + 2 })
      const first = onThreads({ threads: 1 }, { journal: dying, strictValues })
      first.engine.run(journey, traces, gate).ignore()
      await first.heard('middle is there')
      await dying.death
      await first[Symbol.asyncDispose]()

      const second = onThreads({ threads: 1 }, { journal, strictValues })
      const [run] = await second.engine.recover()
      await second.heard('middle is there')
      files.open('gate')
      expect(await run?.result()).toEqual(['one', 'two', 'middle', 'three'])
      expect(files.lines()).toEqual(['one 1', 'two 1', 'middle 1', 'middle 2', 'three 1'])
      const states: string[] = []
      for await (const { task, to, host } of second.engine.watch({ flowRunId: run?.id ?? '' }))
        if (task === 'crashes/waits-for-gate')
          states.push(`${to.name} ${host === undefined ? '-' : 'on a thread'}`)
      expect(states).toEqual([
        'Pending -',
        'Running on a thread',
        'Recovering -',
        'Running on a thread',
        'Completed on a thread',
      ])
      await second[Symbol.asyncDispose]()
      await files[Symbol.asyncDispose]()
    },
  )
})
