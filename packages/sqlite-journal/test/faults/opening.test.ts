import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sqliteJournal, type SqliteJournalOptions } from '@troupe/sqlite-journal'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { all, append, create, folder, note, Program, raw, wordsOf } from '../support.ts'

let place: ReturnType<typeof folder>
beforeEach(() => {
  place = folder()
})
afterEach(() => place.remove())

const inside = (name: string): string => join(place.path, name)

/** What every kind of call rejects with: the same error. */
async function refusal(path: string, options: SqliteJournalOptions = {}): Promise<unknown> {
  const journal = sqliteJournal(path, options)
  const calls = [
    () => journal.open(),
    () => journal.append({ flowRunId: 'a', expected: 0, epoch: 1, entries: [note('x')] }),
    () => journal.read('a', 1, 1),
    () => journal.summary('a'),
    () => journal.list({ limit: 1 }),
    () => journal.delete('a'),
    () => journal.blobs.put(Uint8Array.of(1)),
    () => journal.mailbox.pending('a'),
    () => journal.nodes.announce('n'),
    () => journal.cache.get('k'),
    () => journal.sweep(),
  ]
  const errors: unknown[] = []
  for (const call of calls) {
    try {
      await call()
      errors.push('no error')
    } catch (error) {
      errors.push(error)
    }
  }
  await journal.close()
  const texts = new Set(errors.map(String))
  if (texts.size > 1) throw new TypeError(`several errors: ${[...texts].join('; ')}`)
  return errors[0]
}

describe('a journal is not opened', () => {
  it('where its folder is a file', async () => {
    writeFileSync(inside('file'), 'mine')
    expect(await refusal(inside('file'))).toMatchObject({
      name: 'JournalError',
      code: 'NOT_A_JOURNAL',
      details: { folder: inside('file'), reason: 'file' },
    })
    expect(await refusal(inside('file/deeper'))).toMatchObject({
      name: 'JournalError',
      code: 'NOT_A_JOURNAL',
    })
  })

  it('in a folder that has other files, of which it touches none', async () => {
    writeFileSync(inside('mine.txt'), 'mine')
    expect(await refusal(place.path)).toMatchObject({
      name: 'JournalError',
      code: 'NOT_A_JOURNAL',
      message: expect.stringContaining('mine.txt'),
      details: { folder: place.path, reason: 'other files' },
    })
    expect(readdirSync(place.path)).toEqual(['mine.txt'])
  })

  it("where its file is another program's database, which stays as it is", async () => {
    raw(place.path, (database) => database.exec('create table mine(a); insert into mine values (7)'))
    expect(await refusal(place.path)).toMatchObject({
      name: 'JournalError',
      code: 'NOT_A_JOURNAL',
      details: { folder: place.path, reason: 'foreign' },
    })
    expect(raw(place.path, (database) => database.prepare('select a from mine').get()?.['a'])).toBe(7)
  })

  it('where its file is no database', async () => {
    writeFileSync(inside('journal.db'), 'a text, and nothing else\n'.repeat(400))
    expect(await refusal(place.path)).toMatchObject({
      name: 'JournalError',
      code: 'NOT_A_JOURNAL',
      details: { folder: place.path, reason: 'foreign' },
    })
  })

  it('where a newer version has made it, and says so', async () => {
    const journal = sqliteJournal(place.path)
    await create(journal, 'a')
    await journal.close()
    raw(place.path, (database) => database.exec('pragma user_version = 2'))
    expect(await refusal(place.path)).toMatchObject({
      name: 'JournalError',
      code: 'UNSUPPORTED_FORMAT',
      message: expect.stringMatching(/has format 2.*reads format 1; a newer version reads it/),
      details: { folder: place.path, format: 2, supported: 1 },
    })
  })

  it('for reading where there is none', async () => {
    const expected = { code: 'JOURNAL_UNAVAILABLE', details: { reason: 'missing' } }
    expect(await refusal(inside('none'), { readOnly: true })).toMatchObject({
      name: 'JournalError',
      ...expected,
    })
    expect(existsSync(inside('none'))).toBe(false)
  })
})

