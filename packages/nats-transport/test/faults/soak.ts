/**
 * Kills nodes and servers every few seconds for a long time, and then holds every journal against what was done.
 *
 * `pnpm --filter @troupe/nats-transport soak -- --minutes 10 --runs 5000 --servers 3 --version newest --seed 1`
 */
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import {
  findServer,
  serverVersion,
  startCluster,
  startServer,
  type NatsServer,
  type ServerVersion,
} from '@troupe/nats-server'
import { seededRandom } from '@troupe/core/testing'
import type { Child } from './harness/child.ts'
import type { Item, Step } from './harness/plan-tasks.ts'
import { until } from './harness/until.ts'
import { World, type NodeOptions } from './harness/world.ts'

const { values } = parseArgs({
  args: process.argv.slice(2).filter((word) => word !== '--'),
  options: {
    minutes: { type: 'string', default: '10' },
    runs: { type: 'string', default: '5000' },
    servers: { type: 'string', default: '3' },
    version: { type: 'string', default: 'newest' },
    seed: { type: 'string', default: '1' },
    /** Where the figures are written. */
    out: { type: 'string' },
  },
})
/** What is done to a server or a node. */
interface Fault {
  readonly on: 'server' | 'owner' | 'worker'
  readonly signal: 'SIGKILL' | 'SIGSTOP' | 'SIGTERM'
}

const totalMs = Number(values.minutes) * 60_000
const totalRuns = Number(values.runs)
const random = seededRandom(Number(values.seed))
const pick = (n: number): number => Math.floor(random.number() * n)
const version = values.version as ServerVersion
const isThree = values.servers === '3'

const owner: NodeOptions = { flows: ['plan', 'even', 'local'], limits: [{ tag: 'few', concurrency: 8 }] }
const worker: NodeOptions = { work: 16 }
const roles: Readonly<Record<string, NodeOptions>> = {
  'owner-1': owner,
  'owner-2': owner,
  'owner-3': owner,
  'worker-1': worker,
  'worker-2': worker,
  'worker-3': worker,
}

const cluster = isThree ? await startCluster({ version }) : undefined
const servers: readonly NatsServer[] = cluster?.servers ?? [await startServer({ version })]
const world = await World.open({
  servers: servers.map(({ url }) => url),
  settings: { replicas: isThree ? 3 : 1 },
})
await world.start(roles)
const begin = performance.now()
const elapsed = (): number => performance.now() - begin
/** Kinds of faults: a short soak makes each of them, too, before it goes on at random. */
const kinds: readonly Fault[] = [
  { on: 'server', signal: 'SIGKILL' },
  { on: 'server', signal: 'SIGTERM' },
  ...(['owner', 'worker'] as const).flatMap((on) =>
    (['SIGKILL', 'SIGSTOP', 'SIGTERM'] as const).map((signal) => ({ on, signal })),
  ),
]
const due = kinds
  .map((fault) => ({ fault, place: random.number() }))
  .toSorted((a, b) => a.place - b.place)
  .map(({ fault }) => fault)
/** How often each fault was made, by its name. */
const faults = new Map<string, number>()
/** Milliseconds from the kill of a node to the next transition of a flow run that it owned. */
const takeovers: number[] = []
let isOver = false

await Promise.all([starts(), disturbs()])
console.log(`${Math.round(elapsed() / 1000)} s: all ${totalRuns} flow runs are started, faults end`)
await cluster?.healthy()
const calm = performance.now()
const found = await world.audit().catch(failed)
const missing = kinds.map((kind) => nameOf(kind)).filter((name) => !faults.has(name))
if (missing.length > 0) await failed(new RangeError(`these faults were never made: ${missing.join(', ')}`))
const figures = {
  node: process.version,
  cores: cpus().length,
  server: await serverVersion(await findServer(version)),
  servers: servers.length,
  seed: Number(values.seed),
  minutes: Math.round(elapsed() / 6_000) / 10,
  ...found,
  faults: Object.fromEntries([...faults].toSorted(([a], [b]) => a.localeCompare(b))),
  secondsFromLastFaultToEndOfCheck: Math.round((performance.now() - calm) / 100) / 10,
  takeoverMs: quantiles(takeovers),
}
console.log(JSON.stringify(figures, undefined, 2))
if (values.out !== undefined) writeFileSync(values.out, `${JSON.stringify(figures, undefined, 2)}\n`)
await end()
process.exit(0)

async function failed(error: unknown): Promise<never> {
  console.error(error)
  await end()
  process.exit(1)
}

function nameOf({ on, signal }: Fault): string {
  return `${on} ${signal}`
}

async function end(): Promise<void> {
  await world.close()
  await cluster?.stop()
  if (cluster === undefined) await servers[0]?.stop()
}

