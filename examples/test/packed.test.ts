/** The packages as others have them: packed, and installed into an empty project. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { build } from 'esbuild'
import { rollup } from 'rollup'
import { nodeResolve } from '@rollup/plugin-node-resolve'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../../', import.meta.url))
const run = promisify(execFile)

interface Manifest {
  readonly name: string
  readonly private?: boolean
  readonly exports: Readonly<Record<string, unknown>>
}

let folder: string
const packages: Manifest[] = []
/** Everything that can be imported. */
let entries: readonly string[]

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'packed-'))
  const tarballs = new Map<string, string>()
  for (const name of await readdir(join(root, 'packages'))) {
    const path = join(root, 'packages', name)
    const manifest = JSON.parse(await readFile(join(path, 'package.json'), 'utf8')) as Manifest
    if (manifest.private === true) continue
    packages.push(manifest)
    const packed = await run('npx', ['-y', 'pnpm@12', 'pack', '--json', '--pack-destination', folder], {
      cwd: path,
    })
    const { filename } = JSON.parse(packed.stdout) as { filename: string }
    tarballs.set(manifest.name, `file:${filename}`)
  }
  // `./internal` is for the packages themselves.
  entries = packages.flatMap(({ name, exports }) =>
    Object.keys(exports)
      .filter((entry) => entry !== './internal' && entry !== './package.json')
      .map((entry) => join(name, entry)),
  )
  const dependencies = Object.fromEntries(tarballs)
  // They ask for each other by version, which no registry has.
  const project = {
    name: 'project',
    private: true,
    dependencies: { ...dependencies, rxjs: '^7', xstate: '^5' },
    overrides: dependencies,
  }
  await writeFile(join(folder, 'package.json'), JSON.stringify(project))
  await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'], {
    cwd: folder,
  })
}, 240_000)

afterAll(async () => {
  await rm(folder, { recursive: true })
})

/** Writes a project's files into a folder of its own, below what was installed. */
async function project(name: string, files: Readonly<Record<string, string>>): Promise<string> {
  const path = join(folder, name)
  await mkdir(path)
  for (const [file, text] of Object.entries(files)) await writeFile(join(path, file), text)
  return path
}

/** What a program prints. */
async function output(path: string, ...args: readonly string[]): Promise<string> {
  const env = { ...process.env, NODE_OPTIONS: '--no-warnings', NO_COLOR: '1' }
  const { stdout, stderr } = await run(process.execPath, args, { cwd: path, env })
  expect(stderr).toBe('')
  return stdout
}

const body = `
const add = task('add', (a, b) => a + b)
const sums = flow('sums', async () => (await add(1, 2)) + (await add(3, 4)))
`

