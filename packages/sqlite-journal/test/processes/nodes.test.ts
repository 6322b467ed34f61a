import { sqliteJournal } from '@troupe/sqlite-journal'
import { afterEach, describe, expect, it } from 'vitest'
import { change, folder, opened, Program, raw } from '../support.ts'

const programs: Program[] = []
afterEach(async () => {
  for (const program of programs.splice(0)) await program.kill()
})

const engine = `
  await journal.nodes.announce(await hear())
  await say('announced')
  await hear()
  await journal.close()
  await say('closed')
`

async function announced(path: string, name: string): Promise<Program> {
  const program = new Program(engine, path)
  programs.push(program)
  program.tell(name)
  expect(await program.hears()).toBe('announced')
  return program
}

describe('the engine of another process', () => {
  it('is not gone while its process is there, also where that is stopped, and its name is taken', async () => {
    const { journal, path, close } = await opened()
    try {
      const program = await announced(path, 'other')
      expect(await journal.nodes.gone(['other'])).toEqual([])
      await expect(journal.nodes.announce('other')).rejects.toMatchObject({
        name: 'JournalError',
        code: 'NODE_IN_USE',
        details: { node: 'other', pid: program.child.pid },
      })
      program.child.kill('SIGSTOP')
      expect(await journal.nodes.gone(['other'])).toEqual([])
      await expect(journal.nodes.announce('other')).rejects.toMatchObject({ code: 'NODE_IN_USE' })
    } finally {
      await close()
    }
  })

  it.each([true, false])(
    'is there still when one that was refused its name, before anything else, has closed (thread: %s)',
    async (thread) => {
      const { path, remove } = folder()
      await announced(path, 'other')
      const refused = sqliteJournal(path, { thread })
      await expect(refused.nodes.announce('other')).rejects.toMatchObject({ code: 'NODE_IN_USE' })
      await refused.close()
      const third = sqliteJournal(path)
      expect(await third.nodes.gone(['other'])).toEqual([])
      await third.close()
      remove()
    },
  )

  it('is gone as soon as its process was killed, and its name is free', async () => {
    const { journal, path, close } = await opened()
    try {
      const program = await announced(path, 'other')
      await program.kill()
      expect(await journal.nodes.gone(['other'])).toEqual(['other'])
      await journal.nodes.announce('other')
      expect(await journal.nodes.gone(['other'])).toEqual([])
    } finally {
      await close()
    }
  })

  it('is gone when its journal was closed', async () => {
    const { journal, path, close } = await opened()
    try {
      const program = await announced(path, 'other')
      program.tell('close')
      expect(await program.hears()).toBe('closed')
      expect(await journal.nodes.gone(['other'])).toEqual(['other'])
    } finally {
      await close()
    }
  })

  it('is gone where another process has its number now', async () => {
    const { journal, path, close } = await opened()
    try {
      await journal.nodes.announce('mine')
      await announced(path, 'other')
      await journal.close()
      const again = sqliteJournal(path)
      // As a process of that number that was started at another time.
      raw(path, (database) => database.prepare(`update nodes set started = '1' where name = 'other'`).run())
      expect(await again.nodes.gone(['other'])).toEqual(['other'])
      await again.close()
    } finally {
      await close()
    }
  })
})

describe('the engine of another machine', () => {
  async function elsewhere(changes: string): Promise<{ path: string; remove: () => void }> {
    const { path, remove } = folder()
    const program = await announced(path, 'other')
    await program.kill()
    raw(path, (database) => database.prepare(`update nodes set ${changes} where name = 'other'`).run())
    return { path, remove }
  }

  it.each([`host = 'elsewhere', boot = 'b'`, `space = 'pid:[1]'`])(
    'is gone when nothing was heard of it for 30 s by the clock of who asks: %s',
    async (changes) => {
      const { path, remove } = await elsewhere(changes)
      let ms = 5_000
      const clock = { now: () => 0, monotonic: () => ms }
      const journal = sqliteJournal(path, { clock })
      try {
        expect(await journal.nodes.gone(['other'])).toEqual([])
        ms += 29_999
        expect(await journal.nodes.gone(['other'])).toEqual([])
        await expect(journal.nodes.announce('other')).rejects.toMatchObject({ code: 'NODE_IN_USE' })
        ms += 1
        expect(await journal.nodes.gone(['other'])).toEqual(['other'])
      } finally {
        await journal.close()
        remove()
      }
    },
  )

  it('is not gone while its beat moves', async () => {
    const { path, remove } = await elsewhere(`host = 'elsewhere', boot = 'b'`)
    let ms = 0
    const journal = sqliteJournal(path, { clock: { now: () => 0, monotonic: () => ms } })
    try {
      for (let n = 0; n < 4; n++) {
        expect(await journal.nodes.gone(['other'])).toEqual([])
        ms += 29_000
        change(path, `update nodes set beat = beat + 1 where name = 'other'`)
      }
      expect(await journal.nodes.gone(['other'])).toEqual([])
      ms += 30_000
      expect(await journal.nodes.gone(['other'])).toEqual(['other'])
    } finally {
      await journal.close()
      remove()
    }
  })

  it('is gone at once where it is this machine before it was started again', async () => {
    const { path, remove } = await elsewhere(`boot = 'an earlier one'`)
    const journal = sqliteJournal(path)
    try {
      expect(await journal.nodes.gone(['other'])).toEqual(['other'])
    } finally {
      await journal.close()
      remove()
    }
  })
})
