/** `engine.runs`: a list, and then its changes. */
import {
  asList,
  flow,
  memoryJournal,
  memoryTransport,
  receive,
  task,
  type Journal,
  type RunsChange,
  type RunSummary,
} from '@troupe/core'
import { createTestEngine, seededRandom, type TestEngine } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { code, errorOf, quiet } from './support.ts'

const waits = flow('waits', async () => receive('go'))
const quick = flow('quick', () => 1)
const fails = flow('fails', () => {
  throw new RangeError('on purpose')
})
const child = flow('child', async () => receive('go'))
const parent = flow('parent', () => child())
const alone = task('alone', () => 1)

const words = (change: RunsChange): string =>
  change.kind === 'list'
    ? `list ${change.runs.map((run) => `${run.flow} ${run.state.name}`).join()}`
    : `${change.kind} ${change.run.flow} ${change.run.state.name}`

/** Everything that a query tells, as words and as the list that it folds to. */
function follow(engine: TestEngine, query: Parameters<TestEngine['runs']>[0] = {}) {
  const told: string[] = []
  const lists: (readonly RunSummary[])[] = []
  const changes = engine.runs(query)
  const subscriptions = [
    changes.subscribe((change) => told.push(words(change))),
    changes.pipe(asList()).subscribe((list) => lists.push(list)),
  ]
  return {
    told,
    lists,
    get ids(): readonly string[] {
      return (lists.at(-1) ?? []).map(({ id }) => id)
    },
    stop: () => subscriptions.forEach((subscription) => subscription.unsubscribe()),
  }
}

async function ids(engine: TestEngine, options: Parameters<TestEngine['list']>[0]): Promise<string[]> {
  return (await engine.list(options)).map(({ id }) => id)
}

