import { freePorts } from '@troupe/nats-server'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Absent } from '../lib/absent.ts'
import { cpuMsOf } from '../lib/cpu.ts'
import { startTethered } from '../lib/tethered.ts'
import type { Server } from '../nats/loop.ts'

const unpacked = fileURLToPath(new URL('../../node_modules/.cache/redis', import.meta.url))

/** The server, and the libraries of its own that it needs beside what every Debian has. */
const packages = ['redis-server', 'redis-tools', 'libjemalloc2', 'liblzf1']

interface Redis {
  readonly file: string
  readonly env: NodeJS.ProcessEnv
}

/** On PATH, or what `fetchRedis` has unpacked. */
function findRedis(): Redis | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  const onPath = folders.map((folder) => join(folder, 'redis-server')).find((file) => existsSync(file))
  if (onPath !== undefined) return { file: onPath, env: process.env }
  const file = join(unpacked, 'usr/bin/redis-server')
  if (!existsSync(file)) return undefined
  const libraries = join(unpacked, 'usr/lib')
  const folder = readdirSync(libraries).find((name) => name.endsWith('-linux-gnu')) ?? ''
  return { file, env: { ...process.env, LD_LIBRARY_PATH: join(libraries, folder) } }
}

/** Unpacks Debian's packages, which needs no root; elsewhere, or without a network, Redis is absent from the tables. */
export function fetchRedis(): void {
  if (findRedis() !== undefined) return
  process.stderr.write('fetching redis-server\n')
  const cache = dirname(unpacked)
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(join(cache, 'redis-'))
  const run = (command: string, ...args: readonly string[]): Buffer =>
    execFileSync(command, args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
  try {
    run('apt-get', 'download', ...packages)
    for (const name of readdirSync(folder)) run('dpkg-deb', '-x', name, 'unpacked')
    renameSync(join(folder, 'unpacked'), unpacked)
  } catch (error) {
    process.stderr.write(
      `redis-server could not be fetched, BullMQ will be absent from the tables: ${String(error)}\n`,
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** The version of the server that would be started; undefined where there is none. */
export function redisVersion(): string | undefined {
  const found = findRedis()
  return found && execFileSync(found.file, ['--version'], { env: found.env, encoding: 'utf8' }).trim()
}

/** What a server writes to the disk: nothing; or each command before it answers, synced once a second. */
const persistence = {
  memory: ['--save', '', '--appendonly', 'no'],
  process: ['--save', '', '--appendonly', 'yes', '--appendfsync', 'everysec'],
} as const

/** Starts a server of this process alone. `process` is what BullMQ's documentation recommends for production. */
export async function startRedis(durability: keyof typeof persistence): Promise<Server> {
  const found = findRedis()
  if (found === undefined) throw new Absent('redis-server is not installed')
  const [port = 0] = await freePorts(1)
  const { pid, stop } = await startTethered({
    folder: mkdtempSync(join(tmpdir(), 'troupe-redis-')),
    command: [found.file, '--bind', '127.0.0.1', '--port', String(port), ...persistence[durability]],
    signal: 'KILL',
    env: found.env,
  })
  const deadline = performance.now() + 30_000
  while (!(await listens(port))) {
    if (performance.now() > deadline) {
      await stop()
      throw new Error('redis-server did not start within 30 s')
    }
    await setTimeout(20)
  }
  return {
    urls: [`127.0.0.1:${port}`],
    replicas: 1,
    counted: async () => ({}),
    cpuMs: () => cpuMsOf(pid),
    stop,
  }
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
