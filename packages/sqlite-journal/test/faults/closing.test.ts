import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { sqliteJournal } from '@troupe/sqlite-journal'
import { afterEach, describe, expect, it } from 'vitest'
import { append, create, folder, moved, note, opened } from '../support.ts'

const holders: (() => void)[] = []
afterEach(() => {
  for (const end of holders.splice(0)) end()
})

/** Another process that keeps all writers away, until it is killed. */
async function heldBy(path: string): Promise<void> {
  const program = `
    const database = new (require('libsql'))(process.argv[1])
    database.exec('begin immediate')
    process.stdout.write('held')
    setInterval(() => undefined, 1e6)`
  const child = spawn(process.execPath, ['--eval', program, join(path, 'journal.db')], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  holders.push(() => void child.kill('SIGKILL'))
  await once(child.stdout, 'data')
}

/** Lets the event loop turn: what is under way comes with it. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** What promises came to so far. */
async function soFar(promises: readonly Promise<unknown>[]): Promise<string[]> {
  const seen = promises.map(() => 'waits')
  for (const [index, promise] of promises.entries())
    promise.then(
      () => (seen[index] = 'done'),
      (error: { details?: { reason?: string } }) => (seen[index] = error.details?.reason ?? 'failed'),
    )
  await new Promise((resolve) => setImmediate(resolve))
  return seen
}

describe.each([true, false])('a journal that is closed (thread: %s)', (thread) => {
  it('answers or refuses sweeps that were asked for before, and does not open again', async () => {
    const { path, remove } = folder()
    const journal = sqliteJournal(path, { thread })
    await journal.open()
    const sweeps = [journal.sweep(), journal.compact(), journal.sweep()]
    const settled = sweeps.map(async (sweep) =>
      sweep.then(
        () => 'swept',
        ({ code }: { code: string }) => code,
      ),
    )
    await journal.close()
    for (const end of await Promise.all(settled)) expect(['swept', 'ENGINE_CLOSED']).toContain(end)
    // To open it would make it again.
    remove()
    await turns(50)
    expect(existsSync(path)).toBe(false)
  })

  it('was not opened by a subscription alone that nobody waited for', async () => {
    const { path, remove } = folder()
    const journal = sqliteJournal(join(path, 'journal'), { thread })
    journal.subscribe(() => undefined)
    await journal.close()
    await turns(50)
    expect(existsSync(join(path, 'journal'))).toBe(false)
    remove()
  })

  it(
    'while another process holds the folder says so, and calls that came together wait together',
    { timeout: 60_000 },
    async () => {
      const { journal, path } = await opened({ thread })
      await journal.nodes.announce('a node')
      await heldBy(path)
      const appends = ['a', 'b', 'c'].map(async (run) => append(journal, run, 0, [note('x')]))
      await expect(Promise.race(appends)).rejects.toMatchObject({ details: { reason: 'busy' } })
      expect(await soFar(appends)).toEqual(['busy', 'busy', 'busy'])
      await expect(journal.close()).rejects.toMatchObject({ details: { reason: 'busy' } })
    },
  )
})

it('a journal without a thread sweeps by itself in a process that does nothing else', async () => {
  const { journal, path, close } = await opened()
  const ended = ['a', 'b', 'c', 'd', 'e']
  for (const run of ended) {
    await create(journal, run)
    await append(journal, run, 2, [moved('Completed')])
  }
  const program = `
    import { sqliteJournal } from '@troupe/sqlite-journal'
    const journal = sqliteJournal(process.argv[1], { thread: false, keep: { count: 1 } })
    await journal.open()
    journal.hold()`
  const child = execFile(process.execPath, ['--input-type=module', '--eval', program, path], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
  })
  holders.push(() => void child.kill('SIGKILL'))
  while ((await journal.list({ limit: 10 })).length > 1) expect(child.exitCode).toBeNull()
  await close()
})
