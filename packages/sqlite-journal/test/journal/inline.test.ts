/** A journal whose commits are made on the engine's own thread: `thread: false`. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createEngine, flow, task } from '@troupe/core'
import { sqliteJournal } from '@troupe/sqlite-journal'
import { build } from 'esbuild'
import { afterAll, expect, it } from 'vitest'
import { all, append, create, folder, note, opened, plain, Program } from '../support.ts'

/** In the package, so that `libsql` is found. */
const bundled = fileURLToPath(new URL('../../dist/bundled/', import.meta.url))
afterAll(() => rmSync(bundled, { recursive: true, force: true }))

const add = task('add', async (a: number, b: number) => a + b)
const sums = flow('sums', async (n: number) => {
  let sum = 0
  for (let i = 1; i <= n; i++) sum = await add(sum, i)
  const more = await Promise.all(Array.from({ length: n }, (_, i) => add(i, i)))
  return more.reduce((total, value) => total + value, sum)
})

it('starts no thread', async () => {
  const { path, remove } = folder()
  const { path: place, remove: removePlace } = folder()
  const preload = join(place, 'telltale.cjs')
  const told = join(place, 'told')
  writeFileSync(
    preload,
    `if (!require('node:worker_threads').isMainThread) require('node:fs').writeFileSync(${JSON.stringify(told)}, '')`,
  )
  const source = `await append('run', 0, [note('x')]); await journal.close(); await say('closed')`
  try {
    for (const thread of [false, true]) {
      const program = new Program(source, join(path, String(thread)), { thread, preload })
      expect(await program.hears()).toBe('closed')
      expect(await program.ended).toBe(0)
      expect(existsSync(told)).toBe(thread)
    }
  } finally {
    remove()
    removePlace()
  }
})

it('has the same flow runs, entries and commits as one with a thread', async () => {
  const journals = await Promise.all([opened({ thread: false }), opened({ thread: true })])
  try {
    const seen = []
    for (const { journal } of journals) {
      const engine = createEngine({ journal })
      const run = engine.run(sums, 20)
      expect(await run).toBe(210 + 380)
      await engine.close()
      const entries = await all(journal, run.id)
      seen.push({
        entries: entries.map(({ kind, ...rest }) => [kind, 'to' in rest ? rest.to : undefined]),
        commits: journal.stats().commits,
      })
    }
    expect(seen[0]).toEqual(seen[1])
  } finally {
    for (const { close } of journals) await close()
  }
})

it('writes a folder that one with a thread goes on with', async () => {
  const { journal, path, close } = await opened({ thread: false })
  await create(journal, 'run')
  await append(journal, 'run', 2, [note('from here')])
  const other = sqliteJournal(path)
  await append(other, 'run', 3, [note('from there')])
  const [here, there] = [await all(journal, 'run'), await all(other, 'run')]
  expect(plain(here)).toEqual(plain(there))
  expect(here).toHaveLength(4)
  await other.close()
  await close()
})

it('is part of a bundle of one file, where a journal with a thread says that it can not be', async () => {
  mkdirSync(bundled, { recursive: true })
  const { path, remove } = folder()
  const main = (options: string): string => `
    import { createEngine, flow, task } from '@troupe/core'
    import { sqliteJournal } from '@troupe/sqlite-journal'
    const add = task('add', async (a: number, b: number) => a + b)
    const sums = flow('sums', async () => (await add(1, 2)) + (await add(3, 4)))
    const journal = sqliteJournal(process.argv[2] ?? '', ${options})
    const engine = createEngine({ journal })
    console.log(await engine.run(sums).catch((error) => error.details.reason))
    await engine.close()
    await journal.close()`
  try {
    for (const [options, expected] of [
      ['{ thread: false }', '10'],
      ['{}', 'bundled'],
    ] as const) {
      const outfile = join(bundled, 'main.mjs')
      await build({
        stdin: {
          contents: main(options),
          loader: 'ts',
          resolveDir: fileURLToPath(new URL('..', import.meta.url)),
        },
        outfile,
        bundle: true,
        platform: 'node',
        format: 'esm',
        target: 'node20',
        external: ['libsql'],
        conditions: ['@troupe/source'],
        banner: {
          js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
        },
      })
      expect(execFileSync(process.execPath, [outfile, path], { encoding: 'utf8' })).toBe(`${expected}\n`)
    }
  } finally {
    remove()
  }
})

it("tells listeners of commits in nobody's context", async () => {
  const { journal, close } = await opened({ thread: false })
  const context = new AsyncLocalStorage<string>()
  const seen: (string | undefined)[] = []
  journal.subscribe(() => seen.push(context.getStore()))
  // What it does by itself at the beginning would take them along.
  for (let n = 0; n < 3; n++) await journal.sweep()
  for (let n = 0; n < 5; n++)
    await context.run(`caller ${n}`, async () => append(journal, 'run', n, [note('x')]))
  expect(seen).toEqual(Array.from({ length: 5 }))
  await close()
})

it('leaves the warnings of the process as they were, also where two open at once', async () => {
  const before: unknown = Reflect.get(process, 'emitWarning')
  const journals = await Promise.all([opened({ thread: false }), opened({ thread: false })])
  await Promise.all(journals.map(async ({ journal }) => journal.open()))
  expect(Reflect.get(process, 'emitWarning')).toBe(before)
  for (const { close } of journals) await close()
})
