/** The quickstart as one runs it: a child process on the built files, with Ctrl-C. */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'

import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const main = new URL('../dist/quickstart/main.js', import.meta.url)

let folder: string

/** How the runners say of themselves that they work, by the options that choose them. */
const runners: readonly (readonly [string, string])[] = [
  ['--runner sequential', 'one after another'],
  ['--runner concurrent', 'concurrently'],
  ['--runner threads --threads 2', 'in parallel, on 2 threads'],
  ['--runner threads --threads 1', 'on a thread of their own'],
]

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'quickstart-'))
})

afterEach(async () => {
  await rm(folder, { recursive: true })
})

describe('the quickstart', () => {
  it('writes the same report with every runner, and on three nodes of which one is killed', async () => {
    const reports = new Map<string, string>()
    for (const [options, mode] of runners) {
      const run = start('--', ...options.split(' '), '--out', 'report.html')
      expect(await run.ended()).toBe(0)
      expect(run.stderr()).toBe('')
      const lines = run.stdout().split('\n')
      expect(lines).toContain(`flights: task runs go ${mode}`)
      expect(lines.filter((line) => /^read-group \d+ of 11: Completed after /.test(line))).toHaveLength(11)
      expect(lines).toContain('3,000,000 flights, 626,590 of them 15 minutes late or more (20.9%).')
      expect(lines.find((line) => line.includes('ORD'))).toMatch(/Chicago, IL +165,573 +39,578 +23\.9%/)
      expect(lines.find((line) => line.startsWith('  read-group'))).toMatch(/^ {2}read-group +11 +[\d.]+ m?s/)
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80)
      expect(run.stdout()).toMatch(/^Report: report\.html \(\d+ kB\)$/m)
      expect(await readdir(folder)).toEqual(['report.html'])
      reports.set(options, await readFile(join(folder, 'report.html'), 'utf8'))
    }
    const many = startNode(fileURLToPath(new URL('../multi-node/main.js', main)), 'report.html')
    expect(await many.ended()).toBe(0)
    expect(many.stdout()).toMatch(/^node (\w+), which owns the flow run, is killed$/m)
    expect(many.stdout()).toMatch(/^node \w+ owns the flow run, and goes on with it \(attempt 2\)$/m)
    expect(many.stdout().match(/^read-group-\d+ ran on node \w+/gm)).toHaveLength(11)
    reports.set('multi-node', await readFile(join(folder, 'report.html'), 'utf8'))
    const [first, ...others] = reports.values()
    expect(first).toContain('3,000,000 flights')
    // Not `toEqual`, which would print them.
    expect(others.map((other) => other === first)).toEqual([true, true, true, true])
  }, 180_000)

  it('says which thread ran what', async () => {
    const run = start('--runner', 'threads', '--threads', '2')
    expect(await run.ended()).toBe(0)
    const ended = run.stdout().match(/^.* \d+ of \d+: Completed after .*$/gm) ?? []
    expect(ended).toHaveLength(16)
    expect(ended.filter((line) => !/ on thread-\d+$/.test(line))).toEqual([])
    expect(new Set(ended.map((line) => line.split(' on ')[1])).size).toBe(2)
  }, 60_000)

  it.each(['sequential', 'threads'])(
    'cancels cleanly at the first Ctrl-C, runner %s',
    async (runner) => {
      const run = start('--runner', runner)
      await run.says('read-group 1 of ')
      run.interrupt()
      expect(await run.ended()).toBe(130)
      expect(run.stdout()).toContain('flights: cancelling; Ctrl-C again ends at once\n')
      expect(run.stdout()).toMatch(/flights: Cancelled after .*, 16 task runs/)
      expect(run.stdout()).not.toContain('Report:')
      expect(run.stderr()).toBe('')
      expect(await readdir(folder)).toEqual([])
    },
    60_000,
  )

  it('ends at once at the second Ctrl-C, however long cancelling takes', async () => {
    const run = startNode(
      '--input-type=module',
      '--eval',
      `import { cancelOnInterrupt } from '${new URL('interrupt.js', main).href}'
      const run = { cancel: (reason) => new Promise(() => console.log('cancel:', reason)) }
      cancelOnInterrupt(run, () => console.log('before the exit'))
      setInterval(() => {}, 60_000)
      console.log('ready')`,
    )
    await run.says('ready')
    run.interrupt()
    await run.says('cancel: Ctrl-C')
    run.interrupt()
    expect(await run.ended()).toBe(130)
    expect(run.stdout()).toMatch(/before the exit\n$/)
  })

  it.each([
    [['--runner', 'fast'], "--runner must be sequential, concurrent or threads, not 'fast'"],
    [['--fast'], "Unknown option '--fast'"],
  ])('refuses %j in one line', async (args, message) => {
    const run = start(...args)
    expect(await run.ended()).toBe(2)
    expect(run.stderr()).toBe(`${message} (--help says what is possible)\n`)
    expect(run.stdout()).toBe('')
  })

  it('explains itself', async () => {
    const run = start('--help')
    expect(await run.ended()).toBe(0)
    expect(run.stdout()).toContain('--runner sequential|concurrent|threads')
  })
})

const start = (...args: string[]) => startNode(fileURLToPath(main), ...args)

function startNode(...args: string[]) {
  // Plain text is asserted, also where the tests themselves are run with colours (picocolors paints wherever CI is set).
  const env = { ...process.env, NO_COLOR: '1' }
  const child = spawn(process.execPath, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const closed = once(child, 'close')
  const stdout = collected(child, 'stdout')
  const stderr = collected(child, 'stderr')
  return {
    stdout,
    stderr,
    interrupt: () => child.kill('SIGINT'),
    /** The exit code, once all output is there. */
    ended: async (): Promise<unknown> => (await closed)[0],
    says: async (text: string): Promise<void> => {
      while (!stdout().includes(text))
        await Promise.race([
          once(child.stdout, 'data'),
          closed.then(() => {
            throw new Error(`ended without saying '${text}': ${stdout()}${stderr()}`)
          }),
        ])
    },
  }
}

function collected(
  child: ChildProcessByStdio<null, Readable, Readable>,
  name: 'stdout' | 'stderr',
): () => string {
  let text = ''
  child[name].setEncoding('utf8').on('data', (more: string) => {
    text += more
  })
  return () => text
}
