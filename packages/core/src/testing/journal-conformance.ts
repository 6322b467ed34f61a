import assert from 'node:assert/strict'
import type { Entry } from '../journal/entries.ts'
import type { Append, AppendRefused, Journal } from '../ports/journal.ts'
import { assertFails, casesOf, type ConformanceCase, type Opened } from './conformance.ts'
import { claimed, comparable, everyEntry, note, rootSubmitted, transition } from './journal-entries.ts'

/** A journal that a suite opens, new and empty. @public */
export interface OpenedJournal extends Opened {
  readonly journal: Journal
}

type Answer = AppendRefused | undefined

/** Appends, and answers by a promise also where the adapter throws. */
async function append(journal: Journal, request: Append): Promise<Answer> {
  return journal.append(request)
}

/** Creates a journal with its root. @returns Its position. */
async function create(journal: Journal, flowRunId: string, root?: Parameters<typeof rootSubmitted>[1]): Promise<number> {
  const entries = [claimed(), rootSubmitted(flowRunId, root)]
  assert.equal(await append(journal, { flowRunId, expected: 0, epoch: 1, entries }), undefined)
  return entries.length
}

async function assertHolds(journal: Journal, flowRunId: string, entries: readonly Entry[]): Promise<void> {
  const read = await journal.read(flowRunId, 1, entries.length + 10)
  assert.deepEqual(comparable(read), comparable(entries))
}

async function namesOf(journal: Journal, query: Parameters<Journal['list']>[0]): Promise<string[]> {
  return (await journal.list(query)).map(({ flowRunId }) => flowRunId)
}

