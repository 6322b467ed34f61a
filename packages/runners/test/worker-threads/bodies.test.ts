/* oxlint-disable eslint/no-unused-vars -- what is taken out of an object is not used */
import { ConcurrentTaskRunner, flow, isTaskThread, memoryJournal, type RunHandle } from '@troupe/core'
import { afterAll, describe, expect, it } from 'vitest'
import { code, errorOf, onThreads, range, type Line } from './support.ts'
import * as tasks from './tasks/context.ts'

const journal = memoryJournal()
const stage = onThreads({ threads: 2 }, { journal })
const shared = onThreads({ threads: 1, bodiesPerThread: 8 })
afterAll(async () => {
  await stage[Symbol.asyncDispose]()
  await shared[Symbol.asyncDispose]()
})

describe('a body on a thread', () => {
  it('knows its run and its flow run, as one in this process does', async () => {
    const about = async (taskRunner: ConcurrentTaskRunner | typeof stage.runner): Promise<unknown> => {
      const known = flow(
        { name: 'known', taskRunner, tags: ['f'], runName: 'Monday', retries: 1 },
        (day: string) =>
          tasks.about.with({ tags: ['t'], runName: 'first {0}', name: 'renamed' })(day, { n: 1 }),
      )
      const run = stage.engine.run(known, 'may')
      return JSON.parse(
        JSON.stringify(await run)
          .replaceAll(run.id, 'ID')
          .replaceAll(/ID\.\w+/g, 'ID.n'),
      )
    }
    const onThread = await about(stage.runner)
    expect(onThread).toEqual({
      task: {
        id: 'ID.n',
        name: 'renamed',
        runName: 'first may',
        flowRunId: 'ID',
        attempt: 1,
        parameters: ['may', { n: 1 }],
        tags: ['f', 't'],
        aborted: false,
      },
      flow: {
        id: 'ID',
        name: 'known',
        runName: 'Monday',
        flowRunId: 'ID',
        attempt: 1,
        parameters: ['may'],
        tags: ['f'],
        aborted: false,
      },
    })
    expect(onThread).toEqual(await about(new ConcurrentTaskRunner()))
  })

  it('knows the flow run that it belongs to, however deep it is', async () => {
    const run = stage.start(() => tasks.nestedAbout('inner'))
    const [outer, inner] = (await run) as [
      { id: string },
      { task: { parameters: unknown[] }; flow: { id: string } },
    ]
    expect(inner.flow.id).toBe(run.id)
    expect(inner.task.parameters).toEqual(['inner'])
    expect(outer.id).not.toBe(run.id)
  })

  it('is told that the arguments of its flow run can not be sent only when it reads them', async () => {
    const called = flow({ name: 'with-a-function', taskRunner: stage.runner }, (_fn: () => void) =>
      tasks.aboutFlow(),
    )
    const run = stage.engine.run(called, () => undefined)
    expect(await run).toEqual({ id: run.id, name: 'with-a-function', parameters: 'NOT_ENCODABLE' })
  })

  it('is in a thread for tasks, and the program is not', async () => {
    expect(await stage.run(() => tasks.where())).toEqual({ main: false, thread: true })
    expect(isTaskThread()).toBe(false)
  })

  it('is no run while its module is loaded', async () => {
    const none = range(7).map(() => 'NO_RUN_CONTEXT')
    expect(await stage.run(() => tasks.outsideOf())).toEqual(none)
    expect(tasks.outside).toEqual(none)
  })

  it('knows its attempt', async () => {
    expect(await stage.run(() => tasks.attempts.with({ retries: 2 })())).toBe(3)
  })

  it('has one signal', async () => {
    expect(await stage.run(() => tasks.sameSignal())).toBe(true)
  })

  it('keeps its context over awaits and timers, also where others run beside it', async () => {
    const found = await shared.run(() => range(16).map((n) => tasks.keepsAsking(`${n}`)))
    expect(found).toEqual(range(16).map(() => true))
  })

  it('gets what its schema makes of its arguments', async () => {
    expect(await stage.run(() => tasks.checked('17'))).toBe(17)
    expect(await errorOf(stage.run(() => tasks.checked(17)))).toEqual(
      code('INVALID_PARAMETERS', /0: no text/),
    )
  })

  it('does not begin where what its schema makes can not be sent', async () => {
    const [run] = await stage.submit(() => [tasks.checked('odd')]).ended
    expect(await errorOf(run as PromiseLike<unknown>)).toEqual(code('NOT_ENCODABLE', /args\[0\]/))
    expect(stage.history(run as RunHandle<unknown>)).toBe('Pending → Failed')
  })
})

describe('time and chance in a thread', () => {
  it('are drawn from the engine, which records them', async () => {
    const run = stage.start(() => tasks.draws(20))
    const drawn = await run
    const entries = await journal.read(run.id, 1, 1_000)
    expect(entries.flatMap((entry) => (entry.kind === 'draw' ? [entry.value] : []))).toEqual(drawn)
    expect(drawn).toHaveLength(60)
  })

  it('sleeps last as long as they say, several at once, and are recorded', async () => {
    const run = stage.start(() => tasks.sleeps())
    const { woken, slept, bad } = (await run) as { woken: string[]; slept: number; bad: string[] }
    expect(woken).toEqual(['0', '5ms', '20ms', '30'])
    expect(slept).toBeGreaterThanOrEqual(30)
    expect(bad).toEqual(['INVALID_DURATION', 'INVALID_DURATION'])
    const kinds = (await journal.read(run.id, 1, 1_000)).map(({ kind }) => kind)
    expect(kinds.filter((kind) => kind === 'wait' || kind === 'woken')).toHaveLength(8)
  })
})

