import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { folder, Program } from '../support.ts'

it('a thread that dies takes its calls with it, and the next calls have another: nothing is lost, stored or told twice', async () => {
  const { path, remove } = folder()
  const { path: place, remove: removePlace } = folder()
  const preload = join(place, 'mortal.cjs')
  // Dies between two things that it does, when the file is there.
  writeFileSync(
    preload,
    `const { isMainThread } = require('node:worker_threads')
    const fs = require('node:fs')
    const file = ${JSON.stringify(join(place, 'die'))}
    if (!isMainThread) setInterval(() => { if (fs.existsSync(file)) { fs.rmSync(file); process.exit(7) } }, 1)`,
  )
  const program = new Program(
    `
    import fs from 'node:fs'
    const told = []
    journal.subscribe((flowRunId, first, entries) => told.push(first + ' ' + entries.map(({ message }) => message).join()))
    let failures = 0
    for (let n = 0; n < 600; n++) {
      if (n % 50 === 25) fs.writeFileSync(${JSON.stringify(join(place, 'die'))}, '')
      const entries = [note(String(n))]
      for (;;) {
        try {
          const answer = await append('run', n, entries)
          if (answer !== undefined) throw new Error('refused at ' + n + ': ' + answer.position)
          break
        } catch (error) {
          if (error.code !== 'JOURNAL_UNAVAILABLE' || error.details.reason !== 'thread') throw error
          failures++
        }
      }
    }
    // It dies for the last time before it is asked to close, at the latest while it reads.
    while (fs.existsSync(${JSON.stringify(join(place, 'die'))})) await journal.read('run', 1, 1).catch(() => failures++)
    const read = () => journal.read('run', 1, 1000)
    const stored = await read().catch(read)
    const expected = Array.from({ length: 600 }, (_, n) => n)
    await say(JSON.stringify({
      stored: stored.map(({ message }) => Number(message)).join() === expected.join(),
      told: told.join('|') === expected.map((n) => (n + 1) + ' ' + n).join('|'),
      failures,
    }))
    await journal.close()
    await say('closed')`,
    path,
    { durability: 'process', preload },
  )
  try {
    const { failures, ...rest } = JSON.parse(await program.hears()) as { failures: number }
    expect(rest).toEqual({ stored: true, told: true })
    expect(failures).toBeGreaterThan(0)
    expect(await program.hears()).toBe('closed')
    expect(await program.ended).toBe(0)
  } finally {
    await program.kill()
    remove()
    removePlace()
  }
})

it.each([true, false])(
  'an open journal with nothing to do does not keep the process alive, and one that is asked does (thread: %s)',
  async (thread) => {
    const { path, remove } = folder()
    const program = new Program(
      `
    const end = journal.subscribe(() => undefined)
    await append('run', 0, [note('x')])
    end()
    void journal.read('run', 1, 1).then((entries) => say('read ' + entries.length))`,
      path,
      { thread },
    )
    try {
      expect(await program.hears()).toBe('read 1')
      expect(await program.ended).toBe(0)
    } finally {
      await program.kill()
      remove()
    }
  },
)

it.each([true, false])(
  'a journal that is closed right after a call answers it first, and leaves no thread (thread: %s)',
  async (thread) => {
    const { path, remove } = folder()
    const program = new Program(
      `
    const appended = append('run', 0, [note('x')])
    const closed = journal.close()
    await say(String(await appended))
    await closed
    await journal.close()
    await say('closed')`,
      path,
      { thread },
    )
    try {
      expect(await program.hears()).toBe('undefined')
      expect(await program.hears()).toBe('closed')
      expect(await program.ended).toBe(0)
      expect(readdirSync(path)).toEqual(['journal.db'])
    } finally {
      await program.kill()
      remove()
    }
  },
)