const appending: Readonly<Record<string, (opened: OpenedJournal) => Promise<void>>> = {
  async 'gives back every kind of entry, equal in every field'({ journal }) {
    const entries = everyEntry('run')
    assert.equal(await append(journal, { flowRunId: 'run', expected: 0, epoch: 1, entries }), undefined)
    await assertHolds(journal, 'run', entries)
  },
  async 'appends after the position that is expected, in order'({ journal }) {
    const all: Entry[] = [claimed(), rootSubmitted('run')]
    await append(journal, { flowRunId: 'run', expected: 0, epoch: 1, entries: [...all] })
    for (let i = 0; i < 20; i++) {
      const entries = Array.from({ length: 1 + (i % 3) }, (_, n) => note(`${i}.${n}`))
      assert.equal(await append(journal, { flowRunId: 'run', expected: all.length, epoch: 1, entries }), undefined)
      all.push(...entries)
    }
    await assertHolds(journal, 'run', all)
  },
  async 'refuses an append at another position, says where the journal is, and stores none of it'({ journal }) {
    const position = await create(journal, 'run')
    for (const expected of [0, 1, position + 1, position + 100]) {
      const answer = await append(journal, { flowRunId: 'run', expected, epoch: 1, entries: [note('a'), note('b')] })
      assert.deepEqual(answer, { refused: true, position })
    }
    await assertHolds(journal, 'run', [claimed(), rootSubmitted('run')])
  },
  async 'refuses to go on with a journal that does not exist'({ journal }) {
    const answer = await append(journal, { flowRunId: 'run', expected: 3, epoch: 1, entries: [note('a')] })
    assert.deepEqual(answer, { refused: true, position: 0 })
    assert.equal(await journal.summary('run'), undefined)
  },
  async 'refuses an older epoch at the right position, and takes the same and a later one'({ journal }) {
    let position = await create(journal, 'run')
    assert.equal(await append(journal, { flowRunId: 'run', expected: position, epoch: 3, entries: [claimed(3, 'node-b')] }), undefined)
    position++
    for (const epoch of [1, 2]) {
      const answer = await append(journal, { flowRunId: 'run', expected: position, epoch, entries: [note('late')] })
      assert.deepEqual(answer, { refused: true, position })
    }
    assert.equal(await append(journal, { flowRunId: 'run', expected: position, epoch: 3, entries: [note('mine')] }), undefined)
    await assertHolds(journal, 'run', [claimed(), rootSubmitted('run'), claimed(3, 'node-b'), note('mine')])
  },
  async 'lets one of many create a journal, and tells the others where it is'({ journal }) {
    const contenders = Array.from({ length: 8 }, (_, n) => [claimed(1, `node-${n}`), rootSubmitted('run'), note(`${n}`)])
    const answers = await Promise.all(
      contenders.map((entries) => append(journal, { flowRunId: 'run', expected: 0, epoch: 1, entries })),
    )
    const winners = answers.flatMap((answer, n) => (answer === undefined ? [n] : []))
    assert.equal(winners.length, 1)
    for (const answer of answers) if (answer !== undefined) assert.deepEqual(answer, { refused: true, position: 3 })
    await assertHolds(journal, 'run', contenders[winners[0] ?? 0] ?? [])
  },
  async 'lets one of two writers append at a position, all of its entries or none'({ journal }) {
    let position = await create(journal, 'run')
    const all: Entry[] = [claimed(), rootSubmitted('run')]
    for (let round = 0; round < 10; round++) {
      const batches = ['a', 'b'].map((who) => [1, 2, 3].map((n) => note(`${round} ${who}${n}`)))
      const answers = await Promise.all(
        batches.map((entries) => append(journal, { flowRunId: 'run', expected: position, epoch: 1, entries })),
      )
      assert.equal(answers.filter((answer) => answer === undefined).length, 1)
      all.push(...(batches[answers.indexOf(undefined)] ?? []))
      position += 3
    }
    await assertHolds(journal, 'run', all)
  },
  async 'answers a repeated append as the first, and stores it once'({ journal }) {
    const creation: Append = { flowRunId: 'run', expected: 0, epoch: 1, entries: [claimed(), rootSubmitted('run')] }
    for (let i = 0; i < 3; i++) assert.equal(await append(journal, creation), undefined)
    const next: Append = { flowRunId: 'run', expected: 2, epoch: 1, entries: [note('once')] }
    for (let i = 0; i < 3; i++) assert.equal(await append(journal, next), undefined)
    assert.deepEqual(await Promise.all([append(journal, next), append(journal, next)]), [undefined, undefined])
    await assertHolds(journal, 'run', [...creation.entries, ...next.entries])
  },
  async 'keeps an append that another entry of the same content followed'({ journal }) {
    await create(journal, 'run')
    for (let i = 0; i < 3; i++) {
      assert.equal(await append(journal, { flowRunId: 'run', expected: 2 + i, epoch: 1, entries: [note('same')] }), undefined)
    }
    await assertHolds(journal, 'run', [claimed(), rootSubmitted('run'), note('same'), note('same'), note('same')])
  },
  async 'keeps many journals apart that are written at once'({ journal }) {
    const ids = Array.from({ length: 50 }, (_, n) => `run-${n}`)
    await Promise.all(
      ids.map(async (flowRunId) => {
        let expected = await create(journal, flowRunId)
        for (let i = 0; i < 10; i++) {
          assert.equal(await append(journal, { flowRunId, expected, epoch: 1, entries: [note(`${flowRunId} ${i}`)] }), undefined)
          expected++
        }
      }),
    )
    for (const flowRunId of ids) {
      const notes = Array.from({ length: 10 }, (_, i) => note(`${flowRunId} ${i}`))
      await assertHolds(journal, flowRunId, [claimed(), rootSubmitted(flowRunId), ...notes])
    }
    assert.deepEqual((await namesOf(journal, { limit: 100 })).toSorted(), ids.toSorted())
  },
}

