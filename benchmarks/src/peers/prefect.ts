import { freePorts } from '@troupe/nats-server'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Absent } from '../lib/absent.ts'
import type { Params } from '../lib/measure.ts'
import { startTethered, type Tethered } from '../lib/tethered.ts'

const folder = fileURLToPath(new URL('../../peers/prefect/', import.meta.url))
const requirements = join(folder, 'requirements.txt')
const environment = fileURLToPath(new URL('../../node_modules/.cache/prefect', import.meta.url))
const python = join(environment, 'bin', 'python')
/** Copied when all was installed. */
const done = join(environment, 'requirements.txt')

const pinned = (): string => readFileSync(requirements, 'utf8')
const isInstalled = (): boolean => existsSync(done) && readFileSync(done, 'utf8') === pinned()

/** Installs Prefect into a virtual environment of its own, 300 MB; without Python or a network it is absent from the tables. */
export function installPrefect(): void {
  if (isInstalled()) return
  process.stderr.write('installing Prefect\n')
  try {
    rmSync(environment, { recursive: true, force: true })
    execFileSync('python3', ['-m', 'venv', environment], { stdio: ['ignore', 'ignore', 'pipe'] })
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements]
    execFileSync(python, pip, { stdio: ['ignore', 'ignore', 'pipe'] })
    copyFileSync(requirements, done)
  } catch (error) {
    process.stderr.write(
      `Prefect could not be installed, and will be absent from the tables: ${String(error)}\n`,
    )
  }
}

/** The pinned versions that matter, by name. */
export const prefectVersions = (): Readonly<Record<string, string>> =>
  Object.fromEntries(
    pinned()
      .split('\n')
      .map((line) => line.split('=='))
      .flatMap(([name = '', version = '']) =>
        ['prefect', 'prefect-dask', 'dask'].includes(name) ? [[name, version] as const] : [],
      ),
  )

/**
 * Where flow runs and task runs are told of. `server`: `prefect server start`, with the services that a server has.
 * `ephemeral`: the server that Prefect starts itself where it knows of none, and ends with the process. Both are processes
 * of their own, with SQLite in a file, WAL and `synchronous=NORMAL`: safe against the death of a process. `memory`: a
 * server as the first, with its database in memory.
 */
export type PrefectPlace = 'server' | 'ephemeral' | 'memory'

/** What it has measured, by shape: runs per second, and the milliseconds of each flow run that was alone. */
export type PrefectReadings = Readonly<Record<string, number>> & { readonly alone?: readonly number[] }

/** Nothing is sent home, and nothing of the user's own settings is read. */
const settings = (home: string): NodeJS.ProcessEnv => ({
  ...withoutPrefect(process.env),
  PREFECT_HOME: home,
  PREFECT_PROFILES_PATH: join(home, 'profiles.toml'),
  PREFECT_SERVER_ANALYTICS_ENABLED: 'false',
  DO_NOT_TRACK: '1',
  PREFECT_LOGGING_LEVEL: 'WARNING',
  PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: '120',
})

const withoutPrefect = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('PREFECT_')))

/** Measures in a process of Python. */
export async function measurePrefect(
  place: PrefectPlace,
  runner: 'threads' | 'dask',
  { n, flows = n, warmupMs, windowMs }: Params,
): Promise<PrefectReadings> {
  if (!isInstalled()) throw new Absent('Prefect is not installed')
  const home = mkdtempSync(join(tmpdir(), 'troupe-prefect-'))
  const server = place === 'ephemeral' ? undefined : await startServer(place)
  const env = { ...settings(home), ...(server && { PREFECT_API_URL: server.url }) }
  const asked = { runner, n, flows, warmupMs, windowMs, workers: availableParallelism() }
  try {
    return await readings([join(folder, 'measure.py'), JSON.stringify(asked)], env)
  } finally {
    await server?.stop()
    rmSync(home, { recursive: true, force: true })
  }
}

/** A process group of its own, which is ended whole: also with the server that Prefect started in it. */
async function readings(args: readonly string[], env: NodeJS.ProcessEnv): Promise<PrefectReadings> {
  const child = spawn(python, args, { env, detached: true, stdio: ['pipe', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  // Not `exit`: what it has written may come later.
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  try {
    process.kill(-(child.pid ?? NaN), 'SIGKILL')
  } catch (error) {
    // As it should be: none of the group is left.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
  if (code !== 0) throw new Error(`Prefect ended with ${signal ?? code}`)
  return JSON.parse(output.trim().split('\n').at(-1) ?? '') as PrefectReadings
}

interface Server extends Tethered {
  readonly url: string
}

async function startServer(place: 'server' | 'memory'): Promise<Server> {
  const home = mkdtempSync(join(tmpdir(), 'troupe-prefect-server-'))
  const [port = 0] = await freePorts(1)
  const inMemory = 'sqlite+aiosqlite:///file::memory:?cache=shared&uri=true&check_same_thread=false'
  const started = await startTethered({
    folder: home,
    command: [
      python,
      '-m',
      'prefect',
      'server',
      'start',
      '--host',
      '127.0.0.1',
      '--port',
      String(port),
      '--no-ui',
    ],
    signal: 'KILL',
    group: true,
    env: {
      ...settings(home),
      ...(place === 'memory' && { PREFECT_API_DATABASE_CONNECTION_URL: inMemory }),
    },
  })
  const url = `http://127.0.0.1:${port}/api`
  const deadline = performance.now() + 180_000
  while (!(await isHealthy(url))) {
    if (performance.now() > deadline) {
      await started.stop()
      throw new Error('the server of Prefect did not start within 180 s')
    }
    await setTimeout(100)
  }
  return { ...started, url }
}

async function isHealthy(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/health`)).ok
  } catch {
    return false
  }
}
