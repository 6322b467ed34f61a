import { createEngine, type Engine, type Station, type Transport } from '@troupe/core'
import { median } from 'simple-statistics'
import { setTimeout } from 'node:timers/promises'
import { loopCpuMsOf } from '../lib/cpu.ts'
import { bytesInUse } from '../lib/heap.ts'
import { expectEqual, type Measure, type Readings } from '../lib/measure.ts'
import { startBeside, type Beside } from '../nats/beside.ts'
import { startNats, type NatsServers } from '../nats/server.ts'
import { shaped, type Shape } from '../nats/shapes.ts'
import { failOnErrors, transportTo } from '../nats/troupe.ts'

const small = 8

/** An owner, which is this process, a worker beside it, and a server. */
async function withNodes(
  measure: (nodes: { server: NatsServers; engine: Engine; worker: Beside }) => Promise<Readings>,
): Promise<Readings> {
  const server = await startNats({})
  try {
    const engine = createEngine({ ...transportTo(server), serve: { flows: [shaped] } })
    failOnErrors(engine)
    const worker = await startBeside('worker', server, 'troupe')
    const readings = await measure({ server, engine, worker })
    await engine.close()
    await worker.stop()
    return readings
  } finally {
    await server.stop()
  }
}

interface Spent {
  readonly traffic: Readonly<Record<string, number>>
  readonly streams: Awaited<ReturnType<NatsServers['streams']>>
  readonly owner: number
  readonly worker: number
  readonly server: number
  /** Of the first two, what their event loops spent. */
  readonly ownerLoop: number
  readonly workerLoop: number
}

async function spent(server: NatsServers, worker: Beside): Promise<Spent> {
  const { user, system } = process.cpuUsage()
  return {
    traffic: await server.counted(),
    streams: await server.streams(),
    owner: user + system,
    worker: Number(await worker.ask()) * 1e3,
    server: server.cpuMs() * 1e3,
    ownerLoop: loopCpuMsOf(process.pid) * 1e3,
    workerLoop: loopCpuMsOf(worker.pid) * 1e3,
  }
}

/** What was done for each of `n`: CPU time, messages, and what was stored where. */
function perEach(unit: string, n: number, [before, after]: readonly [Spent, Spent]): Readings {
  const difference = (of: (spent: Spent) => number): number => (of(after) - of(before)) / n
  const stored = (stream: string): number => difference(({ streams }) => streams.get(stream)?.stored ?? 0)
  const bytes = (stream: string): number => difference(({ streams }) => streams.get(stream)?.bytes ?? 0)
  return {
    [`owner cpu µs/${unit}`]: difference(({ owner }) => owner),
    [`worker cpu µs/${unit}`]: difference(({ worker }) => worker),
    [`server cpu µs/${unit}`]: difference(({ server }) => server),
    [`owner loop µs/${unit}`]: difference(({ ownerLoop }) => ownerLoop),
    [`worker loop µs/${unit}`]: difference(({ workerLoop }) => workerLoop),
    [`messages/${unit}`]: difference(({ traffic }) => traffic['messages/run'] ?? NaN),
    [`B/${unit}`]: difference(({ traffic }) => traffic['B/run'] ?? NaN),
    [`journal messages/${unit}`]: stored('EV'),
    [`task queue messages/${unit}`]: stored('TQ'),
    [`flow queue messages/${unit}`]: stored('FQ'),
    [`mailbox messages/${unit}`]: stored('MB'),
    [`object messages/${unit}`]: stored('blob'),
    [`journal B/${unit}`]: bytes('EV'),
    [`object B/${unit}`]: bytes('blob'),
  }
}

/** Task runs of so many flow runs at the same time, each of which has so many in flight. */
const taskRuns =
  (flowRunsOf: (inFlight: number) => number): Measure =>
  ({ n, warmupMs, inFlight = 1, valueBytes = small }) =>
    withNodes(async ({ server, engine, worker }) => {
      const start = shaped.with({ engine })
      const flowRuns = flowRunsOf(inFlight)
      const shape = (runs: number, lanes = inFlight): Shape => ({
        n: Math.ceil(runs / flowRuns),
        inFlight: lanes / flowRuns,
        bytes: valueBytes,
      })
      const work = async (one: Shape): Promise<void> => {
        const values = await Promise.all(Array.from({ length: flowRuns }, () => start(one)))
        expectEqual('values', Math.min(...values), one.n)
      }
      await warmedUp(warmupMs, () => work(shape(Math.min(n, 2_000))))
      const before = await spent(server, worker)
      const disk = server.diskBytes()
      const one = shape(n)
      await work(one)
      const runs = one.n * flowRuns
      const after = await spent(server, worker)
      return { ...perEach('run', runs, [before, after]), 'disk B/run': (server.diskBytes() - disk) / runs }
    })

/** For so much CPU time, and at least once. */
async function warmedUp(cpuMs: number, work: () => Promise<void>): Promise<void> {
  const from = process.cpuUsage()
  for (;;) {
    await work()
    const { user, system } = process.cpuUsage(from)
    if ((user + system) / 1e3 >= cpuMs) return
  }
}