const reading: Readonly<Record<string, (opened: OpenedJournal) => Promise<void>>> = {
  async 'reads any page, and nothing past the end or of an unknown journal'({ journal }) {
    const entries = [claimed(), rootSubmitted('run'), ...Array.from({ length: 2_498 }, (_, n) => note(`${n}`))]
    await append(journal, { flowRunId: 'run', expected: 0, epoch: 1, entries })
    for (const [from, limit] of [[1, 1], [1, 1_000], [1_001, 1_000], [2_001, 1_000], [2_500, 1], [700, 3]] as const) {
      const page = await journal.read('run', from, limit)
      assert.deepEqual(comparable(page), comparable(entries.slice(from - 1, from - 1 + limit)))
    }
    assert.deepEqual(await journal.read('run', 2_501, 10), [])
    assert.deepEqual(await journal.read('nobody', 1, 10), [])
  },
  async 'sums up a journal: its root, its position, and whether the root has ended'({ journal }) {
    await create(journal, 'run', { name: 'delays' })
    const summary = { flowRunId: 'run', name: 'delays', kind: 'flow', ended: false, parentRunId: undefined }
    assert.deepEqual({ ...(await journal.summary('run')) }, { ...summary, position: 2 })
    // A task run of the journal ends; its root goes on.
    await append(journal, { flowRunId: 'run', expected: 2, epoch: 1, entries: [transition(1, 'Completed'), transition(0, 'Running')] })
    assert.deepEqual({ ...(await journal.summary('run')) }, { ...summary, position: 4 })
    await append(journal, { flowRunId: 'run', expected: 4, epoch: 1, entries: [transition(0, 'Failed', 3)] })
    assert.deepEqual({ ...(await journal.summary('run')) }, { ...summary, position: 5, ended: true })
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
    assert.deepEqual(await namesOf(journal, { limit: 3, after: 'z' }), ['a', 'k', 'b'])
    assert.deepEqual(await namesOf(journal, { limit: 3, after: 'y' }), [])
    assert.deepEqual(await namesOf(journal, { limit: 2, after: 'm', ended: false }), ['a', 'b'])
    assert.deepEqual(await namesOf(journal, { limit: 2, after: 'a', ended: true }), ['k'])
    const [first] = await journal.list({ limit: 1, ended: true })
    assert.deepEqual({ ...first }, { ...(await journal.summary('c')) })
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

const living: Readonly<Record<string, (opened: OpenedJournal) => Promise<void>>> = {
  async 'tells every listener of each commit once, in order of commits, and of nothing refused'({ journal }) {
    const told: unknown[] = []
    const others: string[] = []
    journal.subscribe((flowRunId, first, entries) => told.push([flowRunId, first, comparable(entries)]))
    journal.subscribe((flowRunId) => others.push(flowRunId))
    await create(journal, 'a')
    await create(journal, 'b')
    const repeated: Append = { flowRunId: 'a', expected: 2, epoch: 1, entries: [note('1'), note('2')] }
    await append(journal, repeated)
    await append(journal, repeated)
    await append(journal, { flowRunId: 'b', expected: 0, epoch: 1, entries: [note('refused')] })
    await append(journal, { flowRunId: 'a', expected: 4, epoch: 1, entries: [note('3')] })
    assert.deepEqual(told, [
      ['a', 1, comparable([claimed(), rootSubmitted('a')])],
      ['b', 1, comparable([claimed(), rootSubmitted('b')])],
      ['a', 3, comparable([note('1'), note('2')])],
      ['a', 5, comparable([note('3')])],
    ])
    assert.deepEqual(others, ['a', 'b', 'a', 'a'])
  },
  async 'has stored what it tells a listener of'({ journal }) {
    const reads: Promise<readonly Entry[]>[] = []
    journal.subscribe((flowRunId, first) => reads.push(journal.read(flowRunId, first, 10)))
    await create(journal, 'run')
    await append(journal, { flowRunId: 'run', expected: 2, epoch: 1, entries: [note('a')] })
    const lengths = (await Promise.all(reads)).map((entries) => entries.length)
    assert.deepEqual([lengths.length, lengths[1]], [2, 1])
    assert.ok((lengths[0] ?? 0) >= 2)
  },
  async 'tells a listener nothing after its subscription ended, and the others all the same'({ journal }) {
    const told = { once: 0, never: 0, always: 0 }
    const endNever = journal.subscribe(() => told.never++)
    const endOnce = journal.subscribe(() => {
      told.once++
      endOnce()
    })
    journal.subscribe(() => told.always++)
    endNever()
    endNever()
    await create(journal, 'a')
    await create(journal, 'b')
    assert.deepEqual(told, { once: 1, never: 0, always: 2 })
  },
  async 'rejects every call after it was closed, and may be closed again'({ journal }) {
    await create(journal, 'run')
    await journal.close()
    await assertFails(() => journal.append({ flowRunId: 'run', expected: 2, epoch: 1, entries: [note('a')] }), 'append')
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
