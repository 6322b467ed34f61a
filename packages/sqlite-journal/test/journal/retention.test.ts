import { statSync } from 'node:fs'
import { join } from 'node:path'
import type { Keep } from '@troupe/sqlite-journal'
import { describe, expect, it } from 'vitest'
import { append, create, moved, note, opened, raw } from '../support.ts'

const day = 86_400_000

interface Made {
  readonly id: string
  readonly end?: 'Completed' | 'Cached' | 'Failed' | 'Cancelled' | 'Crashed'
  /** Day of its end. */
  readonly at?: number
  readonly parentRunId?: string
}

/** What is left of these runs on a day, after a sweep. */
async function left(runs: readonly Made[], keep: Keep | undefined, today: number): Promise<string[]> {
  const clock = { now: () => today * day, monotonic: () => 0 }
  const { journal, close } = await opened({
    durability: 'process',
    clock,
    ...(keep === undefined ? undefined : { keep }),
  })
  try {
    for (const { id, end, at = 0, parentRunId } of runs) {
      await create(journal, id, parentRunId === undefined ? {} : { parentRunId })
      if (end !== undefined) await append(journal, id, 2, [moved(end, { at: at * day })])
    }
    await journal.sweep()
    return (await journal.list({ limit: 1_000 })).map(({ flowRunId }) => flowRunId)
  } finally {
    await close()
  }
}

describe('a sweep', () => {
  it('forgets nothing where nothing is said', async () => {
    expect(await left([{ id: 'a', end: 'Completed' }, { id: 'b' }], undefined, 9_999)).toEqual(['a', 'b'])
    expect(await left([{ id: 'a', end: 'Completed' }, { id: 'b' }], {}, 9_999)).toEqual(['a', 'b'])
  })

  it('forgets runs that ended longer ago than `age`, and never an unfinished one', async () => {
    const runs: Made[] = [
      { id: 'old', end: 'Completed', at: 1 },
      { id: 'unfinished' },
      { id: 'just', end: 'Failed', at: 3 },
      { id: 'new', end: 'Completed', at: 9 },
    ]
    expect(await left(runs, { age: '7d' }, 10)).toEqual(['unfinished', 'just', 'new'])
    expect(await left(runs, { age: 0 }, 10)).toEqual(['unfinished'])
  })

  it('keeps the newest by their end, not by their beginning', async () => {
    const runs: Made[] = [
      { id: 'began first', end: 'Completed', at: 9 },
      { id: 'b', end: 'Completed', at: 2 },
      { id: 'unfinished' },
      { id: 'c', end: 'Failed', at: 5 },
      { id: 'd', end: 'Completed', at: 1 },
    ]
    expect(await left(runs, { count: 2 }, 10)).toEqual(['began first', 'unfinished', 'c'])
    expect(await left(runs, { count: 0 }, 10)).toEqual(['unfinished'])
    expect(await left(runs, { count: 99 }, 10)).toHaveLength(5)
  })

  it('keeps runs that ended in some way by limits of their own', async () => {
    const runs: Made[] = [
      { id: 'done 1', end: 'Completed', at: 1 },
      { id: 'done 2', end: 'Cached', at: 2 },
      { id: 'done 3', end: 'Completed', at: 3 },
      { id: 'failed 1', end: 'Failed', at: 1 },
      { id: 'failed 2', end: 'Failed', at: 2 },
      { id: 'cancelled', end: 'Cancelled', at: 1 },
      { id: 'crashed', end: 'Crashed', at: 1 },
    ]
    const keep: Keep = {
      age: '5d',
      states: { COMPLETED: { count: 1 }, FAILED: { age: '30d' }, CANCELLED: {} },
    }
    expect(await left(runs, keep, 10)).toEqual(['done 3', 'failed 1', 'failed 2', 'cancelled'])
  })

  it('takes families whole: none goes while one of it is unfinished, and none goes without its root', async () => {
    const family = (name: string, end: Made['end']): Made[] => [
      { id: name, end: 'Completed' },
      { id: `${name}-part`, end: 'Completed', parentRunId: `${name}.call` },
      {
        id: `${name}-part-of-part`,
        ...(end === undefined ? undefined : { end }),
        parentRunId: `${name}-part`,
      },
    ]
    const runs = [
      ...family('ended', 'Failed'),
      ...family('going', undefined),
      { id: 'root' },
      { id: 'child', end: 'Completed' as const, parentRunId: 'root.call' },
    ]
    expect(await left(runs, { age: 0 }, 10)).toEqual([
      'going',
      'going-part',
      'going-part-of-part',
      'root',
      'child',
    ])
  })

  it('gives the space back, with large values that nothing else uses, in steps that let appends through', async () => {
    const clock = { now: () => day, monotonic: () => 0 }
    const { journal, path, close } = await opened({
      durability: 'process',
      clock,
      largeValue: 1_000,
      keep: { count: 0 },
    })
    try {
      const shared = new Uint8Array(5_000).fill(1)
      for (let n = 0; n < 60; n++) {
        await create(journal, `run-${n}`, {
          inputs: n % 2 === 0 ? shared : new Uint8Array(20_000).map((_, index) => (index * n) % 256),
        })
        for (let k = 0; k < 20; k++) await append(journal, `run-${n}`, 2 + k, [note('x'.repeat(900))])
      }
      await create(journal, 'stays', { inputs: shared })
      for (let n = 0; n < 60; n++) await append(journal, `run-${n}`, 22, [moved('Completed', { at: 0 })])
      const sweeping = journal.compact()
      let appended = 0
      for (; appended < 5; appended++) await append(journal, 'stays', 2 + appended, [note('meanwhile')])
      const { runs, freedBytes } = await sweeping
      expect([runs, appended]).toEqual([60, 5])
      expect(freedBytes).toBeGreaterThan(1_000_000)
      expect(await journal.sweep()).toMatchObject({ runs: 0 })
      expect((await journal.read('stays', 1, 100)).length).toBe(7)
      await journal.close()
      expect(statSync(join(path, 'journal.db')).size).toBeLessThan(200_000)
      const names = raw(path, (database) => database.prepare('select count(*) as count from blobs').get())
      expect(names?.['count']).toBe(1)
      const rows = raw(path, (database) =>
        database.prepare('select count(*) as count from entries where run <> 0').get(),
      )
      expect(rows?.['count']).toBe(6)
    } finally {
      await close()
    }
  })

  it('tells listeners what it has forgotten, and of what comes after it once, also where the newest commit was forgotten', async () => {
    const clock = { now: () => day, monotonic: () => 0 }
    const { journal, close } = await opened({ durability: 'process', clock, keep: { count: 0 } })
    try {
      const told: string[] = []
      journal.subscribe((flowRunId, first) => told.push(`${flowRunId}@${first}`))
      await create(journal, 'old')
      await append(journal, 'old', 2, [moved('Completed', { at: 0 })])
      await journal.sweep()
      expect(await journal.list({ limit: 5 })).toEqual([])
      await create(journal, 'new')
      await append(journal, 'new', 2, [note('x')])
      expect(told).toEqual(['old@1', 'old@3', 'old@0', 'new@1', 'new@3'])
    } finally {
      await close()
    }
  })
})