describe('engine.runs', () => {
  it('tells what there is, then what comes, changes and goes', async () => {
    await using engine = createTestEngine()
    await engine.settle(engine.run(quick))
    const { told, lists } = follow(engine, { tag: 'a' })
    await quiet()
    expect(told).toEqual(['list '])
    const run = engine.run(waits.with({ tags: ['a'] }))
    engine.run(quick)
    await quiet()
    await engine.settle(run.pause())
    await engine.settle(run.resume())
    await run.signal('go')
    await engine.settle(run)
    await quiet()
    expect(told).toEqual([
      'list ',
      'added waits Pending',
      'changed waits Running',
      'changed waits Paused',
      'changed waits Running',
      'changed waits Completed',
    ])
    const [summary] = lists.at(-1) ?? []
    expect(summary).toEqual({
      id: run.id,
      kind: 'flow',
      flow: 'waits',
      version: '1',
      runName: 'waits',
      state: { type: 'COMPLETED', name: 'Completed' },
      tags: ['a'],
      startedAt: run.state.at,
      changedAt: run.state.at,
      node: 'test',
      order: 2,
    })
  })

  it('tells of what is in a state: it comes with it, and leaves with the next one', async () => {
    await using engine = createTestEngine()
    const before = engine.run(waits)
    await quiet()
    const { told } = follow(engine, { state: ['RUNNING', 'Failed'] })
    await quiet()
    const run = engine.run(waits)
    await quiet()
    await engine.settle(run.pause())
    await quiet()
    await engine.settle(run.resume())
    await quiet()
    await before.signal('go')
    await engine.settle(before)
    await engine.settle(engine.run(fails).wait())
    await engine.settle(engine.run(quick))
    await quiet()
    const list = ['list waits Running', 'added waits Running', 'removed waits Paused', 'added waits Running']
    expect(told.slice(0, 4)).toEqual(list)
    expect(told.slice(4)).toEqual(expect.arrayContaining(['removed waits Completed', 'added fails Failed']))
    expect(told.at(-1)).not.toContain('quick')
    await engine.settle(run.cancel())
  })

  it('takes the filters of `list`', async () => {
    await using engine = createTestEngine()
    const top = engine.run(parent)
    await quiet()
    const start = engine.clock.now()
    const all = follow(engine)
    const below = follow(engine, { parent: top.id })
    const live = follow(engine, { ended: false })
    const named = follow(engine, { flow: 'alone' })
    const later = follow(engine, { since: start + 1_000 })
    await quiet()
    const one = alone.with({ tags: ['x'] })()
    await engine.settle(one)
    engine.clock.advance(2_000)
    const other = engine.run(waits)
    await quiet()
    expect(all.ids).toEqual([top.id, one.id, other.id])
    expect(below.told).toEqual(['list child Running'])
    expect(live.ids).toEqual([top.id, other.id])
    expect(named.lists.at(-1)).toMatchObject([{ id: one.id, kind: 'task', flow: 'alone', tags: ['x'] }])
    expect(later.ids).toEqual([other.id])
    const [kid] = below.lists.at(-1) ?? []
    expect(kid?.parentRunId).toBe(top.id)
    await engine.settle(Promise.all([top.cancel(), other.cancel()]))
    await quiet()
    expect(live.ids).toEqual([])
    expect(below.told.at(-1)).toBe('changed child Cancelled')
  })

  it('is a window where there are more than its limit: one that leaves makes room for the next', async () => {
    await using engine = createTestEngine()
    const start = async () => {
      const { handle } = engine.run(waits)
      await quiet()
      return handle
    }
    const runs = [await start(), await start(), await start(), await start()]
    const oldest = follow(engine, { state: 'RUNNING', limit: 2 })
    const newest = follow(engine, { state: 'RUNNING', limit: 2, newestFirst: true })
    await quiet()
    const [a, b, c, d] = runs.map(({ id }) => id)
    expect(oldest.ids).toEqual([a, b])
    expect(newest.ids).toEqual([d, c])
    const fifth = await start()
    expect(oldest.ids).toEqual([a, b])
    expect(newest.ids).toEqual([fifth.id, d])
    await engine.settle(runs[0]?.cancel() ?? Promise.reject(new Error('no run')))
    await quiet()
    expect(oldest.ids).toEqual([b, c])
    await engine.settle(fifth.cancel())
    await quiet()
    expect(newest.ids).toEqual([d, c])
    // Nobody who follows ever has more.
    expect(Math.max(...[...oldest.lists, ...newest.lists].map(({ length }) => length))).toBe(2)
    for (const run of runs) await engine.settle(run.cancel())
    await quiet()
    expect(oldest.ids).toEqual([])
    expect(newest.ids).toEqual([])
    // There is room again, and it is known that nothing is missing.
    const last = await start()
    expect(oldest.ids).toEqual([last.id])
    expect(newest.ids).toEqual([last.id])
    await engine.settle(last.cancel())
  })

  it('gives a slow reader the newest of each run, and holds no more than that', async () => {
    await using engine = createTestEngine()
    const reader = engine.runs({ limit: 10 })[Symbol.asyncIterator]()
    expect((await reader.next()).value).toMatchObject({ kind: 'list', runs: [] })
    const run = engine.run(waits)
    await quiet()
    expect(words((await reader.next()).value as RunsChange)).toBe('added waits Running')
    // Nobody reads meanwhile.
    for (let i = 0; i < 20; i++) {
      await engine.settle(run.pause())
      await engine.settle(run.resume())
    }
    await run.signal('go')
    await engine.settle(run)
    for (let i = 0; i < 50; i++) await engine.settle(engine.run(quick))
    const changes: string[] = []
    for (let i = 0; i < 10; i++) changes.push(words((await reader.next()).value as RunsChange))
    expect(changes).toEqual(['changed waits Completed', ...Array(9).fill('added quick Completed')])
    await reader.return?.()
  })

  it('reads the list again for a reader who missed more than it remembers', async () => {
    const journal = memoryJournal()
    await using engine = createTestEngine({ journal })
    const reader = engine.runs({ limit: 3, newestFirst: true })[Symbol.asyncIterator]()
    await reader.next()
    // As other engines would, which share it.
    for (let n = 0; n < 12_000; n++) {
      const flowRunId = `run${n}`
      const at = engine.clock.now() + n
      const entries = [
        { kind: 'claimed', at, epoch: 1, node: 'other' },
        {
          kind: 'submitted',
          at,
          runKind: 'flow',
          runId: flowRunId,
          parent: -1,
          parentAttempt: 0,
          name: 'theirs',
          version: '1',
          runName: undefined,
          identity: undefined,
          inputs: [],
          to: 'Pending',
          tags: undefined,
        },
      ] as const
      await journal.append({ flowRunId, expected: 0, epoch: 1, entries })
    }
    const seen: string[] = []
    for (let n = 0; n < 3; n++) {
      const { value } = await reader.next()
      if (value !== undefined && value.kind !== 'list') seen.push(`${value.kind} ${value.run.id}`)
    }
    expect(seen).toEqual(['added run11999', 'added run11998', 'added run11997'])
    await reader.return?.()
  })

  it('takes a run away when it is forgotten', async () => {
    await using engine = createTestEngine()
    await engine.settle(engine.run(quick.with({ id: 'order-1' })))
    await engine.settle(engine.run(quick.with({ id: 'order-2' })))
    const { told, lists } = follow(engine)
    await quiet()
    await engine.journal.delete('order-1')
    await quiet()
    expect(told.slice(1)).toEqual(['removed quick Completed'])
    expect(lists.at(-1)).toMatchObject([{ id: 'order-2' }])
  })

  it('takes a run away that was forgotten where nobody tells of that, when something happens after a minute', async () => {
    const journal = memoryJournal()
    const subscribe = journal.subscribe.bind(journal)
    journal.subscribe = (listener, flowRunId) =>
      subscribe((id, first, entries) => {
        if (first > 0) listener(id, first, entries)
      }, flowRunId)
    await using engine = createTestEngine({ journal })
    const run = engine.run(quick)
    await engine.settle(run)
    const { told } = follow(engine)
    await quiet()
    await engine.journal.delete(run.id)
    engine.clock.advance(61_000)
    await engine.settle(engine.run(fails).wait())
    await quiet()
    expect(told).toContain('removed quick Completed')
  })

  it('takes a run for another one that has the id of a forgotten one', async () => {
    await using engine = createTestEngine()
    const first = engine.run(waits.with({ id: 'order-1' }))
    await quiet()
    await first.signal('go')
    await engine.settle(first)
    const { told, lists } = follow(engine)
    await quiet()
    await engine.journal.delete('order-1')
    const second = engine.run(waits.with({ id: 'order-1' }))
    await quiet()
    expect(told[0]).toBe('list waits Completed')
    expect(told.at(-1)).toBe('changed waits Running')
    expect(lists.at(-1)).toMatchObject([{ id: 'order-1', order: 2, state: { name: 'Running' } }])
    await engine.settle(second.cancel())
  })

  it('completes when the engine is closed, and ends with its subscription', async () => {
    const engine = createTestEngine()
    let completed = 0
    engine.runs().subscribe({ complete: () => completed++ })
    const { told, stop } = follow(engine)
    await quiet()
    stop()
    await engine.settle(engine.run(quick))
    await quiet()
    expect(told).toEqual(['list '])
    await engine.close()
    await quiet()
    expect(completed).toBe(1)
  })

  it('fails where the journal can not be read', async () => {
    const beneath = memoryJournal()
    const journal: Journal = {
      ...beneath,
      encodes: false,
      append: (append) => beneath.append(append),
      subscribe: (listener) => beneath.subscribe(listener),
      list: async () => {
        throw new RangeError('unreadable')
      },
      close: () => beneath.close(),
    } as Journal
    await using engine = createTestEngine({ journal })
    const failed = new Promise((_, reject) => engine.runs().subscribe({ error: reject }))
    expect(await errorOf(failed)).toEqual(new RangeError('unreadable'))
  })

  it.each([{ cursor: 'x' }, { limit: 0 }, { state: 'Ended' }, { since: 'yesterday' }, { flows: 'a' }])(
    'refuses %o',
    async (query) => {
      await using engine = createTestEngine()
      expect(() => engine.runs(query as object)).toThrow(code('INVALID_OPTION'))
    },
  )

  it('sees the runs of all engines of a journal, and their takeovers', async () => {
    const journal = memoryJournal()
    const first = createTestEngine({ journal, node: 'first' })
    await using second = createTestEngine({ journal, node: 'second' })
    const { told, lists } = follow(second, { ended: false })
    await quiet()
    const run = first.run(waits)
    await quiet()
    expect(lists.at(-1)).toMatchObject([{ id: run.id, node: 'first' }])
    await first.close()
    await second.recover()
    await quiet()
    expect(lists.at(-1)).toMatchObject([{ id: run.id, node: 'second', state: { name: 'Running' } }])
    expect(told.slice(1, 3)).toEqual(['added waits Pending', 'changed waits Running'])
  })

  it.each(Array.from({ length: 12 }, (_, seed) => seed))(
    'folds to what `list` gives, whatever happens and however it is read (seed %s)',
    async (seed) => {
      const random = seededRandom(seed + 1)
      const pick = (n: number): number => Math.floor(random.number() * n)
      const isCluster = seed % 2 === 1
      const shared = isCluster
        ? { transport: memoryTransport({ seed: seed + 1, faults: { delay: 0.2 } }) }
        : { journal: memoryJournal() }
      const a = createTestEngine({ ...shared, node: 'a' })
      const b = createTestEngine({ ...shared, node: 'b', clock: a.clock })
      const queries = [
        {},
        { state: 'RUNNING', limit: 4 },
        { state: ['Paused', 'COMPLETED'], newestFirst: true, limit: 5 },
        { tag: 'a', ended: false },
        { flow: 'waits', newestFirst: true, limit: 3 },
      ] as const
      const followed = queries.map((query) => follow(b, query))
      // Who pulls, now and then.
      const slow = new Map<string, RunSummary>()
      const reader = b.runs({ limit: 6, newestFirst: true })[Symbol.asyncIterator]()
      const take = (change: RunsChange): void => {
        if (change.kind === 'list') for (const run of change.runs) slow.set(run.id, run)
        else if (change.kind === 'removed') slow.delete(change.run.id)
        else slow.set(change.run.id, change.run)
        expect(slow.size).toBeLessThanOrEqual(6)
      }
      let pulled: Promise<void> | undefined
      const pull = (): void => {
        pulled ??= reader.next().then(({ value }) => {
          pulled = undefined
          if (value !== undefined) take(value)
        })
      }
      pull()
      await quiet(30)
      const live = new Map<string, ReturnType<typeof waits>>()
      for (let step = 0; step < 60; step++) {
        const engine = pick(2) === 0 ? a : b
        const [some] = [...live.values()].slice(pick(live.size + 1))
        const dice = pick(10)
        if (dice < 4) {
          const run = engine.run(waits.with(pick(2) === 0 ? { tags: ['a'] } : {}))
          live.set(run.id, run)
        } else if (dice < 5) engine.run(pick(2) === 0 ? quick : fails).ignore()
        else if (dice < 7) void some?.pause()
        else if (dice < 8) void some?.resume()
        else if (dice < 9 && some !== undefined) {
          void some.signal('go').catch(() => undefined)
          void some.resume()
          live.delete(some.id)
        }
        await quiet(pick(4))
        if (pick(3) === 0) pull()
      }
      await quiet(60)
      a.clock.advance(20_000)
      await quiet(60)
      for (let i = 0; i < 200; i++) {
        pull()
        await quiet(2)
      }
      for (const [index, query] of queries.entries()) {
        const expected = await a.settle(ids(a, { limit: 1_000, ...query }))
        expect({ query, ids: followed[index]?.ids }).toEqual({ query, ids: expected })
      }
      const newest = await a.settle(ids(a, { limit: 6, newestFirst: true }))
      expect([...slow.keys()].toSorted()).toEqual(newest.toSorted())
      for (const run of await a.settle(a.list({ limit: 1_000 }))) {
        const seen = followed[0]?.lists.at(-1)?.find(({ id }) => id === run.id)
        expect(seen?.state.name).toBe(run.state.name)
      }
      for (const one of followed) one.stop()
      const ended = reader.return?.()
      await b.close()
      await ended
      await a.close()
    },
  )
})
