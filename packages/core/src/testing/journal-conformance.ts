import assert from 'node:assert/strict'
import type { Entry } from '../journal/entries.ts'
import type { Append, JournalQuery } from '../ports/journal.ts'
import { assertFails, casesOf, Told, type ConformanceCase } from './conformance.ts'
import { appending } from './journal-appending.ts'
import { claimed, comparable, entryTime, note, rootSubmitted, transition } from './journal-entries.ts'
import {
  append,
  assertHolds,
  create,
  namesOf,
  type JournalCases,
  type OpenedJournal,
} from './journal-helpers.ts'

export type { OpenedJournal } from './journal-helpers.ts'

/** Of a journal that `create` made. */
const freshSummary = {
  name: 'delays',
  version: '1',
  kind: 'flow',
  runName: undefined,
  ended: false,
  parentRunId: undefined,
  tags: [],
  node: 'node-a',
  epoch: 1,
  state: 'Pending',
  startedAt: entryTime,
  changedAt: entryTime,
}

const reading: JournalCases = {
  async 'reads any page, and nothing past the end or of an unknown journal'({ journal }) {
    const entries = [
      claimed(),
      rootSubmitted('run'),
      ...Array.from({ length: 2_498 }, (_, n) => note(`${n}`)),
    ]
    await append(journal, { flowRunId: 'run', expected: 0, epoch: 1, entries })
    for (const [from, limit] of [
      [1, 1],
      [1, 1_000],
      [1_001, 1_000],
      [2_001, 1_000],
      [2_500, 1],
      [700, 3],
    ] as const) {
      const page = await journal.read('run', from, limit)
      assert.deepEqual(comparable(page), comparable(entries.slice(from - 1, from - 1 + limit)))
    }
    assert.deepEqual(await journal.read('run', 2_501, 10), [])
    assert.deepEqual(await journal.read('nobody', 1, 10), [])
  },
  async 'sums up a journal: its root, its position, and whether the root has ended'({ journal }) {
    await create(journal, 'run', { name: 'delays' })
    const order = (await journal.summary('run'))?.order
    const summary = { ...freshSummary, flowRunId: 'run', order }
    assert.deepEqual({ ...(await journal.summary('run')) }, { ...summary, position: 2 })
    // A task run of the journal ends; its root goes on.
    await append(journal, {
      flowRunId: 'run',
      expected: 2,
      epoch: 1,
      entries: [transition(1, 'Completed'), transition(0, 'Running')],
    })
    assert.deepEqual({ ...(await journal.summary('run')) }, { ...summary, position: 4, state: 'Running' })
    await append(journal, { flowRunId: 'run', expected: 4, epoch: 1, entries: [transition(0, 'Failed', 3)] })
    assert.deepEqual(
      { ...(await journal.summary('run')) },
      { ...summary, position: 5, ended: true, state: 'Failed' },
    )
    assert.equal(await journal.summary('nobody'), undefined)
  },
  async 'sums up task runs that are roots, and subflows with their parent'({ journal }) {
    await create(journal, 'a-task', { runKind: 'task', name: 'read' })
    await create(journal, 'parent')
    await create(journal, 'child', { name: 'part', parentRunId: 'parent' })
    const task = await journal.summary('a-task')
    assert.deepEqual([task?.kind, task?.name, task?.parentRunId], ['task', 'read', undefined])
    const child = await journal.summary('child')
    assert.deepEqual([child?.kind, child?.name, child?.parentRunId], ['flow', 'part', 'parent'])
  },
  async 'lists journals in the order of creation, filtered, page by page'({ journal }) {
    // Neither the order of the ids nor that of the newest entries.
    const ids = ['m', 'c', 'z', 'a', 'k', 'b', 'y']
    for (const id of ids) await create(journal, id)
    for (const id of ['k', 'c', 'z']) {
      await append(journal, { flowRunId: id, expected: 2, epoch: 1, entries: [transition(0, 'Completed')] })
    }
    assert.deepEqual(await namesOf(journal, { limit: 100 }), ids)
    assert.deepEqual(await namesOf(journal, { limit: 100, ended: true }), ['c', 'z', 'k'])
    assert.deepEqual(await namesOf(journal, { limit: 100, ended: false }), ['m', 'a', 'b', 'y'])
    assert.deepEqual(await namesOf(journal, { limit: 3 }), ['m', 'c', 'z'])
    const orderOf = async (id: string): Promise<number> => (await journal.summary(id))?.order ?? Number.NaN
    const [m, z, a, y] = [await orderOf('m'), await orderOf('z'), await orderOf('a'), await orderOf('y')]
    assert.deepEqual(await namesOf(journal, { limit: 3, after: z }), ['a', 'k', 'b'])
    assert.deepEqual(await namesOf(journal, { limit: 3, after: y }), [])
    assert.deepEqual(await namesOf(journal, { limit: 2, after: m, ended: false }), ['a', 'b'])
    assert.deepEqual(await namesOf(journal, { limit: 2, after: a, ended: true }), ['k'])
    assert.deepEqual(await namesOf(journal, { limit: 3, newestFirst: true }), ['y', 'b', 'k'])
    assert.deepEqual(await namesOf(journal, { limit: 3, newestFirst: true, after: a }), ['z', 'c', 'm'])
    await journal.delete('z')
    assert.deepEqual(await namesOf(journal, { limit: 2, after: z }), ['a', 'k'])
    const [first] = await journal.list({ limit: 1, ended: true })
    assert.deepEqual({ ...first }, { ...(await journal.summary('c')) })
  },
  async 'lists by state, name, tag, parent and time of start, all at once'({ journal }) {
    await create(journal, 'a', { tags: ['x', 'y'] })
    await create(journal, 'b', { name: 'orders', tags: ['y'], at: 5_000 })
    await create(journal, 'c', { parentRunId: 'a', at: 6_000 })
    await create(journal, 'd', { parentRunId: 'a.task', at: 7_000, tags: ["it's %_"] })
    await append(journal, { flowRunId: 'b', expected: 2, epoch: 1, entries: [transition(0, 'Running')] })
    const listed = (query: Partial<JournalQuery>) => namesOf(journal, { limit: 10, ...query })
    assert.deepEqual(await listed({ states: ['Running'] }), ['b'])
    assert.deepEqual(await listed({ states: ['Pending', 'Running'] }), ['a', 'b', 'c', 'd'])
    assert.deepEqual(await listed({ states: [] }), [])
    assert.deepEqual(await listed({ name: 'orders' }), ['b'])
    assert.deepEqual(await listed({ tag: 'y' }), ['a', 'b'])
    assert.deepEqual(await listed({ tag: "it's %_" }), ['d'])
    assert.deepEqual(await listed({ tag: 'z' }), [])
    assert.deepEqual(await listed({ parent: null }), ['a', 'b'])
    assert.deepEqual(await listed({ parent: 'a' }), ['c'])
    assert.deepEqual(await listed({ parent: 'a.task' }), ['d'])
    assert.deepEqual(await listed({ since: 6_000, before: 7_000 }), ['c'])
    assert.deepEqual(await listed({ tag: 'y', name: 'delays', parent: null, ended: false }), ['a'])
    const { state, node, epoch, changedAt } = (await journal.summary('b')) ?? {}
    assert.deepEqual([state, node, epoch, typeof changedAt], ['Running', 'node-a', 1, 'number'])
  },
  async 'lists by the node that claimed a journal last'({ journal }) {
    for (const id of ['a', 'b', 'c', 'd']) await create(journal, id)
    for (const [id, node] of [
      ['b', 'node-b'],
      ['d', "it's %_ ü"],
    ] as const)
      await append(journal, { flowRunId: id, expected: 2, epoch: 2, entries: [claimed(2, node)] })
    await append(journal, { flowRunId: 'c', expected: 2, epoch: 1, entries: [transition(0, 'Completed')] })
    const listed = (query: Partial<JournalQuery>) => namesOf(journal, { limit: 10, ...query })
    assert.deepEqual(await listed({ node: 'node-a' }), ['a', 'c'])
    assert.deepEqual(await listed({ node: 'node-a', ended: false }), ['a'])
    assert.deepEqual(await listed({ node: 'node-b' }), ['b'])
    assert.deepEqual(await listed({ node: "it's %_ ü" }), ['d'])
    assert.deepEqual(await listed({ node: 'node' }), [])
    await append(journal, { flowRunId: 'b', expected: 3, epoch: 3, entries: [claimed(3, 'node-a')] })
    assert.deepEqual(await listed({ node: 'node-a' }), ['a', 'b', 'c'])
    assert.deepEqual(await listed({ node: 'node-b' }), [])
  },
  async 'forgets a journal, which may then be created anew'({ journal }) {
    for (const id of ['a', 'b', 'c']) await create(journal, id)
    await journal.delete('b')
    await journal.delete('nobody')
    assert.deepEqual(await journal.read('b', 1, 10), [])
    assert.equal(await journal.summary('b'), undefined)
    assert.deepEqual(await namesOf(journal, { limit: 10 }), ['a', 'c'])
    await create(journal, 'b')
    assert.deepEqual(await namesOf(journal, { limit: 10 }), ['a', 'c', 'b'])
    await assertHolds(journal, 'b', [claimed(), rootSubmitted('b')])
  },
}

