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
/** How often each fault was made. */
const faults = new Map<string, number>()
/** Nodes that stood still at some time. */
const zombies = new Set<string>()
/** Milliseconds from the kill of a node to the next transition of a flow run that it owned. */
const takeovers: number[] = []
let isOver = false

await Promise.all([starts(), disturbs()])
console.log(`${Math.round(elapsed() / 1000)} s: all ${totalRuns} flow runs are started, faults end`)
await cluster?.healthy()
const calm = performance.now()
const found = await world.audit({ zombies: [...zombies] }).catch(async (error: unknown) => {
  console.error(error)
  await end()
  process.exit(1)
})
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
    const isServer = pick(3) === 0 && !busy.has('server')
    const name = isServer ? 'server' : free[pick(free.length)]
    // Half of the nodes stay.
    if (name === undefined || (!isServer && free.length <= 3)) continue
    busy.add(name)
    const fault = (isServer ? disturbServer() : disturbNode(name)).finally(() => {
      busy.delete(name)
      underWay.delete(fault)
    })
    underWay.add(fault)
  }
  await Promise.all(underWay)
}

function count(fault: string): void {
  faults.set(fault, (faults.get(fault) ?? 0) + 1)
}

async function disturbServer(): Promise<void> {
  const server = servers[pick(servers.length)]
  const signal = pick(4) === 0 ? 'SIGTERM' : 'SIGKILL'
  count(`server ${signal}`)
  await server?.kill(signal)
  await delay(pick(3_000))
  await server?.restart()
  // Two of three must be there for anything to go on.
  await cluster?.healthy()
}

async function disturbNode(name: string): Promise<void> {
  const node = world.child(name)
  const kind = name.startsWith('owner') ? 'owner' : 'worker'
  switch (pick(4)) {
    case 0: {
      count(`${kind} SIGSTOP`)
      zombies.add(name)
      await node.kill('SIGSTOP')
      await delay(500 + pick(25_000))
      await node.kill('SIGCONT')
      return
    }
    case 1:
      count(`${kind} SIGTERM`)
      await node.kill('SIGTERM')
      await node.ended()
      break
    default:
      count(`${kind} SIGKILL`)
      if (kind === 'owner') void takeover(node)
      await node.kill()
  }
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
