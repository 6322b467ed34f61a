import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, loadavg, totalmem } from 'node:os'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { getHeapStatistics } from 'node:v8'
import { temporaryDisk } from './disk.ts'

/** Where and with what the figures were made. */
export interface Surroundings {
  readonly cpu: string
  readonly cores: number
  readonly memoryGB: number
  readonly heapLimitMB: number
  /** What `TMPDIR` is on. Older results do not say. */
  readonly disk?: string
  readonly node: string
  readonly v8: string
  readonly packages: Readonly<Record<string, string>>
  readonly commit: string
  /** See `hashOfBare`. */
  readonly bare: string
}

/** Reads what does not change while the benchmarks run. */
export function readSurroundings(): Surroundings {
  const core = import.meta.resolve('@troupe/core')
  const rxjs = createRequire(core).resolve('rxjs')
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGB: Math.round(totalmem() / 1e9),
    heapLimitMB: Math.round(getHeapStatistics().heap_size_limit / 1e6),
    disk: temporaryDisk(),
    node: process.version,
    v8: process.versions.v8,
    packages: {
      xstate: versionOf(import.meta.resolve('xstate')),
      rxjs: versionOf(pathToFileURL(rxjs)),
      piscina: versionOf(import.meta.resolve('piscina')),
      '@troupe/core': versionOf(core),
    },
    commit: describeCommit(),
    bare: hashOfBare(),
  }
}

/** Load of the machine over the last minute. */
export const load = (): number => loadavg()[0] ?? NaN

function versionOf(module: string | URL): string {
  let folder = new URL('.', module)
  while (!existsSync(new URL('package.json', folder))) folder = new URL('..', folder)
  const found: unknown = JSON.parse(readFileSync(new URL('package.json', folder), 'utf8'))
  const version =
    typeof found === 'object' && found !== null && 'version' in found ? found.version : undefined
  return typeof version === 'string' ? version : 'unknown'
}

/** What the commit of a checkout ends with that has changes which no commit has. */
export const dirty = '-dirty'
/** In place of a commit where there is none. */
export const unknownCommit = 'unknown'

/** No part of what is measured: pages, and the results that a run of several benchmarks writes one after the other. */
const notMeasured = [':(top,exclude)benchmarks/results', ':(top,exclude,glob)**/*.md']

function describeCommit(): string {
  try {
    const commit = git('describe', '--always')
    const changed = git('diff', '--name-only', 'HEAD', '--', ':(top)', ...notMeasured)
    return changed === '' ? commit : `${commit}${dirty}`
  } catch {
    return unknownCommit // not a checkout, or no commit yet
  }
}

function git(...args: readonly string[]): string {
  const cwd = fileURLToPath(new URL('.', import.meta.url))
  return execFileSync('git', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
}

/** Hash of the sources of the bare loops; figures compare only where it is the same. */
export function hashOfBare(): string {
  const folder = new URL('../../src/bare/', import.meta.url)
  const sources = readdirSync(folder).filter((name) => name.endsWith('.ts'))
  const hash = createHash('sha256')
  for (const name of sources.sort()) hash.update(readFileSync(new URL(name, folder)))
  return hash.digest('hex').slice(0, 16)
}
