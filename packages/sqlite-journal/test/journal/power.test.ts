import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { sqliteJournal } from '@troupe/sqlite-journal'
import { expect, it } from 'vitest'
import { all, append, copy, create, folder, note, opened, wordsOf } from '../support.ts'

it('what was answered is in the two files, whenever the power goes', async () => {
  const { journal, path, close } = await opened()
  const { path: copies, remove } = folder()
  try {
    await create(journal, 'run')
    const moments: { readonly path: string; readonly answered: number }[] = []
    for (let n = 0; n < 40; n++) {
      await append(journal, 'run', 2 + n, [note(`${n} ${'x'.repeat(n * 200)}`)])
      // The log goes into the file from time to time, too.
      if (n === 25) await journal.compact()
      if (n % 3 !== 0) continue
      const to = join(copies, `${n}`)
      mkdirSync(to)
      // Not the file that the processes share in memory: it does not outlive the machine.
      for (const name of ['journal.db', 'journal.db-wal'])
        if (existsSync(join(path, name))) copy(join(path, name), join(to, name))
      moments.push({ path: to, answered: n + 1 })
    }
    for (const moment of moments) {
      const after = sqliteJournal(moment.path)
      const words = wordsOf(await all(after, 'run'))
      await after.close()
      expect(words.map((word) => word.split(' ')[0])).toEqual(
        Array.from({ length: moment.answered }, (_, n) => `${n}`),
      )
    }
  } finally {
    await close()
    remove()
  }
})

it('a copy that is made while others append is a journal of its own', async () => {
  const { journal, close } = await opened()
  const { path: place, remove } = folder()
  try {
    await create(journal, 'run', { tags: ['kept'] })
    let position = 2
    const appending = (async () => {
      for (; position < 200; position++) await append(journal, 'run', position, [note(`${position}`)])
    })()
    await journal.backup(join(place, 'copy'))
    await appending
    await expect(journal.backup(join(place, 'copy'))).rejects.toMatchObject({
      code: 'JOURNAL_UNAVAILABLE',
      details: { reason: 'other files' },
    })
    const copied = sqliteJournal(join(place, 'copy'))
    const words = wordsOf(await all(copied, 'run'))
    expect(words).toEqual(words.map((_, index) => `${index + 2}`))
    expect((await copied.list({ limit: 5, tag: 'kept' })).length).toBe(1)
    expect(await append(copied, 'run', words.length + 2, [note('goes on')])).toBeUndefined()
    await copied.close()
  } finally {
    await close()
    remove()
  }
})
