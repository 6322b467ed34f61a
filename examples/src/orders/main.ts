/**
 * The order service, whole: `node dist/orders/main.js --port 3000`. Starts a nats-server and two nodes, starts again what dies, and
 * ends all of it at Ctrl-C.
 */
import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startServer } from '@troupe/nats-server'
import type { KillMessage, PartsMessage } from './parts.ts'

const say = (line: string): void => void process.stdout.write(`${line}\n`)

/** A process of the service, from its start to its end. */
interface Life {
  readonly ended: Promise<unknown>
  kill(signal: NodeJS.Signals): unknown
}

const names = ['nats-server', 'node one', 'node two'] as const
const lives = new Map<string, Life>()
const starts = new Map<string, number>()
let isEnding = false

function tell(): void {
  const parts = names.map((name) => ({ name, isUp: lives.has(name), starts: starts.get(name) ?? 0 }))
  const message: PartsMessage = { parts }
  // A worker that dies meanwhile need not know.
  for (const worker of workers()) worker.send(message, () => undefined)
}

function workers(): readonly Worker[] {
  return Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined)
}

/** Starts a part, and starts it again whenever it ends. */
async function keepUp(name: string, start: () => Promise<Life>): Promise<void> {
  while (!isEnding) {
    try {
      const life = await start()
      lives.set(name, life)
      starts.set(name, (starts.get(name) ?? 0) + 1)
      tell()
      await life.ended
      lives.delete(name)
      tell()
      if (!isEnding) say(`${name} has ended; it is started again`)
    } catch (error) {
      say(`${name} did not start: ${String(error)}`)
    }
    // Not at once, so that one that can't start does not keep the machine busy.
    if (!isEnding) await delay(1_000)
  }
}

/** The nodes are workers of a cluster of Node's: they share the port, and whichever lives gets the next connection. */
async function startNode(name: string, env: Readonly<Record<string, string>>): Promise<Life> {
  const worker: Worker = cluster.fork({ ...env, NODE: name })
  worker.on('message', ({ kill, start }: KillMessage) => {
    const meant = kill === 'all' ? names : [kill]
    if (start === meant.reduce((sum, each) => sum + (starts.get(each) ?? 0), 0))
      for (const each of meant) lives.get(each)?.kill('SIGKILL')
  })
  const ended = once(worker, 'exit')
  const isUp = await Promise.race([once(worker, 'listening').then(() => true), ended.then(() => false)])
  if (!isUp) throw new TypeError(`it ended with ${worker.process.exitCode ?? worker.process.signalCode}`)
  return { ended, kill: (signal) => worker.process.kill(signal) }
}

/** @returns the port; for 0 one that is free */
async function freePort(wanted: number): Promise<number> {
  const probe = createServer().listen(wanted, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  return port
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { port: { type: 'string', default: '3000' } } })
  const port = await freePort(Number(values.port))

  say('starting a nats-server and two nodes …')
  const server = await startServer({ apart: true })
  say(`the nats-server is at ${server.url}`)
  const env = { NATS_URL: server.url, PORT: String(port) }
  // Each node takes its connections from the system itself. One that this process handed to a node would stay open where the node
  // is killed before it has it, and whoever asked would wait for an answer.
  cluster.schedulingPolicy = cluster.SCHED_NONE
  cluster.setupPrimary({ exec: fileURLToPath(new URL('service.js', import.meta.url)) })
  cluster.once('listening', () => say(`the shop is open at http://localhost:${port}; Ctrl-C closes it`))

  const startNats = async (): Promise<Life> => {
    if (!server.running) await server.restart()
    return { ended: server.ended, kill: (signal) => server.kill(signal) }
  }
  const [nats, ...nodes] = names
  const kept = [
    keepUp(nats, startNats),
    ...nodes.map((name) => keepUp(name, () => startNode(name.slice('node '.length), env))),
  ]

  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
  say('closing …')
  isEnding = true
  // The nodes first: what they write while they close, the server keeps.
  await Promise.all(workers().map(end))
  await server.stop()
  await Promise.all(kept)
}

async function end(worker: Worker): Promise<void> {
  const ended = once(worker, 'exit')
  worker.process.kill('SIGTERM')
  const tooLate = setTimeout(() => worker.process.kill('SIGKILL'), 10_000)
  await ended
  clearTimeout(tooLate)
}

try {
  await main()
} catch (error) {
  if (!isTaken(error)) throw error
  say(`port ${error.port} is taken by another program; choose one: --port 3001`)
  process.exitCode = 1
}

function isTaken(error: unknown): error is { readonly port: number } {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
}
