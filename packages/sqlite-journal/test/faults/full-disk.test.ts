import { execFileSync } from 'node:child_process'
import { createEngine, flow, task } from '@troupe/core'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sqliteJournal } from '@troupe/sqlite-journal'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { all, append, folder, note, wordsOf } from '../support.ts'

const { path, remove } = folder()
const nothing = (): void => undefined
const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing }
let small = false
beforeAll(() => {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', path], { stdio: 'ignore' })
    small = true
  } catch {
    // Only root may; the tests below say that they were skipped.
  }
})
afterAll(() => {
  if (small) execFileSync('umount', [path])
  remove()
})

describe('a full disk', () => {
  it('rejects appends, of which nothing is stored, and takes them when there is room again', async (context) => {
    if (!small) context.skip()
    const journal = sqliteJournal(join(path, 'journal'))
    try {
      let position = 0
      let failure: unknown
      const big = 'x'.repeat(20_000)
      let failed = [note(`${position} ${big}`)]
      for (; failure === undefined && position < 1_000;) {
        failed = [note(`${position} ${big}`), note('and more')]
        await append(journal, 'run', position, failed).then(
          () => (position += 2),
          (error: unknown) => (failure = error),
        )
      }
      expect(failure).toMatchObject({
        name: 'JournalError',
        code: 'JOURNAL_UNAVAILABLE',
        details: { reason: 'full' },
      })
      expect(position).toBeGreaterThan(4)
      expect(await all(journal, 'run')).toHaveLength(position)
      execFileSync('mount', ['-o', 'remount,size=16m', path])
      expect(await append(journal, 'run', position, failed)).toBeUndefined()
      expect(wordsOf(await all(journal, 'run')).slice(-2)).toEqual(wordsOf(failed))
    } finally {
      await journal.close()
      rmSync(join(path, 'journal'), { recursive: true })
      execFileSync('mount', ['-o', 'remount,size=2m', path])
    }
  })

  it('holds a run up, which goes on when there is room again', async (context) => {
    if (!small) context.skip()
    const journal = sqliteJournal(join(path, 'engine'))
    const engine = createEngine({ journal, logger: silent })
    try {
      const ballast = join(path, 'ballast')
      writeFileSync(ballast, Buffer.alloc(1_200_000))
      const step = task({ name: 'step' }, async (index: number) => `${index} ${'y'.repeat(30_000)}`)
      const run = flow({ name: 'fills' }, async () => {
        for (let index = 0; index < 20; index++) await step(index)
        return 'done'
      }).with({ engine })
      const stalled = new Promise<void>((resolve) => {
        engine.errors.subscribe(() => resolve())
      })
      const ended = run()
      await stalled
      rmSync(ballast)
      expect(await ended).toBe('done')
    } finally {
      await engine.close()
      await journal.close()
    }
  })
})
