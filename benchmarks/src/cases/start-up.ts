import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { median } from 'simple-statistics'
import { Absent } from '../lib/absent.ts'
import { expectEqual, type Measure } from '../lib/measure.ts'
import { arePeersInstalled, peersFolder, peerVersions } from '../peers/install.ts'

const here = fileURLToPath(new URL('../../', import.meta.url))
/** A dependency of the core, and of nothing here. */
const rxjs = createRequire(import.meta.resolve('@troupe/core')).resolve('rxjs')

const firstFlow = `
import { flow, task } from '@troupe/core'
const add = task('add', (a, b) => a + b)
const sum = flow('sum', () => add(1, 2))
`

/** Programs of ES modules; each leaves its value in \`value\`. */
const programs = {
  node: 'const value = 3',
  'xstate-and-rxjs': `import 'xstate'\nimport '${rxjs}'\nconst value = 3`,
  core: `import '@troupe/core'\nconst value = 3`,
  'first-flow-run': `${firstFlow}const value = await sum()`,
  'first-durable-flow-run': `${firstFlow}
import { createEngine } from '@troupe/core'
import { sqliteJournal } from '@troupe/sqlite-journal'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
const folder = mkdtempSync(tmpdir() + '/troupe-start-up-')
const journal = sqliteJournal(folder)
const engine = createEngine({ journal })
const value = await engine.run(sum)
process.once('exit', () => rmSync(folder, { recursive: true }))`,
  'runners, import': `import '@troupe/runners'\nconst value = 3`,
  'sqlite-journal, import': `import '@troupe/sqlite-journal'\nconst value = 3`,
  'nats-transport, import': `import '@troupe/nats-transport'\nconst value = 3`,
  'web, import': `import '@troupe/web'\nconst value = 3`,
  'opentelemetry, import': `import '@troupe/opentelemetry'\nconst value = 3`,
} as const

interface Told {
  readonly value: number
  readonly cpuMs: number
  readonly rssMB: number
}

const tell = `
const { user, system } = process.cpuUsage()
const told = { value, cpuMs: (user + system) / 1e3, rssMB: process.memoryUsage.rss() / 1e6 }
process.stdout.write(JSON.stringify(told), () => process.exit(0))
`

/** So many new processes of Node, each from its start to its end; the first one, which reads files that nobody has read, does not count. */
const started =
  (program: string, cwd: string): Measure =>
  async ({ n }) => {
    const times: number[] = []
    const told: Told[] = []
    for (let i = 0; i <= n; i++) {
      const startedAt = performance.now()
      const args = ['--input-type=module', '--eval', program + tell]
      const { stdout, stderr, status } = spawnSync(process.execPath, args, { cwd, encoding: 'utf8' })
      times.push(performance.now() - startedAt)
      if (status !== 0) throw new Error(`a program has failed\n${program}\n${stderr}`)
      told.push(JSON.parse(stdout) as Told)
      expectEqual('as value', told.at(-1)?.value ?? NaN, 3)
    }
    return {
      ms: median(times.slice(1)),
      'cpu ms': median(told.slice(1).map(({ cpuMs }) => cpuMs)),
      'rss MB': median(told.slice(1).map(({ rssMB }) => rssMB)),
    }
  }

/** The import of a peer, by what its package exports first. */
const peer =
  (name: string): Measure =>
  async (params) => {
    if (!arePeersInstalled()) throw new Absent(`${name} is not installed`)
    return started(`import '${name}'\nconst value = 3`, peersFolder)(params)
  }

export const measures: Readonly<Record<string, Measure>> = Object.fromEntries([
  ...Object.entries(programs).map(([name, program]) => [name, started(program, here)] as const),
  ...Object.keys(peerVersions()).map((name) => [`peer ${name}`, peer(name)] as const),
])