/** Whole flow runs, of so many task runs each, which another engine of this process starts for any node. */
const flowRuns =
  (length: number): Measure =>
  ({ n, warmupMs, inFlight = 1 }) =>
    withNodes(async ({ server, engine, worker }) => {
      const client = createEngine(transportTo(server))
      failOnErrors(client)
      const start = shaped.with({ engine: client, on: 'any' })
      const work = async (count: number): Promise<void> => {
        let left = count
        const lane = async (): Promise<void> => {
          while (left-- > 0)
            expectEqual('values', await start({ n: length, inFlight: 1, bytes: small }), length)
        }
        await Promise.all(Array.from({ length: inFlight }, lane))
      }
      await warmedUp(warmupMs, () => work(Math.min(n, 200)))
      const before = await spent(server, worker)
      await work(n)
      const after = await spent(server, worker)
      await client.close()
      expectEqual('flow runs of the engine', engine.health().stalled.length, 0)
      return perEach('flow run', n, [before, after])
    })

/** What is left of flow runs that have ended: at the server, and at a node that has listed them all; and what it costs to forget one. */
const kept: Measure = async ({ n }) =>
  withNodes(async ({ server, engine, worker }) => {
    const start = shaped.with({ engine })
    const before = await leftBehind(server)
    await inGroups(n, async (count) => {
      const runs = Array.from({ length: count }, () => start({ n: 1, inFlight: 1, bytes: small }))
      expectEqual('values', sum(await Promise.all(runs)), count)
    })
    const after = await leftBehind(server)
    // The owner lets go of what has ended a little later.
    await setTimeout(n > most ? letGoMs : 0)
    const readers: Engine[] = []
    const looks: Readings[] = []
    let node = NaN
    for (let look = 0; look < listings; look++) {
      const reader = createEngine(transportTo(server))
      failOnErrors(reader)
      readers.push(reader)
      // It is connected.
      await reader.get('none')
      const empty = await bytesInUse()
      const unlisted = await spent(server, worker)
      await reader.list({ limit: 1 })
      looks.push(perEach(record, n, [unlisted, await spent(server, worker)]))
      node = (await bytesInUse()) - empty
    }
    const looked = (name: string): number => median(looks.map((one) => one[`${name}/${record}`] ?? NaN))
    const forgotten = await forget(server, Math.min(n, most))
    for (const one of readers) await one.close()
    return {
      'server B/flow run': (after.memory - before.memory) / n,
      'node B/flow run': node / n,
      'node cpu µs/flow run listed': looked('owner cpu µs'),
      'server cpu µs/flow run listed': looked('server cpu µs'),
      'B/flow run listed': looked('B'),
      'journal B/flow run': (after.journal - before.journal) / n,
      'disk B/flow run': (after.disk - before.disk) / n,
      ...forgotten,
    }
  })

/** Forgets flow runs one after the other, as a sweep does. */
async function forget(server: NatsServers, count: number): Promise<Readings> {
  const { transport, station } = opened(transportTo(server).transport)
  const reader = createEngine({ transport })
  failOnErrors(reader)
  const listed = await reader.list({ limit: count })
  const [cpu, startedAt] = [process.cpuUsage(), performance.now()]
  const before = { traffic: await server.counted(), cpu: server.cpuMs() }
  for (const { id } of listed) await station().journal.delete(id)
  const { user, system } = process.cpuUsage(cpu)
  const took = performance.now() - startedAt
  const messages = (await server.counted())['messages/run'] ?? NaN
  const spentByServer = server.cpuMs() - before.cpu
  await reader.close()
  return {
    [`messages/${deleted}`]: (messages - (before.traffic['messages/run'] ?? NaN)) / listed.length,
    [`node cpu µs/${deleted}`]: (user + system) / listed.length,
    [`server cpu µs/${deleted}`]: (spentByServer * 1e3) / listed.length,
    [`ms/${deleted}`]: took / listed.length,
  }
}

/** What a server that was started anew has in memory of flow runs that have ended: no ids that it knows for a while, no garbage. */
const index: Measure = async ({ n }) => {
  const server = await startNats({})
  try {
    const afterRuns = async (count: number): Promise<number> => {
      const engine = createEngine(transportTo(server))
      failOnErrors(engine)
      const start = shaped.with({ engine })
      await inGroups(count, async (some) => {
        const runs = Array.from({ length: some }, () => start({ n: 0, inFlight: 1, bytes: small }))
        expectEqual('values', sum(await Promise.all(runs)), 0)
      })
      await engine.close()
      await server.restart()
      return server.residentBytes()
    }
    const before = await afterRuns(together)
    const after = await afterRuns(n)
    return { 'server B/flow run': (after - before) / n }
  } finally {
    await server.stop()
  }
}

const deleted = 'flow run forgotten'
const record = 'flow run listed'
/** The first ones also warm the code up. */
const listings = 5
/** Flow runs that are forgotten, one after the other, as a sweep does. */
const most = 500
const together = 200
const letGoMs = 5_000

async function inGroups(n: number, work: (count: number) => Promise<void>): Promise<void> {
  for (let i = 0; i < n; i += together) await work(Math.min(together, n - i))
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)

async function leftBehind(server: NatsServers) {
  const streams = await server.streams()
  return {
    memory: server.residentBytes(),
    disk: server.diskBytes(),
    journal: streams.get('EV')?.bytes ?? 0,
  }
}

/** Also gives what an engine has of its transport, which no engine offers: only sweeps forget. */
function opened(inner: Transport): { readonly transport: Transport; readonly station: () => Station } {
  let station: Station | undefined
  const transport: Transport = {
    name: inner.name,
    open: (host) => (station = inner.open(host)),
  }
  return {
    transport,
    station: () => {
      if (station === undefined) throw new Error('no engine has opened it')
      return station
    },
  }
}

export const measures: Readonly<Record<string, Measure>> = {
  wide: taskRuns(() => 1),
  narrow: taskRuns((inFlight) => inFlight),
  'flow-runs': flowRuns(0),
  'flow-runs-of-ten': flowRuns(10),
  kept,
  index,
}