describe('a journal is opened', () => {
  it('in a folder that is made with all above it, and in one that is empty but for hidden files', async () => {
    mkdirSync(inside('empty'))
    writeFileSync(inside('empty/.gitignore'), '*')
    for (const name of ['deep/deeper/deepest', 'empty']) {
      const journal = sqliteJournal(inside(name))
      await create(journal, 'a')
      await journal.close()
    }
    expect(readdirSync(inside('empty')).toSorted()).toEqual(['.gitignore', 'journal.db'])
  })

  it('where the maker of another was killed half way', async () => {
    writeFileSync(inside('journal.new-01234567-89ab-cdef-0123-456789abcdef.db'), 'half')
    const journal = sqliteJournal(place.path)
    await create(journal, 'a')
    await journal.close()
    expect(existsSync(inside('journal.db'))).toBe(true)
  })

  it('by the next call after what was wrong has been put right', async () => {
    writeFileSync(inside('mine.txt'), 'mine')
    const journal = sqliteJournal(place.path)
    await expect(journal.open()).rejects.toMatchObject({ code: 'NOT_A_JOURNAL' })
    rmSync(inside('mine.txt'))
    await create(journal, 'a')
    expect((await journal.summary('a'))?.position).toBe(2)
    await journal.close()
  })

  it('only by the first call: to make one touches nothing', async () => {
    const journal = sqliteJournal(inside('later'))
    await new Promise((resolve) => setImmediate(resolve))
    expect(existsSync(inside('later'))).toBe(false)
    await journal.close()
    expect(existsSync(inside('later'))).toBe(false)
    await expect(journal.open()).rejects.toMatchObject({ code: 'ENGINE_CLOSED' })
  })

  it('with its log after a process was killed, and without where the log has gone with a clean end', async () => {
    const program = new Program(
      `for (let n = 0; n < 20; n++) await append('a', n, [note('says ' + n)]); await say('stored'); await hear()`,
      place.path,
    )
    expect(await program.hears()).toBe('stored')
    await program.kill()
    expect(existsSync(inside('journal.db-wal'))).toBe(true)
    const journal = sqliteJournal(place.path)
    expect(wordsOf(await all(journal, 'a'))).toHaveLength(20)
    await journal.close()
    expect(readdirSync(place.path)).toEqual(['journal.db'])
  })
})

describe('a journal whose log was damaged', () => {
  /** A copy of a journal as a power cut leaves it: nothing has gone from the log into the file. */
  async function cut(): Promise<{ log: string; path: string }> {
    const program = new Program(
      `for (let n = 0; n < 20; n++) await append('a', n, [note('says ' + n)]); await say('stored'); await hear()`,
      place.path,
    )
    expect(await program.hears()).toBe('stored')
    await program.kill()
    const path = inside('copy')
    mkdirSync(path)
    for (const name of ['journal.db', 'journal.db-wal']) copyFileSync(inside(name), join(path, name))
    return { path, log: join(path, 'journal.db-wal') }
  }

  it('is refused where commits follow what is damaged, for they would be lost', async () => {
    const { path, log } = await cut()
    const { readFileSync } = await import('node:fs')
    const sound = readFileSync(log)
    const middle = sound.indexOf('says 7')
    expect(middle).toBeGreaterThan(0)
    for (const at of [middle, 5, 20]) {
      const damaged = Buffer.from(sound)
      damaged[at] = (damaged[at] ?? 0) ^ 4
      writeFileSync(log, damaged)
      expect(await refusal(path)).toMatchObject({
        name: 'JournalError',
        code: 'JOURNAL_DAMAGED',
        details: { reason: 'log' },
      })
      rmSync(`${path}/journal.db-shm`, { force: true })
    }
    writeFileSync(log, sound)
    const journal = sqliteJournal(path)
    expect(wordsOf(await all(journal, 'a'))).toHaveLength(20)
    await journal.close()
  })

  it('is read without a commit that was written by half: it was not answered', async () => {
    const { path, log } = await cut()
    const { readFileSync } = await import('node:fs')
    const sound = readFileSync(log)
    writeFileSync(log, sound.subarray(0, sound.length - 100))
    const journal = sqliteJournal(path)
    expect(wordsOf(await all(journal, 'a'))).toHaveLength(19)
    expect(await append(journal, 'a', 19, [note('says 19')])).toBeUndefined()
    await journal.close()
  })
})

describe('a folder that this user may not write', () => {
  const isRoot = process.getuid?.() === 0
  const unprivileged = (source: string, options: SqliteJournalOptions = {}): Program => {
    // Root may write everywhere.
    const drop = isRoot ? `process.setgid(65534); process.setuid(65534);` : ''
    return new Program(`${drop}${source}`, place.path, options)
  }
  const tries = `
    const shown = (call) => call().then(String, (error) => error.code + ' ' + error.details.reason)
    await say(await shown(async () => (await journal.read('a', 1, 10)).length))
    await say(await shown(() => append('a', 2, [note('x')])))
    await hear()
    await say(await shown(async () => (await journal.read('a', 1, 10)).length))
    await journal.close()
    await say('closed')`

  it.skipIf(process.platform === 'win32' || !isRoot)(
    'is read with `readOnly`, also what others write meanwhile, and refuses appends',
    async () => {
      const journal = sqliteJournal(place.path)
      await create(journal, 'a')
      await journal.close()
      chmodSync(inside('journal.db'), 0o444)
      chmodSync(place.path, 0o555)
      const [reader, writer] = [unprivileged(tries, { readOnly: true }), unprivileged(tries)]
      expect(await reader.hears()).toBe('2')
      expect(await reader.hears()).toBe('JOURNAL_UNAVAILABLE read-only')
      expect(await writer.hears()).toBe('JOURNAL_UNAVAILABLE read-only')
      expect(await writer.hears()).toBe('JOURNAL_UNAVAILABLE read-only')
      chmodSync(inside('journal.db'), 0o644)
      chmodSync(place.path, 0o755)
      const owner = sqliteJournal(place.path)
      await append(owner, 'a', 2, [note('more')])
      reader.tell('again')
      expect(await reader.hears()).toBe('3')
      await owner.close()
      await reader.kill()
      await writer.kill()
    },
  )
})
