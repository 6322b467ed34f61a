/** Forks and imports of runs with messages, ids of their own, marked arguments, other versions, other owners. */
import {
  allowFailure,
  flow,
  memoryJournal,
  opaque,
  receive,
  sleep,
  task,
  waitForInput,
  type Journal,
} from '@troupe/core'
import { crashingJournal, type TestEngine } from '@troupe/core/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import { code, errorOf } from '../behaviour/support.ts'
import { rest } from '../replay/lives.ts'
import { effects, endOf, engineOn, entriesOf, faults } from './support.ts'

beforeEach(() => {
  faults.broken = true
  effects.take()
})

function passes(engine: TestEngine, ms: number): Promise<void> {
  return engine.settle(new Promise((resolve) => engine.clock.at(engine.clock.now() + ms, () => resolve())))
}

const stores = [
  ['encoded', true],
  ['by reference', false],
] as const
const pairs = stores.flatMap(([from, strictFrom]) =>
  stores.map(([to, strictTo]) => [from, to, strictFrom, strictTo] as const),
)

const deliver = task('deliver', (what: unknown) => {
  effects.had('deliver')
  return what
})

const talking = flow('talking', async () => {
  const order = (await receive('order')) as { at: Date; parts: Map<string, number> }
  await deliver(order.parts)
  const answer = await waitForInput()
  await sleep(20)
  if (faults.broken) throw new RangeError('broken')
  return `${order.at.getUTCFullYear()} ${order.parts.get('a')} ${String(answer)}`
})

describe.each(pairs)(
  'messages of an engine with values %s, for one with values %s',
  (_a, _b, strictFrom, strictTo) => {
    it('are in the file, taken or not, and what waits for one goes on waiting', async () => {
      const here = engineOn(memoryJournal(), { strictValues: strictFrom })
      const run = here.run(talking)
      // What is recorded by then, though it is not in the journal yet.
      const first = await here.export(run.id)
      await run.signal('order', { at: new Date(0), parts: new Map([['a', 7]]) })
      await passes(here, 5)
      const second = await here.export(run.id)
      await run.resume('yes')
      await passes(here, 5)
      const third = await here.export(run.id)
      await endOf(here, run)
      faults.broken = false
      effects.take()
      const there = engineOn(memoryJournal(), { strictValues: strictTo })
      for (const [id, file] of Object.entries({ first, second, third })) await there.import(file, { id })
      const byId = new Map((await there.recover()).map((one) => [one.id, one]))
      const order = { at: new Date(0), parts: new Map([['a', 7]]) }
      await byId.get('first')?.signal('order', order)
      await passes(there, 5)
      await byId.get('first')?.resume('no')
      await byId.get('second')?.resume('perhaps')
      const ends = []
      for (const id of ['first', 'second', 'third']) ends.push(await endOf(there, byId.get(id) ?? run))
      expect(ends).toEqual([
        'Completed: "1970 7 no"',
        'Completed: "1970 7 perhaps"',
        'Completed: "1970 7 yes"',
      ])
      expect(effects.take()).toEqual({ deliver: 1 })
      await here.close()
      await there.close()
    })
  },
)

it('a fork gets the messages of its original again', async () => {
  const engine = engineOn(memoryJournal())
  const run = engine.run(talking)
  await rest()
  await run.signal('order', { at: new Date(0), parts: new Map([['a', 7]]) })
  await passes(engine, 5)
  await run.resume('yes')
  expect(await endOf(engine, run)).toBe('Failed: broken')
  faults.broken = false
  const fork = await engine.fork(run.id)
  expect(await endOf(engine, fork)).toBe('Completed: "1970 7 yes"')
  expect(effects.take()).toEqual({ deliver: 1 })
  await engine.close()
})

describe.each(stores)('arguments with values %s', (_, strictValues) => {
  it('keep what marks them, and the runs in them: calls are found again in forks of forks', async () => {
    const engine = engineOn(memoryJournal(), { strictValues })
    const part = task('part', (n: number) => {
      effects.had(`part ${n}`)
      if (n < 0) throw new RangeError('negative')
      return n
    })
    const inner = flow('inner of marks', async (n: number, of: unknown) => {
      effects.had(`inner ${n}`)
      await part(n + 100)
      return of
    })
    const join = task('join', (...values: readonly unknown[]) => {
      effects.had('join')
      return JSON.stringify(values.map((value) => (value instanceof Error ? value.message : value)))
    })
    const last = task('last of marks', (text: string) => {
      effects.had('last')
      if (faults.broken) throw new TypeError('broken')
      return text
    })
    const outer = flow('outer of marks', async () => {
      const [one, bad] = [part(1), part(-1)]
      const own = inner.with({ id: 'own-id' })
      const [first, twin, named] = [inner(1, [one]), inner(1, [one]), own(2, 'x')]
      const nested = { list: [first, new Map([['twin', twin]])], named, set: new Set([one]) }
      const joined = join(allowFailure(bad), nested, opaque({ plain: true }), [allowFailure(one)])
      return last(joined)
    })
    const run = engine.run(outer)
    expect(await endOf(engine, run)).toBe('Failed: broken')
    effects.take()
    const once = await engine.fork(run.id)
    expect(await endOf(engine, once)).toBe('Failed: broken')
    // A task that failed is run again, and so is what was given its failure.
    expect(effects.take()).toEqual({ 'part -1': 1, join: 1, last: 1 })
    faults.broken = false
    const twice = await engine.fork(once.id)
    expect(await endOf(engine, twice)).toMatch(/^Completed: .*negative/)
    expect(effects.take()).toEqual({ 'part -1': 1, join: 1, last: 1 })
    await engine.close()
  })

  it('of runs with ids of their own and without are found again together', async () => {
    const engine = engineOn(memoryJournal(), { strictValues })
    const inner = flow('inner of ids', async (n: number) => {
      effects.had(`inner ${n}`)
      return n
    })
    const sum = task('sum of ids', (numbers: readonly number[]) => {
      effects.had('sum')
      return numbers.reduce((a, b) => a + b)
    })
    const outer = flow('outer of ids', async () => {
      const parts = [inner.with({ id: `mine-${strictValues}` })(1), inner(2), inner(2)]
      const total = await sum(parts)
      await sleep(5)
      if (faults.broken) throw new TypeError('broken')
      return total
    })
    const run = engine.run(outer)
    expect(await endOf(engine, run)).toBe('Failed: broken')
    const once = await engine.fork(run.id)
    expect(await endOf(engine, once)).toBe('Failed: broken')
    faults.broken = false
    effects.take()
    const twice = await engine.fork(once.id)
    expect(await endOf(engine, twice)).toBe('Completed: 5')
    expect(effects.take()).toEqual({})
    await engine.close()
  })
})

