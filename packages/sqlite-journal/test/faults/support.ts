import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { TroupeError } from '@troupe/core'
import { sqliteJournal, type SqliteJournalOptions } from '@troupe/sqlite-journal'
import { all, append, create, folder, moved, note, plain } from '../support.ts'

/** What was stored: entries, in a form that can be compared, by flow run. */
export type Truth = ReadonlyMap<string, readonly unknown[]>

export interface Stored {
  readonly path: string
  readonly truth: Truth
  readonly remove: () => void
}

const bytesOf = (seed: number, length: number): Uint8Array =>
  new Uint8Array(length).map((_, index) => (index * 31 + seed * 17) % 256)

/** A journal of many runs, closed. */
export async function stored(runs = 24): Promise<Stored> {
  const { path, remove } = folder()
  const journal = sqliteJournal(path, { durability: 'process' })
  const truth = new Map<string, readonly unknown[]>()
  for (let n = 0; n < runs; n++) {
    const flowRunId = `run-${(n * 7) % runs}`
    await create(journal, flowRunId, {
      inputs: bytesOf(n, n % 6 === 5 ? 100_000 : 40),
      tags: [`tag ${n % 3}`],
      ...(n % 4 === 3 ? { parentRunId: 'run-0.part' } : undefined),
    })
    let position = 2
    for (let k = 0; k < 5 + (n % 9); k++) {
      const entries = Array.from({ length: 1 + (k % 3) }, (_, i) =>
        note(`${flowRunId} says ${k}.${i} ${'x'.repeat(n * 5)}`),
      )
      await append(journal, flowRunId, position, entries)
      position += entries.length
    }
    if (n % 2 === 0)
      await append(journal, flowRunId, position, [moved('Completed', { value: bytesOf(n, 300) })])
    truth.set(flowRunId, (await all(journal, flowRunId)).map(plain))
  }
  await journal.close()
  return { path, truth, remove }
}

/** What came of reading a damaged journal. */
export interface Seen {
  /** Flow runs that were read as they were written. */
  whole: number
  /** Calls that were refused, by code. */
  readonly refused: Map<string, number>
}

const clear = new Set(['JOURNAL_DAMAGED', 'NOT_A_JOURNAL', 'UNSUPPORTED_FORMAT', 'JOURNAL_UNAVAILABLE'])

/** Reads everything; throws where anything is not what was written, and not refused either. */
export async function seen(path: string, truth: Truth, options: SqliteJournalOptions = {}): Promise<Seen> {
  const journal = sqliteJournal(path, { durability: 'process', ...options })
  const result: Seen = { whole: 0, refused: new Map() }
  const ask = async <T>(call: () => Promise<T>, check: (answer: T) => void): Promise<void> => {
    let answer: T
    try {
      answer = await call()
    } catch (error) {
      if (!TroupeError.is(error) || !clear.has(error.code)) throw error
      result.refused.set(error.code, (result.refused.get(error.code) ?? 0) + 1)
      return
    }
    check(answer)
  }
  const expectSame = (got: unknown, expected: unknown, what: string): void => {
    if (JSON.stringify(got) !== JSON.stringify(expected))
      throw new TypeError(`${what}: wrong, and not refused: ${JSON.stringify(got)?.slice(0, 300)}`)
  }
  try {
    for (const [flowRunId, entries] of truth) {
      await ask(
        () => all(journal, flowRunId, 7),
        (read) => {
          expectSame(read.map(plain), entries, `entries of ${flowRunId}`)
          result.whole++
        },
      )
      await ask(
        () => journal.summary(flowRunId),
        (summary) => expectSame(summary?.position, entries.length, `summary of ${flowRunId}`),
      )
    }
    await ask(
      () => journal.list({ limit: 1_000 }),
      (list) =>
        expectSame(list.map(({ flowRunId }) => flowRunId).toSorted(), [...truth.keys()].toSorted(), 'list'),
    )
    await ask(
      () => journal.list({ limit: 1_000, ended: false }),
      (list) =>
        expectSame(
          list.length,
          [...truth.values()].filter((entries) => !isEnded(entries)).length,
          'list of live',
        ),
    )
  } finally {
    await journal.close()
  }
  return result
}

function isEnded(entries: readonly unknown[]): boolean {
  return (entries.at(-1) as { to?: string }).to === 'Completed'
}

/** Changes the bytes of a file of a journal that is closed. */
export function damage(path: string, change: (bytes: Buffer) => Buffer, name = 'journal.db'): void {
  const file = join(path, name)
  writeFileSync(file, change(readFileSync(file)))
}

/** A small generator of numbers: the same for the same seed. */
export function chance(seed: number): (below: number) => number {
  let state = seed >>> 0 || 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state % below
  }
}
