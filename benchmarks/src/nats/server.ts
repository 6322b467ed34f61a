import { findServer, NatsServerError, startCluster, startServer, type NatsServer } from '@troupe/nats-server'
import { execFileSync } from 'node:child_process'
import { Absent } from '../lib/absent.ts'
import { cpuMsOf, residentBytesOf } from '../lib/cpu.ts'
import type { Params } from '../lib/measure.ts'
import type { Server } from './loop.ts'

/** Servers of this process alone, with JetStream on files. */
export interface NatsServers extends Server {
  residentBytes(): number
}

const version = 'newest'

/** The version of the server that would be started, which is fetched where there is none; undefined where it can't be. */
export async function natsServerVersion(): Promise<string | undefined> {
  try {
    return execFileSync(await findServer(version), ['--version'], { encoding: 'utf8' }).trim()
  } catch (error) {
    if (error instanceof NatsServerError) return undefined
    throw error
  }
}

/** Starts servers with empty stores in temporary folders. */
export async function startNats({ servers: count = 1, sync = false }: Partial<Params>): Promise<NatsServers> {
  await findServer(version).catch((error: unknown) => {
    throw error instanceof NatsServerError ? new Absent('nats-server is not installed') : error
  })
  const options = { version, ...(sync && { config: 'jetstream { sync_interval: always }\n' }) } as const
  const started = count === 1 ? await startServer(options) : await startCluster({ ...options, nodes: count })
  const servers = 'servers' in started ? started.servers : [started]
  const sum = (of: (pid: number) => number): number => servers.reduce((total, { pid }) => total + of(pid), 0)
  return {
    urls: servers.map(({ url }) => url),
    replicas: count,
    counted: () => traffic(servers),
    cpuMs: () => sum(cpuMsOf),
    residentBytes: () => sum(residentBytesOf),
    stop: () => started.stop(),
  }
}

interface Connections {
  readonly connections: readonly {
    readonly in_msgs: number
    readonly out_msgs: number
    readonly in_bytes: number
    readonly out_bytes: number
  }[]
}

/** Messages in and out of the servers, of the connections that clients have now. */
async function traffic(servers: readonly NatsServer[]): Promise<Readonly<Record<string, number>>> {
  let messages = 0
  let bytes = 0
  for (const { monitorUrl } of servers) {
    const response = await fetch(`${monitorUrl}/connz?limit=10000`)
    for (const one of ((await response.json()) as Connections).connections) {
      messages += one.in_msgs + one.out_msgs
      bytes += one.in_bytes + one.out_bytes
    }
  }
  return { 'messages/run': messages, 'B/run': bytes }
}
