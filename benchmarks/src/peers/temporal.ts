import { freePorts } from '@troupe/nats-server'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Absent } from '../lib/absent.ts'
import { startTethered } from '../lib/tethered.ts'

/**
 * The newest that Go 1.26.8 builds. Not the command `temporal server start-dev`: its module, at v1.9.1, refers to a folder of
 * its own repository (`replace`), which the Go module proxy does not have. What it starts is this server, set up as here: on
 * SQLite, with one shard and all four services in one process.
 */
export const temporalServer = 'go.temporal.io/server/cmd/server@v1.32.0'

const cache = fileURLToPath(new URL('../../node_modules/.cache/temporal', import.meta.url))
const built = join(cache, temporalServer.replaceAll(/[/@]/g, '_'))

/** Builds the server, which needs Go 1.26.8 or newer, 1.2 GB and several minutes, once. Elsewhere it is absent from the tables. */
export function buildTemporalServer(): void {
  if (existsSync(built)) return
  process.stderr.write('building the server of Temporal: this takes minutes\n')
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(join(cache, 'bin-'))
  try {
    const env = { ...process.env, GOBIN: folder }
    execFileSync('go', ['install', temporalServer], { cwd: folder, env, stdio: ['ignore', 'ignore', 'pipe'] })
    renameSync(join(folder, 'server'), built)
  } catch (error) {
    process.stderr.write(
      `Temporal could not be built, and will be absent from the tables: ${String(error)}\n`,
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** What the server keeps: nothing, in a file that is safe against its death, or against power loss. */
export type TemporalStore = 'memory' | 'process' | 'power'

/** A server of this process alone. */
export interface TemporalServer {
  readonly address: string
  readonly stop: () => Promise<void>
}

/** As the project's own configuration for development has it, `synchronous` apart: there it is 2, as in `power`. */
const attributes = {
  memory: { mode: 'memory', cache: 'shared' },
  process: { cache: 'private', setup: 'true', journal_mode: 'wal', synchronous: '1' },
  power: { cache: 'private', setup: 'true', journal_mode: 'wal', synchronous: '2' },
} as const satisfies Record<TemporalStore, Readonly<Record<string, string>>>

const services = ['frontend', 'history', 'matching', 'worker'] as const

/** Starts a server that listens on this machine alone, with no metrics and nothing but errors in its log. */
export async function startTemporal(store: TemporalStore): Promise<TemporalServer> {
  if (!existsSync(built)) throw new Absent(`the server of Temporal is not built (${temporalServer})`)
  const folder = mkdtempSync(join(tmpdir(), 'troupe-temporal-'))
  const [http = 0, ...ports] = await freePorts(1 + 2 * services.length)
  const address = `127.0.0.1:${ports[0]}`
  const file = join(folder, 'config.yaml')
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(configOf(store, folder, { http, ports })))
  const { stop } = await startTethered({
    folder,
    command: [built, '--config-file', file, '--allow-no-auth', 'start'],
    signal: 'KILL',
  })
  const deadline = performance.now() + 120_000
  while (!(await listens(Number(ports[0])))) {
    if (performance.now() > deadline) {
      const log = readFileSync(join(folder, 'log'), 'utf8').slice(-500)
      await stop()
      throw new Error(`the server of Temporal did not start within 120 s: ${log}`)
    }
    await setTimeout(50)
  }
  return { address, stop }
}

function configOf(
  store: TemporalStore,
  folder: string,
  { http, ports }: { readonly http: number; readonly ports: readonly number[] },
): object {
  const address = `127.0.0.1:${ports[0]}`
  const sql = (name: string): object => ({
    pluginName: 'sqlite',
    databaseName: store === 'memory' ? name : join(folder, `${name}.db`),
    // Asked for, and not used.
    connectAddr: 'localhost',
    connectProtocol: 'tcp',
    connectAttributes: attributes[store],
    // With more, some of its transactions fail: "database is locked".
    maxConns: 1,
    maxIdleConns: 1,
  })
  const rpc = (i: number): object => ({
    grpcPort: ports[2 * i],
    membershipPort: ports[2 * i + 1],
    bindOnLocalHost: true,
    ...(i === 0 && { httpPort: http }),
  })
  return {
    log: { stdout: true, level: 'error' },
    persistence: {
      defaultStore: 'main',
      // A database, and so a connection, of its own, as in a cluster: what lists workflows is not in the way of what runs them.
      visibilityStore: 'visibility',
      numHistoryShards: 1,
      datastores: { main: { sql: sql('temporal') }, visibility: { sql: sql('visibility') } },
    },
    global: { membership: { maxJoinDuration: '30s', broadcastAddress: '127.0.0.1' } },
    services: Object.fromEntries(services.map((name, i) => [name, { rpc: rpc(i) }])),
    clusterMetadata: {
      enableGlobalNamespace: false,
      failoverVersionIncrement: 10,
      masterClusterName: 'active',
      currentClusterName: 'active',
      clusterInformation: {
        active: { enabled: true, initialFailoverVersion: 1, rpcName: 'frontend', rpcAddress: address },
      },
    },
    dcRedirectionPolicy: { policy: 'noop' },
    archival: { history: { state: 'disabled' }, visibility: { state: 'disabled' } },
    namespaceDefaults: { archival: { history: { state: 'disabled' }, visibility: { state: 'disabled' } } },
    publicClient: { hostPort: address },
    dynamicConfigClient: { filepath: dynamicConfig(folder), pollInterval: '60s' },
  }
}

/**
 * Without the limits of requests per second that a cluster needs, and with a namespace that is there at once.
 *
 * Each shard hands on what is to be done next, such as an activity that was scheduled, by reading a queue, 20 times a
 * second at most where nothing else is said: when that is used up, each hop takes 50 ms. A cluster has hundreds of shards, so
 * nobody sees it; here there is one, as in the server for development. So that queue has no limit that is ever reached, either.
 */
function dynamicConfig(folder: string): string {
  const file = join(folder, 'dynamic.yaml')
  const unlimited = [
    'frontend.rps',
    'frontend.namespaceRPS',
    'frontend.persistenceMaxQPS',
    'history.rps',
    'history.persistenceMaxQPS',
    'matching.rps',
    'matching.persistenceMaxQPS',
  ]
  const values: Record<string, readonly object[]> = {
    'history.hostLevelCacheMaxSize': [{ value: 8192 }],
    'history.transferProcessorMaxPollRPS': [{ value: 1_000 }],
    // 512 that wait for one connection wait until they time out, and begin anew.
    'history.visibilityProcessorSchedulerWorkerCount': [{ value: 4 }],
    'system.namespaceCacheRefreshInterval': [{ value: '1s' }],
  }
  for (const name of unlimited) values[name] = [{ value: 1_000_000 }]
  writeFileSync(file, JSON.stringify(values))
  return file
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  return new Promise((resolve) => {
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(false))
  }).finally(() => socket.destroy()) as Promise<boolean>
}
