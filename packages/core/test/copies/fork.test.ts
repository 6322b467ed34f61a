/** A flow run that begins with what another one did. */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { createEngine, flow, memoryJournal, sleep, task, type Journal } from '@troupe/core'
import { checkTransitions, crashingJournal, type TestEngine } from '@troupe/core/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import { code, errorOf } from '../behaviour/support.ts'
import { encodeValue } from '../../src/values/codec.ts'
import { rest } from '../replay/lives.ts'
import {
  effects,
  endOf,
  engineOn,
  entriesOf,
  faults,
  journalsOf,
  recordingJournal,
  report,
  transitionsOf,
  wholeReport,
} from './support.ts'

beforeEach(() => {
  faults.broken = true
  effects.take()
})

/** A report that has failed, and what it had done. */
async function failedReport(engine: TestEngine): Promise<string> {
  const run = engine.run(report, 'a')
  expect(await endOf(engine, run)).toBe('Failed: the store is down')
  effects.take()
  return run.id
}

const journals: readonly [string, () => Journal, { strictValues: boolean }][] = [
  ['encoded in memory', () => memoryJournal(), { strictValues: true }],
  ['by reference in memory', () => memoryJournal(), { strictValues: false }],
  ['in a journal of bytes', () => recordingJournal(), { strictValues: true }],
]

describe.each(journals)('a fork of a run that failed, with values %s', (_, make, options) => {
  it('keeps the task runs and subflows that completed, and runs the others anew', async () => {
    const engine = engineOn(make(), options)
    const id = await failedReport(engine)
    faults.broken = false
    const fork = await engine.fork(id)
    expect(await endOf(engine, fork)).toBe(`Completed: ${JSON.stringify(wholeReport)}`)
    // The subflow `audit` had failed after its own subflow had completed; it begins anew, with all that is in it.
    expect(effects.take()).toEqual({ store: 1, audit: 1, 'count a-inner': 1, 'load a-inner-0': 1 })
    const below = await engine.journal.list({ parent: fork.id, limit: 10 })
    expect(below.map(({ name, state }) => `${name} ${state}`)).toEqual(['count Completed', 'audit Completed'])
    await engine.close()
  })

  it('leaves the original as it was', async () => {
    const journal = make()
    const engine = engineOn(journal, options)
    const id = await failedReport(engine)
    const before = new Map<string, unknown>()
    for (const { flowRunId } of await journalsOf(journal))
      before.set(flowRunId, await entriesOf(journal, flowRunId))
    faults.broken = false
    const fork = await engine.fork(id)
    await endOf(engine, fork)
    for (const [flowRunId, entries] of before) expect(await entriesOf(journal, flowRunId)).toEqual(entries)
    expect((await journal.summary(id))?.state).toBe('Failed')
    await engine.close()
  })

  it('can be forked again, and then keeps what the fork completed, too', async () => {
    const engine = engineOn(make(), options)
    const id = await failedReport(engine)
    const first = await engine.fork(id)
    expect(await endOf(engine, first)).toBe('Failed: the store is down')
    effects.take()
    faults.broken = false
    const second = await engine.fork(first.id)
    expect(await endOf(engine, second)).toBe(`Completed: ${JSON.stringify(wholeReport)}`)
    expect(effects.take()).toEqual({ store: 1, audit: 1, 'count a-inner': 1, 'load a-inner-0': 1 })
    await engine.close()
  })

  it('goes only through edges that there are, and says where it comes from', async () => {
    const journal = make()
    const engine = engineOn(journal, options)
    const id = await failedReport(engine)
    faults.broken = false
    const fork = await engine.fork(id)
    await endOf(engine, fork)
    const transitions = await transitionsOf(engine, { flowRunId: fork.id })
    expect(() => checkTransitions(transitions)).not.toThrow()
    const notes = (await entriesOf(journal, fork.id)).filter((entry) => entry.kind === 'note')
    expect(notes).toMatchObject([{ note: 'forked', run: 0, message: expect.stringMatching(id) as string }])
    await engine.close()
  })
})

describe('a fork that dies', () => {
  it('goes on like any other run, wherever that was', async () => {
    const length = await lengthOfFork()
    let afterEntries = 1
    while (await diesAndGoesOn(afterEntries, length)) afterEntries++
    expect(afterEntries).toBeGreaterThan(30)
  })
})

