import { copyFileSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { folder } from '../support.ts'
import { chance, damage, seen, stored, type Seen, type Stored } from './support.ts'

let whole: Stored
beforeAll(async () => {
  whole = await stored()
})
afterAll(() => whole.remove())

/** Reads the journal after a change of its bytes. */
async function after(change: (bytes: Buffer) => Buffer): Promise<Seen> {
  const { path, remove } = folder()
  try {
    copyFileSync(join(whole.path, 'journal.db'), join(path, 'journal.db'))
    damage(path, change)
    return await seen(path, whole.truth)
  } finally {
    remove()
  }
}

const pageSize = 4096
const sizeOf = (): number => readFileSync(join(whole.path, 'journal.db')).length

/** Reads it after each of many changes. `seen` throws where anything is wrong and not refused. */
async function afterEach(
  count: number,
  change: (bytes: Buffer, draw: (below: number) => number) => Buffer,
): Promise<Seen[]> {
  const all: Seen[] = []
  for (let n = 0; n < count; n++) {
    const draw = chance(n * 7919 + 1)
    all.push(await after((bytes) => change(bytes, draw)))
  }
  return all
}

const wholeRuns = (all: readonly Seen[]): number => all.reduce((sum, { whole: runs }) => sum + runs, 0)
const noticed = (all: readonly Seen[]): number => all.filter(({ refused }) => refused.size > 0).length

describe('a journal whose file was damaged', () => {
  it('is read as it is where nothing is damaged', async () => {
    expect(await after((bytes) => bytes)).toEqual({ whole: whole.truth.size, refused: new Map() })
  })

  it('gives no wrong and no missing entry for a bit that has flipped, and other runs are read', async () => {
    const all = await afterEach(60, (bytes, draw) => {
      const at = draw(bytes.length)
      bytes[at] = (bytes[at] ?? 0) ^ (1 << draw(8))
      return bytes
    })
    expect(noticed(all)).toBeGreaterThan(5)
    expect(wholeRuns(all)).toBeGreaterThan(40 * whole.truth.size)
  })

  it('gives no wrong and no missing entry for 64 bytes that are others', async () => {
    const all = await afterEach(60, (bytes, draw) => {
      const at = draw(bytes.length - 64)
      for (let n = 0; n < 64; n++) bytes[at + n] = draw(256)
      return bytes
    })
    expect(noticed(all)).toBeGreaterThan(20)
    expect(wholeRuns(all)).toBeGreaterThan(20 * whole.truth.size)
  })

  it('gives no wrong and no missing entry for any page of zeros', async () => {
    const pages = sizeOf() / pageSize
    const all: Seen[] = []
    for (let page = 0; page < pages; page += 3)
      all.push(await after((bytes) => bytes.fill(0, page * pageSize, (page + 1) * pageSize)))
    expect(noticed(all)).toBeGreaterThan(all.length / 2)
  })

  it('gives no wrong and no missing entry where it was cut off', async () => {
    const size = sizeOf()
    for (const length of [
      0,
      1,
      100,
      511,
      512,
      pageSize,
      pageSize + 7,
      size >> 1,
      size - pageSize,
      size - 1,
    ]) {
      const { refused, whole: runs } = await after((bytes) => bytes.subarray(0, length))
      expect([length, refused.size > 0, runs < whole.truth.size]).toEqual([length, true, true])
    }
  })

  it('says that it was cut off to nothing, and does not begin anew', async () => {
    const { refused } = await after(() => Buffer.alloc(0))
    expect([...refused.keys()]).toEqual(['JOURNAL_DAMAGED'])
  })

  it('names the run and the entry whose record is another', async () => {
    const { path, remove } = folder()
    try {
      copyFileSync(join(whole.path, 'journal.db'), join(path, 'journal.db'))
      damage(path, (bytes) => {
        const at = bytes.indexOf('run-8 says 3.0')
        expect(at).toBeGreaterThan(0)
        bytes.write('run-8 says 9.9', at)
        return bytes
      })
      const { sqliteJournal } = await import('@troupe/sqlite-journal')
      const journal = sqliteJournal(path)
      try {
        await expect(journal.read('run-8', 1, 100)).rejects.toMatchObject({
          name: 'JournalError',
          code: 'JOURNAL_DAMAGED',
          details: { flowRunId: 'run-8', position: 9 },
          message: expect.stringContaining('entry 9 of flow run run-8'),
        })
        // What is before it is read.
        expect(await journal.read('run-8', 1, 8)).toHaveLength(8)
        expect(await journal.read('run-9', 1, 100)).toHaveLength(whole.truth.get('run-9')?.length ?? 0)
      } finally {
        await journal.close()
      }
    } finally {
      remove()
    }
  })

  it('is not made anew where its file was removed and its log is there', async () => {
    const { path, remove } = folder()
    try {
      copyFileSync(join(whole.path, 'journal.db'), join(path, 'journal.db-wal'))
      rmSync(join(path, 'journal.db'), { force: true })
      const { refused } = await seen(path, whole.truth)
      expect([...refused.keys()]).toEqual(['JOURNAL_DAMAGED'])
    } finally {
      remove()
    }
  })
})