/** Starts flow runs at an even pace, on any node. */
async function starts(): Promise<void> {
  for (let n = 0; n < totalRuns; n++) {
    const wait = (n / totalRuns) * totalMs - elapsed()
    if (wait > 0) await delay(wait)
    await world.run('any', {
      flow: ['plan', 'even', 'local'][n % 3] ?? 'plan',
      id: `soak-${n}`,
      steps: stepsOf(`${n}`),
    })
    if (n % 500 === 499) console.log(`${Math.round(elapsed() / 1000)} s: ${n + 1} started, ${ended()} ended`)
  }
  isOver = true
}

function ended(): number {
  let count = 0
  for (let n = 0; n < totalRuns; n++) if (world.witness.endOf(`soak-${n}`) !== undefined) count++
  return count
}

/** Ten task runs and a wait or two. */
function stepsOf(name: string): Step[] {
  const items = (list: number, count: number): Item[] =>
    Array.from({ length: count }, (_, n) => ({
      key: `${name}.${list}.${n}`,
      ms: pick(4) === 0 ? pick(200) : 1,
      ...(pick(10) === 0 ? { failures: 1, retryDelay: '200ms' as const } : undefined),
      ...(pick(10) === 0 ? { tags: ['few'] } : undefined),
    }))
  const steps: Step[] = [items(0, 3), items(1, 4)]
  if (pick(4) === 0) steps.push({ sleep: '1s' })
  if (pick(4) === 0) steps.push({ draw: true })
  steps.push(pick(6) === 0 ? { below: [items(2, 3)] } : items(2, 3))
  return steps
}

async function disturbs(): Promise<void> {
  const underWay = new Set<Promise<void>>()
  const busy = new Set<string>()
  while (!isOver) {
    await delay(1_500 + pick(3_500))
    const free = Object.keys(roles).filter((name) => !busy.has(name))
    /** What it can be done to now: half of the nodes stay. */
    const targets = ({ on }: Fault): string[] => {
      if (on === 'server') return busy.has('server') ? [] : ['server']
      return free.length <= 3 ? [] : free.filter((name) => name.startsWith(on))
    }
    const fault = due.find((one) => targets(one).length > 0) ?? anyFault()
    const possible = targets(fault)
    const name = possible[pick(possible.length)]
    if (name === undefined) continue
    if (due.includes(fault)) due.splice(due.indexOf(fault), 1)
    busy.add(name)
    const made = (fault.on === 'server' ? disturbServer(fault) : disturbNode(name, fault)).finally(() => {
      busy.delete(name)
      underWay.delete(made)
    })
    underWay.add(made)
  }
  await Promise.all(underWay)
}

function anyFault(): Fault {
  if (pick(3) === 0) return { on: 'server', signal: pick(4) === 0 ? 'SIGTERM' : 'SIGKILL' }
  const signals = ['SIGSTOP', 'SIGTERM', 'SIGKILL', 'SIGKILL'] as const
  return { on: pick(2) === 0 ? 'owner' : 'worker', signal: signals[pick(4)] ?? 'SIGKILL' }
}

/** It has been made. */
function count(fault: Fault): void {
  const name = nameOf(fault)
  faults.set(name, (faults.get(name) ?? 0) + 1)
}

async function disturbServer(fault: Fault): Promise<void> {
  const server = servers[pick(servers.length)]
  await server?.kill(fault.signal)
  count(fault)
  await delay(pick(3_000))
  await server?.restart()
  // Two of three must be there for anything to go on.
  await cluster?.healthy()
}

async function disturbNode(name: string, fault: Fault): Promise<void> {
  const node = world.child(name)
  const { on, signal } = fault
  if (on === 'owner' && signal === 'SIGKILL') void takeover(node)
  await node.kill(signal)
  count(fault)
  if (signal === 'SIGSTOP') {
    await delay(500 + pick(25_000))
    await node.kill('SIGCONT')
    return
  }
  await node.ended()
  await delay(pick(4_000))
  await world.node(name, roles[name])
}

/** Measures how long it takes until a flow run of a node that is killed has another owner. */
async function takeover(node: Child): Promise<void> {
  const at = Date.now()
  const orphans = world.witness.liveOn(node.node)
  if (orphans.length === 0) return
  const next = (): number | undefined => {
    const times = orphans.flatMap((id) =>
      world.witness.of(id).filter(({ at: when, node: by }) => when > at && by !== node.node),
    )
    return times[0]?.at
  }
  const found = await until('another owner', next, 60_000).catch(() => undefined)
  if (found !== undefined) takeovers.push(found - at)
}

function quantiles(list: readonly number[]) {
  const sorted = list.toSorted((a, b) => a - b)
  const at = (share: number): number | undefined =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
  return { count: sorted.length, p50: at(0.5), p90: at(0.9), most: sorted.at(-1) }
}
