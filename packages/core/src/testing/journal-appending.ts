import assert from 'node:assert/strict'
import type { Entry } from '../journal/entries.ts'
import type { Append } from '../ports/journal.ts'
import { claimed, everyEntry, note, rootSubmitted } from './journal-entries.ts'
import { append, assertHolds, create, namesOf, type JournalCases } from './journal-helpers.ts'

/** What a journal takes, and what it refuses. */
export const appending: JournalCases = {
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
      assert.equal(
        await append(journal, { flowRunId: 'run', expected: all.length, epoch: 1, entries }),
        undefined,
      )
      all.push(...entries)
    }
    await assertHolds(journal, 'run', all)
  },
  async 'refuses an append at another position, says where the journal is, and stores none of it'({
    journal,
  }) {
    const position = await create(journal, 'run')
    for (const expected of [0, 1, position + 1, position + 100]) {
      const answer = await append(journal, {
        flowRunId: 'run',
        expected,
        epoch: 1,
        entries: [note('a'), note('b')],
      })
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
    assert.equal(
      await append(journal, {
        flowRunId: 'run',
        expected: position,
        epoch: 3,
        entries: [claimed(3, 'node-b')],
      }),
      undefined,
    )
    position++
    for (const epoch of [1, 2]) {
      const answer = await append(journal, {
        flowRunId: 'run',
        expected: position,
        epoch,
        entries: [note('late')],
      })
      assert.deepEqual(answer, { refused: true, position })
    }
    assert.equal(
      await append(journal, { flowRunId: 'run', expected: position, epoch: 3, entries: [note('mine')] }),
      undefined,
    )
    await assertHolds(journal, 'run', [claimed(), rootSubmitted('run'), claimed(3, 'node-b'), note('mine')])
  },
  async 'lets one of many create a journal, and tells the others where it is'({ journal }) {
    const contenders = Array.from({ length: 8 }, (_, n) => [
      claimed(1, `node-${n}`),
      rootSubmitted('run'),
      note(`${n}`),
    ])
    const answers = await Promise.all(
      contenders.map((entries) => append(journal, { flowRunId: 'run', expected: 0, epoch: 1, entries })),
    )
    const winners = answers.flatMap((answer, n) => (answer === undefined ? [n] : []))
    assert.equal(winners.length, 1)
    for (const answer of answers)
      if (answer !== undefined) assert.deepEqual(answer, { refused: true, position: 3 })
    await assertHolds(journal, 'run', contenders[winners[0] ?? 0] ?? [])
  },
  async 'lets one of two writers append at a position, all of its entries or none'({ journal }) {
    let position = await create(journal, 'run')
    const all: Entry[] = [claimed(), rootSubmitted('run')]
    for (let round = 0; round < 10; round++) {
      const batches = ['a', 'b'].map((who) => [1, 2, 3].map((n) => note(`${round} ${who}${n}`)))
      const answers = await Promise.all(
        batches.map((entries) =>
          append(journal, { flowRunId: 'run', expected: position, epoch: 1, entries }),
        ),
      )
      assert.equal(answers.filter((answer) => answer === undefined).length, 1)
      all.push(...(batches[answers.indexOf(undefined)] ?? []))
      position += 3
    }
    await assertHolds(journal, 'run', all)
  },
  async 'answers a repeated append as the first, and stores it once'({ journal }) {
    const creation: Append = {
      flowRunId: 'run',
      expected: 0,
      epoch: 1,
      entries: [claimed(), rootSubmitted('run')],
    }
    for (let i = 0; i < 3; i++) assert.equal(await append(journal, creation), undefined)
    const next: Append = { flowRunId: 'run', expected: 2, epoch: 1, entries: [note('once')] }
    for (let i = 0; i < 3; i++) assert.equal(await append(journal, next), undefined)
    assert.deepEqual(await Promise.all([append(journal, next), append(journal, next)]), [
      undefined,
      undefined,
    ])
    await assertHolds(journal, 'run', [...creation.entries, ...next.entries])
  },
  async 'keeps an append that another entry of the same content followed'({ journal }) {
    await create(journal, 'run')
    for (let i = 0; i < 3; i++) {
      assert.equal(
        await append(journal, { flowRunId: 'run', expected: 2 + i, epoch: 1, entries: [note('same')] }),
        undefined,
      )
    }
    await assertHolds(journal, 'run', [
      claimed(),
      rootSubmitted('run'),
      note('same'),
      note('same'),
      note('same'),
    ])
  },
  async 'keeps many journals apart that are written at once'({ journal }) {
    const ids = Array.from({ length: 50 }, (_, n) => `run-${n}`)
    await Promise.all(
      ids.map(async (flowRunId) => {
        let expected = await create(journal, flowRunId)
        for (let i = 0; i < 10; i++) {
          assert.equal(
            await append(journal, { flowRunId, expected, epoch: 1, entries: [note(`${flowRunId} ${i}`)] }),
            undefined,
          )
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