describe('packed packages', () => {
  it('hold what is built and its sources, and no test', async () => {
    for (const { name } of packages) {
      const files = await readdir(join(folder, 'node_modules', name), { recursive: true })
      expect(files).toContain(join('dist', 'index.js'))
      expect(files).toContain(join('src', 'index.ts'))
      expect(
        files.filter((file) => /(^|\/)test\/|\.test\.|\.tsbuildinfo$|(^|\/)node_modules\//.test(file)),
      ).toEqual([])
    }
  })

  it('can be imported, and required, at each of their entries', async () => {
    expect(entries.length).toBeGreaterThan(5)
    const imports = entries.filter((entry) => !entry.endsWith('/client'))
    const path = await project('entries', {
      'import.mjs': imports
        .map((entry) => `console.log(Object.keys(await import('${entry}')).length > 0)`)
        .join('\n'),
      'require.cjs': imports
        .map((entry) => `console.log(Object.keys(require('${entry}')).length > 0)`)
        .join('\n'),
    })
    const all = 'true\n'.repeat(imports.length)
    expect(await output(path, 'import.mjs')).toBe(all)
    expect(await output(path, 'require.cjs')).toBe(all)
  })

  it('run a flow in an ES module and in a CommonJS module, of one copy of the engine', async () => {
    const path = await project('modules', {
      'main.mjs': `import { flow, task } from '@troupe/core'\n${body}console.log(await sums())`,
      'main.cjs': `const { flow, task } = require('@troupe/core')\n${body}
        import('@troupe/core').then((imported) => sums().then((value) => console.log(value, imported.flow === flow)))`,
    })
    expect(await output(path, 'main.mjs')).toBe('10\n')
    expect(await output(path, 'main.cjs')).toBe('10 true\n')
  })

  it('run tasks on worker threads, and keep runs in a folder', async () => {
    const path = await project('parts', {
      'main.mjs': `
        import { createEngine, flow, isTaskThread, task } from '@troupe/core'
        import { WorkerThreadsTaskRunner } from '@troupe/runners'
        import { sqliteJournal } from '@troupe/sqlite-journal'
        import { threadId } from 'node:worker_threads'
        const where = task('where', () => threadId)
        const away = flow({ name: 'away', taskRunner: new WorkerThreadsTaskRunner({ threads: 1 }) }, () => where())
        if (!isTaskThread()) {
          const journal = sqliteJournal('./runs')
          const engine = createEngine({ journal })
          console.log((await engine.run(away.with({ id: 'one' }))) > 0)
          await engine.close()
          const next = createEngine({ journal })
          console.log((await next.get('one')).state.name)
          await next.close()
          await journal.close()
        }`,
      'cjs.cjs': `
        const { flow, isTaskThread, task } = require('@troupe/core')
        const { WorkerThreadsTaskRunner } = require('@troupe/runners')
        const where = task({ name: 'where', module: __filename }, () => require('node:worker_threads').threadId)
        const away = flow({ name: 'away', taskRunner: new WorkerThreadsTaskRunner({ threads: 1 }) }, () => where())
        if (!isTaskThread()) away().then((thread) => { console.log(thread > 0); process.exit() })`,
    })
    expect(await output(path, 'main.mjs')).toBe('true\nCompleted\n')
    expect(await output(path, 'cjs.cjs')).toBe('true\n')
  })

  it.each([
    ['nodenext', 'module'],
    ['nodenext', 'commonjs'],
    ['bundler', 'module'],
  ])('type-check with skipLibCheck off: moduleResolution %s, type %s', async (moduleResolution, type) => {
    const compilerOptions = {
      target: 'es2023',
      module: moduleResolution === 'bundler' ? 'preserve' : 'nodenext',
      moduleResolution,
      strict: true,
      noUncheckedIndexedAccess: true,
      skipLibCheck: false,
      noEmit: true,
      types: ['node'],
      typeRoots: [join(root, 'node_modules', '@types')],
    }
    const path = await project(`types-${moduleResolution}-${type}`, {
      'package.json': JSON.stringify({ type }),
      'tsconfig.json': JSON.stringify({ compilerOptions, files: ['main.ts'] }),
      'main.ts': `
        import { flow, task, type FlowRun } from '@troupe/core'
        ${entries.map((entry, i) => `import * as entry${i} from '${entry}'`).join('\n')}
        export const all: object[] = [${entries.map((_, i) => `entry${i}`).join()}]
        const add = task('add', (a: number, b: number) => a + b)
        const sums = flow('sums', async (n: number) => (await add(n, 2)) + (await add(3, 4)))
        export const run: FlowRun<number> = sums(1)
        // @ts-expect-error a text is no number
        sums('1')`,
    })
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
    const { stdout } = await run(process.execPath, [tsc, '-p', path]).catch(
      (error: unknown) => error as { stdout: string },
    )
    expect(stdout).toBe('')
  })

  it('run when they are bundled', async () => {
    const path = await project('bundled', {
      'main.mjs': `import { flow, task } from '@troupe/core'\n${body}sums().then((value) => console.log(value))`,
    })
    const entry = join(path, 'main.mjs')
    const shared = {
      entryPoints: [entry],
      bundle: true,
      platform: 'node' as const,
      logLevel: 'silent' as const,
    }
    await build({ ...shared, format: 'esm', minify: true, outfile: join(path, 'esbuild.mjs') })
    await build({ ...shared, format: 'cjs', outfile: join(path, 'esbuild.cjs') })
    const bundle = await rollup({
      input: entry,
      plugins: [nodeResolve()],
      onLog: () => undefined,
    })
    await bundle.write({ file: join(path, 'rollup.mjs'), format: 'es' })
    await bundle.close()
    for (const file of ['esbuild.mjs', 'esbuild.cjs', 'rollup.mjs'])
      expect(await output(path, file)).toBe('10\n')
  })

  it('say what is missing where no server is there', async () => {
    const path = await project('nats', {
      'main.mjs': `
        import { createEngine } from '@troupe/core'
        import { natsTransport } from '@troupe/nats-transport'
        const engine = createEngine({ transport: natsTransport({ servers: '127.0.0.1:1' }), logger: { debug() {}, info() {}, warn() {}, error() {} } })
        await engine.announced().catch(({ code, message }) => console.log(code, message))
        await engine.close()`,
    })
    expect(await output(path, 'main.mjs')).toMatch(
      /^TRANSPORT_UNAVAILABLE .*127\.0\.0\.1:1.*nats-server --jetstream/,
    )
  })
})