const living: JournalCases = {
  async 'tells every listener of each commit once, in order of commits, and of nothing refused'({
    journal,
    others = journal,
  }) {
    const told = new Told<unknown>()
    const otherTold = new Told<string>()
    journal.subscribe((flowRunId, first, entries) => told.add([flowRunId, first, comparable(entries)]))
    others.subscribe((flowRunId) => otherTold.add(flowRunId))
    // What was asked before is done: a listener may be told from a moment after the call on.
    await Promise.all([journal.summary('a'), others.summary('a')])
    await create(journal, 'a')
    await create(journal, 'b')
    const repeated: Append = { flowRunId: 'a', expected: 2, epoch: 1, entries: [note('1'), note('2')] }
    await append(journal, repeated)
    await append(journal, repeated)
    await append(journal, { flowRunId: 'b', expected: 0, epoch: 1, entries: [note('refused')] })
    await append(journal, { flowRunId: 'a', expected: 4, epoch: 1, entries: [note('3')] })
    assert.deepEqual(await told.atLeast(4), [
      ['a', 1, comparable([claimed(), rootSubmitted('a')])],
      ['b', 1, comparable([claimed(), rootSubmitted('b')])],
      ['a', 3, comparable([note('1'), note('2')])],
      ['a', 5, comparable([note('3')])],
    ])
    assert.deepEqual(await otherTold.atLeast(4), ['a', 'b', 'a', 'a'])
  },
  async 'tells a listener of one journal of all that is committed to it'({ journal, others = journal }) {
    const told = new Told<string>()
    await create(journal, 'a')
    for (const one of [journal, others])
      one.subscribe((flowRunId, first, entries) => {
        // An adapter may tell it of others as well.
        if (flowRunId === 'a') told.add(`${first}+${entries.length}`)
      }, 'a')
    await Promise.all([journal.summary('a'), others.summary('a')])
    await create(journal, 'b')
    await append(journal, { flowRunId: 'a', expected: 2, epoch: 1, entries: [note('1'), note('2')] })
    await append(others, { flowRunId: 'b', expected: 2, epoch: 1, entries: [note('1')] })
    await append(others, { flowRunId: 'a', expected: 4, epoch: 2, entries: [claimed(2, 'node-b')] })
    assert.deepEqual([...(await told.atLeast(4))].toSorted(), ['3+2', '3+2', '5+1', '5+1'])
  },
  async 'tells listeners of a journal that is forgotten, and of those below it, with position 0 and no entries'({
    journal,
    others = journal,
  }) {
    const [all, one, other] = [new Told<string>(), new Told<string>(), new Told<string>()]
    await create(journal, 'stays')
    await create(journal, 'a')
    await create(journal, 'below', { parentRunId: 'a' })
    const words = (flowRunId: string, first: number, entries: readonly Entry[]): string =>
      `${flowRunId} ${first}+${entries.length}`
    journal.subscribe((...commit) => all.add(words(...commit)))
    // An adapter may tell it of others as well.
    journal.subscribe((...commit) => {
      if (commit[0] === 'below') one.add(words(...commit))
    }, 'below')
    others.subscribe((...commit) => other.add(words(...commit)))
    await Promise.all([journal.summary('a'), others.summary('a')])
    await journal.delete('nobody')
    await journal.delete('a')
    await create(journal, 'a')
    for (const told of [all, other]) {
      const items = await told.until((seen) => seen.includes('a 1+2'))
      assert.deepEqual(items.slice(0, -1).toSorted(), ['a 0+0', 'below 0+0'])
    }
    assert.deepEqual(await one.atLeast(1), ['below 0+0'])
  },
  async 'has stored what it tells a listener of'({ journal, others = journal }) {
    const reads = new Told<Promise<readonly Entry[]>>()
    others.subscribe((flowRunId, first) => reads.add(others.read(flowRunId, first, 10)))
    await others.summary('run')
    await create(journal, 'run')
    await append(journal, { flowRunId: 'run', expected: 2, epoch: 1, entries: [note('a')] })
    const lengths = (await Promise.all(await reads.atLeast(2))).map((entries) => entries.length)
    assert.deepEqual([lengths.length, lengths[1]], [2, 1])
    assert.ok((lengths[0] ?? 0) >= 2)
  },
  async 'tells a listener nothing after its subscription ended, and the others all the same'({ journal }) {
    const told = { once: 0, never: 0 }
    const always = new Told<string>()
    const endNever = journal.subscribe(() => told.never++)
    const endOnce = journal.subscribe(() => {
      told.once++
      endOnce()
    })
    journal.subscribe((flowRunId) => always.add(flowRunId))
    endNever()
    endNever()
    await journal.summary('a')
    for (const id of ['a', 'b', 'c']) await create(journal, id)
    assert.deepEqual(await always.atLeast(3), ['a', 'b', 'c'])
    assert.deepEqual(told, { once: 1, never: 0 })
  },
  async 'shows every node at once what was appended by another'({ journal, others = journal }) {
    await create(journal, 'run')
    await assertHolds(others, 'run', [claimed(), rootSubmitted('run')])
    await append(others, { flowRunId: 'run', expected: 2, epoch: 2, entries: [claimed(2, 'node-b')] })
    assert.equal((await journal.summary('run'))?.node, 'node-b')
    const answer = await append(journal, { flowRunId: 'run', expected: 2, epoch: 1, entries: [note('late')] })
    assert.deepEqual(answer, { refused: true, position: 3 })
    assert.deepEqual(await namesOf(journal, { limit: 10, node: 'node-b' }), ['run'])
    await others.delete('run')
    assert.deepEqual(await journal.read('run', 1, 10), [])
  },
  async 'rejects every call after it was closed, and may be closed again'({ journal }) {
    await create(journal, 'run')
    await journal.close()
    await assertFails(
      () => journal.append({ flowRunId: 'run', expected: 2, epoch: 1, entries: [note('a')] }),
      'append',
    )
    await assertFails(() => journal.read('run', 1, 1), 'read')
    await assertFails(() => journal.summary('run'), 'summary')
    await assertFails(() => journal.list({ limit: 1 }), 'list')
    await assertFails(() => journal.delete('run'), 'delete')
    await journal.close()
  },
}

/**
 * What every journal is held to.
 *
 * @param make - Opens a journal, new and empty, for one case. The suite closes only the journal in the case about
 * closing; whatever else must be let go of, `close` does.
 * @public
 */
export function journalConformance(make: () => Promise<OpenedJournal>): ConformanceCase[] {
  return casesOf(make, { ...appending, ...reading, ...living })
}
