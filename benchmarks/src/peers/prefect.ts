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
import { startPostgres } from './postgres.ts'

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

/** The pinned versions that matter, by name, and that of the Python that was found. */
export const prefectVersions = (): Readonly<Record<string, string>> => ({
  ...Object.fromEntries(
    pinned()
      .split('\n')
      .map((line) => line.split('=='))
      .flatMap(([name = '', version = '']) =>
        ['prefect', 'prefect-dask', 'dask'].includes(name) ? [[name, version] as const] : [],
      ),
  ),
  python: isInstalled() ? execFileSync(python, ['--version'], { encoding: 'utf8' }).trim() : 'none',
})

/**
 * Where flow runs and task runs are told of. `server`: `prefect server start`, with the services that a server has.
 * `ephemeral`: the server that Prefect starts itself where it knows of none, and ends with the process. Both are processes
 * of their own, with SQLite in a file, WAL and `synchronous=NORMAL`: safe against the death of a process. `postgres`: a
 * server as the first, on PostgreSQL, `synchronous_commit=off`: as safe as the others.
 */
export type PrefectPlace = 'server' | 'ephemeral' | 'postgres'

/**
 * Asynchronous tasks awaited on the event loop of their flow, without a task runner; or tasks submitted to one: from a synchronous
 * flow to that of threads, which a flow has by default, or from an asynchronous one to Dask's.
 */
export type PrefectTasks = 'awaited' | 'threads' | 'dask'

/**
 * Flow runs at the same time, where many are done: the most per second. On SQLite more than one are slower, since the
 * server refuses requests that find the database locked, and the client then waits for two seconds and more.
 */
const flowsAtOnce: Readonly<Record<PrefectPlace, number>> = { server: 1, ephemeral: 1, postgres: 10 }

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
  tasks: PrefectTasks,
  { n, flows = n, windowMs }: Params,
): Promise<PrefectReadings> {
  if (!isInstalled()) throw new Absent('Prefect is not installed')
  const home = mkdtempSync(join(tmpdir(), 'troupe-prefect-'))
  const server = place === 'ephemeral' ? undefined : await startServer(place)
  const env = { ...settings(home), ...(server && { PREFECT_API_URL: server.url }) }
  const asked = { tasks, n, flows, atOnce: flowsAtOnce[place], windowMs, workers: availableParallelism() }
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

async function startServer(place: 'server' | 'postgres'): Promise<Server> {
  if (place === 'server') return startServerOn({})
  const postgres = await startPostgres(['synchronous_commit=off'])
  // What asyncpg calls the address of a socket.
  const database = postgres
    .url('postgres')
    .replace('postgresql://', 'postgresql+asyncpg://')
    .replace('@localhost/', '@/')
  try {
    const server = await startServerOn({ PREFECT_SERVER_DATABASE_CONNECTION_URL: database })
    const stop = async (): Promise<void> => {
      try {
        await server.stop()
      } finally {
        await postgres.stop()
      }
    }
    return { ...server, stop }
  } catch (error) {
    await postgres.stop()
    throw error
  }
}

async function startServerOn(database: NodeJS.ProcessEnv): Promise<Server> {
  const home = mkdtempSync(join(tmpdir(), 'troupe-prefect-server-'))
  const [port = 0] = await freePorts(1)
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
    env: { ...settings(home), ...database },
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
