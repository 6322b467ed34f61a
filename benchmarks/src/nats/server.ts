import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { cpuMsOf, residentBytesOf } from '../lib/cpu.ts'
import type { Params } from '../lib/measure.ts'
import { freePorts } from '../lib/ports.ts'
import { startTethered, type Tethered } from '../lib/tethered.ts'
import { natsServerPath } from './binary.ts'
import type { Server } from './loop.ts'

/** Servers of this process alone, with JetStream on files. */
export interface NatsServers extends Server {
  residentBytes(): number
}

interface Ports {
  readonly client: number
  readonly monitor: number
  readonly cluster: number
}

/** Starts servers with empty stores in temporary folders. */
export async function startNats({ servers = 1, sync = false }: Partial<Params>): Promise<NatsServers> {
  const binary = natsServerPath()
  const free = await freePorts(3 * servers)
  const all: readonly Ports[] = Array.from({ length: servers }, (_, i) => {
    const [client = 0, monitor = 0, cluster = 0] = free.slice(3 * i)
    return { client, monitor, cluster }
  })
  const running: Tethered[] = []
  for (const ports of all) running.push(await startOne(binary, ports, { all, sync }))
  const stop = async (): Promise<void> => {
    await Promise.all(running.map((one) => one.stop()))
  }
  try {
    await ready(all)
  } catch (error) {
    await stop()
    throw error
  }
  const sum = (of: (pid: number) => number): number => running.reduce((total, { pid }) => total + of(pid), 0)
  return {
    urls: all.map(({ client }) => `127.0.0.1:${client}`),
    replicas: servers,
    counted: () => traffic(all),
    cpuMs: () => sum(cpuMsOf),
    residentBytes: () => sum(residentBytesOf),
    stop,
  }
}

async function startOne(
  binary: string,
  ports: Ports,
  { all, sync }: { readonly all: readonly Ports[]; readonly sync: boolean },
): Promise<Tethered> {
  const folder = mkdtempSync(join(tmpdir(), 'troupe-nats-'))
  const routes = all.map(({ cluster }) => `"nats://127.0.0.1:${cluster}"`).join(', ')
  const lines = [
    `server_name: n${ports.client}`,
    `listen: "127.0.0.1:${ports.client}"`,
    `http: "127.0.0.1:${ports.monitor}"`,
    `jetstream { store_dir: "${folder}/store"${sync ? ', sync_interval: always' : ''} }`,
    ...(all.length > 1
      ? [`cluster { name: benchmark, listen: "127.0.0.1:${ports.cluster}", routes: [${routes}] }`]
      : []),
  ]
  const file = join(folder, 'nats.conf')
  writeFileSync(file, `${lines.join('\n')}\n`)
  return startTethered({ folder, command: [binary, '-c', file], signal: 'KILL' })
}

/** Until every server says that it is healthy: its JetStream has a leader and is current. */
async function ready(all: readonly Ports[]): Promise<void> {
  const deadline = performance.now() + 30_000
  for (const { monitor } of all) {
    while (!(await healthy(monitor))) {
      if (performance.now() > deadline) throw new Error('nats-server did not start within 30 s')
      await setTimeout(20)
    }
  }
}

async function healthy(monitor: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${monitor}/healthz`)).ok
  } catch {
    return false // not listening yet
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
async function traffic(all: readonly Ports[]): Promise<Readonly<Record<string, number>>> {
  let messages = 0
  let bytes = 0
  for (const { monitor } of all) {
    const response = await fetch(`http://127.0.0.1:${monitor}/connz?limit=10000`)
    for (const one of ((await response.json()) as Connections).connections) {
      messages += one.in_msgs + one.out_msgs
      bytes += one.in_bytes + one.out_bytes
    }
  }
  return { 'messages/run': messages, 'B/run': bytes }
}
