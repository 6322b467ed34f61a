import { findServer, NatsServerError, startCluster, startServer, type NatsServer } from '@troupe/nats-server'
import { execFileSync } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Absent } from '../lib/absent.ts'
import { cpuMsOf, residentBytesOf } from '../lib/cpu.ts'
import type { Params } from '../lib/measure.ts'
import type { Server } from './loop.ts'

/** Servers of this process alone, with JetStream on files. */
export interface NatsServers extends Server {
  residentBytes(): number
  /** What the first of them says of its streams, by the name without the namespace. */
  streams(): Promise<ReadonlyMap<string, StreamCounts>>
  /** Bytes of the files that the first of them keeps. */
  diskBytes(): number
  /** Ends the first of them and starts it anew, with what it has stored. */
  restart(): Promise<void>
}

/** What a stream has, and has had. */
interface StreamCounts {
  /** Messages that were ever stored. */
  readonly stored: number
  /** Messages and bytes that are there. */
  readonly messages: number
  readonly bytes: number
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
    streams: async () => streamsOf(servers[0]),
    diskBytes: () => (servers[0] === undefined ? NaN : bytesBelow(servers[0].storeDir)),
    restart: async () => {
      await servers[0]?.restart()
      await servers[0]?.healthy()
    },
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

interface JetStream {
  readonly account_details?: readonly {
    readonly stream_detail?: readonly {
      readonly name: string
      readonly state: { readonly messages: number; readonly bytes: number; readonly last_seq: number }
    }[]
  }[]
}

async function streamsOf(server: NatsServer | undefined): Promise<ReadonlyMap<string, StreamCounts>> {
  const response = await fetch(`${server?.monitorUrl}/jsz?accounts=true&streams=true`)
  const { account_details = [] } = (await response.json()) as JetStream
  return new Map(
    account_details
      .flatMap(({ stream_detail = [] }) => stream_detail)
      .map(({ name, state: { messages, bytes, last_seq } }) => [
        name.slice(name.lastIndexOf('_') + 1),
        { stored: last_seq, messages, bytes },
      ]),
  )
}

/** What the files below a folder take, in whole blocks. A file that goes meanwhile takes nothing. */
function bytesBelow(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => statSync(join(parentPath, name), { throwIfNoEntry: false })?.blocks ?? 0)
    .reduce((sum, blocks) => sum + blocks * blockBytes, 0)
}

const blockBytes = 512