/** @returns False where the fork had ended before it was to die. */
async function diesAndGoesOn(afterEntries: number, length: number): Promise<boolean> {
  faults.broken = true
  const journal = memoryJournal()
  const first = engineOn(journal)
  const id = await failedReport(first)
  await first.close()
  faults.broken = false
  const dying = crashingJournal(journal, { afterEntries })
  const second = engineOn(dying)
  const forked = second.fork(id, { id: 'fork' }).then((run) => run.wait())
  await second.settle(Promise.race([forked, dying.death]))
  await rest()
  void second.close()
  if (!dying.crashed) return false
  // The copy of the run's own journal is one append: no journal stores half of that.
  const { position = length } = (await journal.summary('fork')) ?? {}
  if (position < length) return true
  const third = engineOn(journal)
  const [run] = await third.recover()
  // While its journals were being written, the run was not there yet: it can be forked as if nothing had been.
  const again = run ?? (await third.get('fork')) ?? (await third.fork(id, { id: 'fork' }))
  expect(await endOf(third, again)).toBe(`Completed: ${JSON.stringify(wholeReport)}`)
  const had = effects.take()
  for (const kept of ['load a', 'load others', 'count a', 'merge']) expect(had).not.toHaveProperty([kept])
  expect(had['store']).toBeLessThanOrEqual(2)
  await third.close()
  return true
}

/** How many entries the fork of a failed report begins with. */
async function lengthOfFork(): Promise<number> {
  const engine = engineOn(memoryJournal())
  const fork = await engine.fork(await failedReport(engine))
  const entries = await entriesOf(engine.journal, fork.id)
  await engine.close()
  return entries.length
}

describe('a fork from a position', () => {
  it('does what the original did from there on, at every position', async () => {
    faults.broken = false
    const journal = memoryJournal({ keep: 10_000 })
    const engine = engineOn(journal)
    const run = engine.run(report, 'a')
    expect(await endOf(engine, run)).toBe(`Completed: ${JSON.stringify(wholeReport)}`)
    const whole = effects.take()
    const entries = await entriesOf(journal, run.id)
    let least = Number.POSITIVE_INFINITY
    for (let from = 2; from < entries.length; from++) {
      const fork = await engine.fork(run.id, { from })
      expect(await endOf(engine, fork)).toBe(`Completed: ${JSON.stringify(wholeReport)}`)
      const had = effects.take()
      for (const [what, times] of Object.entries(had)) expect(times).toBeLessThanOrEqual(whole[what] ?? 0)
      least = Math.min(least, Object.keys(had).length)
      const copied = await entriesOf(journal, fork.id)
      expect(copied.slice(0, from).map(({ kind, at }) => [kind, at])).toEqual(
        entries.slice(0, from).map(({ kind, at }) => [kind, at]),
      )
    }
    expect(least).toBe(0)
    await engine.close()
  })

  it('keeps a subflow that had ended there, and starts one anew that had not', async () => {
    faults.broken = false
    const journal = memoryJournal()
    const engine = engineOn(journal)
    const run = engine.run(report, 'a')
    await endOf(engine, run)
    effects.take()
    const entries = await entriesOf(journal, run.id)
    const ended = entries.findIndex((entry) => entry.kind === 'child' && entry.event === 'ended') + 1
    const name = (at: number): string => {
      const entry = entries[at - 1]
      const id = entry?.kind === 'child' ? entry.flowRunId : ''
      const started = entries.find((one) => one.kind === 'child' && one.flowRunId === id)
      return started?.kind === 'child' ? started.name : ''
    }
    expect(name(ended)).toBe('count')
    const before = await engine.fork(run.id, { from: ended - 1 })
    await endOf(engine, before)
    expect(effects.take()).toMatchObject({ 'count a': 1, 'load a-0': 1, 'load a-1': 1 })
    const after = await engine.fork(run.id, { from: ended })
    await endOf(engine, after)
    expect(effects.take()).not.toHaveProperty(['count a'])
    await engine.close()
  })

  it('is Paused where the original was', async () => {
    const engine = engineOn(memoryJournal())
    const waiting = flow('waiting', async () => {
      await sleep(100)
      return 'done'
    })
    const run = engine.run(waiting)
    await engine.settle(sleepOn(engine, 50))
    await run.pause()
    const { position } = (await engine.journal.summary(run.id)) ?? { position: 0 }
    await run.resume()
    expect(await endOf(engine, run)).toBe('Completed: "done"')
    const fork = await engine.fork(run.id, { from: position })
    expect(fork.state.name).toBe('Paused')
    await fork.resume()
    expect(await endOf(engine, fork)).toBe('Completed: "done"')
    await engine.close()
  })

  it('refuses positions that are none, and those at which the run had ended', async () => {
    const engine = engineOn(memoryJournal())
    const id = await failedReport(engine)
    const length = (await entriesOf(engine.journal, id)).length
    for (const from of [0, 1, -1, 1.5, length + 1, Number.NaN, '3']) {
      const error = await errorOf(engine.fork(id, { from: from as number }))
      expect(error).toEqual(code('INVALID_OPTION', new RegExp(`from 2 to ${length}`)))
    }
    expect(await errorOf(engine.fork(id, { from: length }))).toEqual(code('INVALID_OPTION', /had ended/))
    await engine.close()
  })
})