describe('a fork with another version', () => {
  const step = task('step of versions', (text: string) => {
    effects.had(text)
    return text
  })
  const make = (version: string, onVersionChange: 'run' | 'park' | 'pin', ...texts: string[]) =>
    flow({ name: `versions ${onVersionChange}`, version, onVersionChange }, async () => {
      for (const text of texts) await step(text)
      if (faults.broken) throw new TypeError('broken')
      return texts.length
    })

  it('goes on with the flow that it is given, whatever its policy', async () => {
    for (const policy of ['park', 'pin'] as const) {
      faults.broken = true
      const engine = engineOn(memoryJournal())
      const run = engine.run(make('1', policy, 'a', 'b'))
      expect(await endOf(engine, run)).toBe('Failed: broken')
      effects.take()
      faults.broken = false
      const fork = await engine.fork(run.id, { flow: make('2', policy, 'a', 'b', 'c') })
      expect(await endOf(engine, fork)).toBe('Completed: 3')
      expect(effects.take()).toEqual({ c: 1 })
      await engine.close()
    }
  })

  it('is refused where the run is pinned to its version, and that is not defined here', async () => {
    const engine = engineOn(memoryJournal())
    const old = flow({ name: 'pinned', version: '0' }, () => {
      throw new TypeError('broken')
    })
    const run = engine.run(old)
    await engine.settle(run.wait())
    const file = await engine.export(run.id)
    await engine.close()
    const journal = memoryJournal()
    const there = engineOn(journal)
    await there.import(file)
    // As in a process where only the new version is defined.
    const entries = await entriesOf(journal, run.id)
    const renamed = entries.map((entry) =>
      entry.kind === 'submitted' ? { ...entry, name: 'pinned new' } : entry,
    )
    await journal.append({ flowRunId: 'old', expected: 0, epoch: 1, entries: renamed })
    flow({ name: 'pinned new', version: '1', onVersionChange: 'pin' }, () => 1)
    expect(await errorOf(there.fork('old'))).toEqual(code('UNKNOWN_DEFINITION', /version 0.*only 1.*`flow`/))
    await there.close()
  })
})

it('a fork that dies keeps the options of the flow that it was given', async () => {
  const journal = memoryJournal()
  let failing = true
  const flaky = task('flaky of options', () => {
    effects.had('flaky')
    if (failing) throw new RangeError('not yet')
    return 'at last'
  })
  const plain = flow('plain of options', async () => flaky())
  const first = engineOn(journal)
  const run = first.run(plain)
  expect(await endOf(first, run)).toBe('Failed: not yet')
  const length = (await journal.summary(run.id))?.position ?? 0
  await first.close()
  const dying = crashingJournal(journal, { afterEntries: length + 3 })
  const second = engineOn(dying)
  const flowGiven = plain.with({ retries: 5, retryDelay: '1s' })
  void second.fork(run.id, { flow: flowGiven, id: 'fork' })
  await second.settle(dying.death)
  await rest()
  void second.close()
  const third = engineOn(journal)
  const [recovered] = await third.recover()
  expect(recovered?.id).toBe('fork')
  await passes(third, 1500)
  failing = false
  expect(await endOf(third, recovered ?? run)).toBe('Completed: "at last"')
  await third.close()
})

it('a run that was imported belongs to the engine that did it, also where its owner lives', async () => {
  const journal: Journal = Object.assign(memoryJournal(), {
    nodes: { announce: async () => undefined, withdraw: async () => undefined, gone: async () => [] },
  })
  const here = engineOn(journal, { node: 'here' })
  const run = here.run(talking)
  await rest()
  const file = await here.export(run.id)
  const there = engineOn(journal, { node: 'there' })
  await there.import(file, { id: 'copy' })
  expect((await journal.summary('copy'))?.node).toBe('there')
  expect((await here.recover()).map(({ id }) => id)).toEqual([])
  expect((await there.recover()).map(({ id }) => id)).toEqual(['copy'])
  await here.close()
  await there.close()
})