describe('log lines of a body on a thread', () => {
  const linesOf = (run: RunHandle<unknown> | undefined): Line[] =>
    stage.logged.filter(({ fields }) => fields['runId'] === run?.id)

  it('arrive in their order, with the ids of the run, before its end is shown', async () => {
    let atEnd = 0
    const subscription = stage.engine.transitions.subscribe(({ task, to }) => {
      if (task === 'context/logs' && to.name === 'Completed') atEnd = stage.logged.length
    })
    const before = stage.logged.length
    const submitted = stage.submit(() => [tasks.logs.with({ runName: 'logging' })(500)])
    const [run] = await submitted.ended
    subscription.unsubscribe()
    expect(atEnd - before).toBe(500)
    const levels = ['debug', 'info', 'warn', 'error']
    const ids = { flowRunId: submitted.flowRun.id, runId: run?.id, run: 'logging', attempt: 1 }
    expect(linesOf(run)).toEqual(
      range(500).map((i) => ({ level: levels[i % 4], message: `line ${i}`, fields: { ...ids, i } })),
    )
  })

  it('take every form', async () => {
    const submitted = stage.submit(() => [tasks.logsForms()])
    const [run] = await submitted.ended
    const own = ({ fields: { flowRunId, runId, run: name, attempt, ...rest }, message }: Line): unknown => [
      rest,
      message,
    ]
    expect(linesOf(run).map(own).slice(0, 3)).toEqual([
      [{}, 'only a text'],
      [{ only: 'fields' }, ''],
      [{ both: [new Date(0), new Map([['k', 1n]])] }, 'and a text'],
    ])
  })

  it('of the flow run have its ids', async () => {
    const submitted = stage.submit(() => [tasks.logsForms()])
    await submitted.ended
    const line = stage.logged.findLast(({ message }) => message === 'by a task')
    const { id } = submitted.flowRun
    expect(line?.fields).toEqual({ of: 'the flow', flowRunId: id, runId: id, run: 'on-threads', attempt: 1 })
  })

  it('are not lost where a field can not be sent: it comes as text', async () => {
    const [run] = await stage.submit(() => [tasks.logsOddities()]).ended
    const [odd, odder] = linesOf(run)
    expect(odd).toMatchObject({
      message: 'odd',
      fields: { kept: 1, fn: '[Function: named]', sign: 'Symbol(s)' },
    })
    expect(odd?.fields['plain']).toBe('Plain { x: 1 }')
    expect(odd?.fields['round']).toMatch(/name: 'round'/)
    expect(odder?.fields['err']).toBeInstanceOf(RangeError)
    expect(odder?.fields['err']).toMatchObject({ message: 'logged' })
    expect(odder?.fields['promise']).toMatch(/^Promise \{\s+1/)
    expect(odder?.fields['shared']).toMatch(/^SharedArrayBuffer/)
  })
})

describe('bindRun in a thread', () => {
  it('keeps the run for what another body calls', async () => {
    const [heard, name] = await shared.run(async () => {
      const listening = tasks.listens.with({ runName: 'listener' })('news')
      await shared.heard('listening')
      return [listening, tasks.emits.with({ runName: 'emitter' })('news')]
    })
    expect(name).toBe('emitter')
    expect(heard).toEqual(['emitter', 'listener word'])
  })

  it('lets nobody act for a run that has ended', async () => {
    const found = await shared.run(async () => {
      await tasks.leavesListener.with({ runName: 'gone' })('late')
      return tasks.collects('late')
    })
    expect(found).toEqual([
      { run: 'gone', call: 'RUN_ENDED', sleep: 'RUN_ENDED', now: 'RUN_ENDED', flow: 'RUN_ENDED' },
    ])
  })
})

describe('a body on a thread that is cancelled', () => {
  it('is told by its signal, may clean up, and may do nothing else', async () => {
    const { runs, ended } = stage.submit(() => [tasks.stopping(stage.file('stopping'))])
    const [run] = await runs
    await stage.heard('there')
    expect((await run?.cancel('enough'))?.name).toBe('Cancelled')
    await ended
    expect(stage.lines('stopping')).toEqual([
      'reason RUN_CANCELLED',
      'sleep RUN_CANCELLED',
      'call RUN_CANCELLING',
      'another sleep RUN_CANCELLING',
      'cleaned up',
      'cleanup no error',
    ])
    expect(stage.hosts(run as RunHandle<unknown>)).toHaveLength(1)
  })

  it('with its flow run is told the same, and its end comes before that of the flow run', async () => {
    const { flowRun, runs } = stage.submit(() => [tasks.stopping(stage.file('stopping with all'))])
    const [run] = await runs
    await stage.until(run as RunHandle<unknown>, 'Running')
    while (stage.progress.at(-1)?.runId !== run?.id) await stage.heard('there', 2)
    expect((await flowRun.cancel('all of it')).name).toBe('Cancelled')
    expect(stage.lines('stopping with all')[0]).toBe('reason RUN_CANCELLED')
    expect(stage.history(run as RunHandle<unknown>)).toBe('Pending → Running → Cancelling → Cancelled')
  })
})