function sleepOn(engine: TestEngine, ms: number): Promise<void> {
  return new Promise((resolve) => engine.clock.at(engine.clock.now() + ms, resolve))
}

describe('a fork', () => {
  it('of a run that still runs leaves it alone, and does not go on with what runs there', async () => {
    faults.broken = false
    const journal = memoryJournal()
    const engine = engineOn(journal)
    const run = engine.run(report, 'a')
    // The tasks have loaded what they were to; the subflows sleep, and the merging waits for one of them.
    await engine.settle(sleepOn(engine, 12))
    await rest()
    const fork = await engine.fork(run.id)
    expect(await endOf(engine, fork)).toBe(`Completed: ${JSON.stringify(wholeReport)}`)
    expect(await endOf(engine, run)).toBe(`Completed: ${JSON.stringify(wholeReport)}`)
    expect(effects.take()).toMatchObject({ 'load a': 1, 'load others': 1, store: 2 })
    const { runs } = await statesIn(journal, fork.id)
    expect(runs.filter((state) => !['Completed', 'Cancelled'].includes(state))).toEqual([])
    expect(await engine.recover()).toEqual([])
    await engine.close()
  })

  it('of a run that was cancelled, or refused before it began, begins anew', async () => {
    const engine = engineOn(memoryJournal())
    let valid = false
    const parameters: StandardSchemaV1<[number], [number]> = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: (value) => (valid ? { value: value as [number] } : { issues: [{ message: 'not yet' }] }),
      },
    }
    const even = flow({ name: 'even', parameters }, async (n: number) => {
      effects.had('even')
      await sleep(1000)
      return n * 2
    })
    const refused = engine.run(even, 4)
    expect((await engine.settle(refused.wait())).name).toBe('Failed')
    valid = true
    const cancelled = engine.run(even, 4)
    await engine.settle(sleepOn(engine, 500))
    void cancelled.cancel('enough')
    expect((await engine.settle(cancelled.wait())).name).toBe('Cancelled')
    for (const { id } of [refused, cancelled]) {
      effects.take()
      const fork = await engine.fork(id)
      expect(await endOf(engine, fork)).toBe('Completed: 8')
      expect(effects.take()).toEqual({ even: 1 })
    }
    await engine.close()
  })

  it('goes on with the flow that it is given: other options, other code', async () => {
    const engine = engineOn(memoryJournal())
    const step = task('step', (n: number) => {
      effects.had(`step ${n}`)
      if (n === 2) throw new RangeError('no 2')
      return n
    })
    const old = flow({ name: 'steps' }, async () => [await step(1), await step(2)])
    const run = engine.run(old)
    expect(await endOf(engine, run)).toBe('Failed: no 2')
    effects.take()
    const mended = flow({ name: 'steps', version: '2' }, async () => [await step(1), await step(3)])
    const fork = await engine.fork(run.id, { flow: mended })
    expect(await endOf(engine, fork)).toBe('Completed: [1,3]')
    expect(effects.take()).toEqual({ 'step 3': 1 })
    const other = flow('other steps', () => 1)
    expect(await errorOf(engine.fork(run.id, { flow: other }))).toEqual(
      code('INVALID_OPTION', /a flow steps/),
    )
    await engine.close()
  })

  it('counts attempts on, and has the retries of its flow', async () => {
    const engine = engineOn(memoryJournal())
    const attempts: number[] = []
    let failing = 2
    const flaky = task('flaky', () => {
      attempts.push(failing)
      if (failing-- > 0) throw new RangeError('not yet')
      return 'at last'
    })
    const once = flow('once', async () => flaky())
    const run = engine.run(once)
    expect(await endOf(engine, run)).toBe('Failed: not yet')
    const fork = await engine.fork(run.id, { flow: once.with({ retries: 3 }) })
    expect(await endOf(engine, fork)).toBe('Completed: "at last"')
    const transitions = await transitionsOf(engine, { runId: fork.id })
    expect(transitions.map(({ to, attempt }) => `${to.name} ${attempt}`)).toEqual([
      'Pending 1',
      'Running 1',
      'AwaitingRetry 1',
      'Retrying 2',
      'Retrying 3',
      'Completed 3',
    ])
    await engine.close()
  })

  it('of a subflow is a run of its own', async () => {
    const journal = memoryJournal()
    const engine = engineOn(journal)
    await failedReport(engine)
    const [child] = await journal.list({ name: 'audit', limit: 1 })
    faults.broken = false
    const fork = await engine.fork(child?.flowRunId ?? '')
    expect(await endOf(engine, fork)).toBe('Completed: "a-inner x 1 audited"')
    expect(effects.take()).toEqual({ audit: 1 })
    expect((await journal.summary(fork.id))?.parentRunId).toBeUndefined()
    await engine.close()
  })

  it('takes the id of a task run for its flow run, and an id of its own, once', async () => {
    const engine = engineOn(memoryJournal())
    const id = await failedReport(engine)
    const submitted = (await entriesOf(engine.journal, id)).find(
      (entry) => entry.kind === 'submitted' && entry.parent === 0,
    )
    const fork = await engine.fork(submitted?.kind === 'submitted' ? submitted.runId : '', { id: 'mine' })
    expect(fork.id).toBe('mine')
    await endOf(engine, fork)
    expect(await errorOf(engine.fork(id, { id: 'mine' }))).toEqual(code('RUN_EXISTS', /mine/))
    expect(await errorOf(engine.fork(id, { id: 'not mine' }))).toEqual(code('INVALID_OPTION'))
    await engine.close()
  })

  it('of what is not there, not a flow run, or not defined here is refused', async () => {
    const journal = memoryJournal()
    const engine = engineOn(journal)
    expect(await errorOf(engine.fork('nobody'))).toEqual(code('RUN_NOT_FOUND', /nobody/))
    await foreignRoot(journal, 'single', 'task')
    expect(await errorOf(engine.fork('single'))).toEqual(code('INVALID_OPTION', /only flow runs/))
    await foreignRoot(journal, 'foreign', 'flow')
    expect(await errorOf(engine.fork('foreign'))).toEqual(code('UNKNOWN_DEFINITION', /defined elsewhere/))
    expect(await errorOf(engine.fork('foreign', { form: 3 } as object))).toEqual(
      code('INVALID_OPTION', /`form`/),
    )
    await engine.close()
    expect(await errorOf(engine.fork('foreign'))).toEqual(code('ENGINE_CLOSED'))
    expect((await journalsOf(journal)).map(({ flowRunId }) => flowRunId)).toEqual(['single', 'foreign'])
  })

  it('goes on on any engine, on real time, too', async () => {
    const engine = createEngine({ strictValues: true })
    let fails = true
    const step = task('real step', (n: number) => {
      effects.had(`step ${n}`)
      if (n === 2 && fails) throw new RangeError('no 2')
      return n
    })
    const steps = flow('real steps', async () => [await step(1), await step(2)])
    const run = engine.run(steps)
    await run.wait()
    fails = false
    const fork = await engine.fork(run.id)
    expect(await fork.result()).toEqual([1, 2])
    expect(effects.take()).toEqual({ 'step 1': 1, 'step 2': 2 })
    await engine.close()
  })
})

/** A journal that some other process has begun. */
async function foreignRoot(journal: Journal, runId: string, runKind: 'flow' | 'task'): Promise<void> {
  const at = 1
  const root = {
    parent: -1,
    parentAttempt: 0,
    name: 'defined elsewhere',
    version: '1',
    runName: undefined,
  } as const
  const call = { identity: undefined, inputs: encodeValue([]), to: 'Pending', tags: undefined } as const
  await journal.append({
    flowRunId: runId,
    expected: 0,
    epoch: 1,
    entries: [
      { kind: 'claimed', at, epoch: 1, node: 'elsewhere' },
      { kind: 'submitted', at, runKind, runId, ...root, ...call },
    ],
  })
}

async function statesIn(journal: Journal, id: string): Promise<{ runs: string[] }> {
  const runs: string[] = []
  for (const entry of await entriesOf(journal, id)) {
    if (entry.kind === 'submitted') runs.push(entry.to)
    if (entry.kind === 'transition') runs[entry.run] = entry.to
  }
  return { runs }
}
