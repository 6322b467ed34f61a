import { createEngine, flow, memoryJournal, task, type Engine } from '@troupe/core'
import { natsTransport } from '@troupe/nats-transport'
import { ConcurrentTaskRunner } from '@troupe/runners'
import { sqliteJournal } from '@troupe/sqlite-journal'
import { expectEqual, type Measure } from '../lib/measure.ts'
import { temporaryFolder } from '../lib/temporary.ts'
import { throughput } from '../lib/throughput.ts'
import { failOnErrors } from '../nats/troupe.ts'
import { startNats } from '../nats/server.ts'
import { flowsAtOnce } from './durable-work.ts'
import { measureShapes, type Shapes } from './shapes.ts'

const step = task('step', async (i: number) => i)

const sequence = flow('sequence', async (n: number) => {
  let sum = 0
  for (let i = 0; i < n; i++) sum += (await step(i)) === i ? 1 : 0
  return sum
})

const fanOut = flow('fan-out', async (n: number) => {
  const values = await Promise.all(Array.from({ length: n }, (_, i) => step(i)))
  return values.filter((value, i) => value === i).length
})

const bounded = flow(
  { name: 'bounded', taskRunner: new ConcurrentTaskRunner({ limit: flowsAtOnce }) },
  async (n: number) => {
    const values = await Promise.all(Array.from({ length: n }, (_, i) => step(i)))
    return values.filter((value, i) => value === i).length
  },
)

const empty = flow('empty', async () => 1)

const single = flow('single', async () => step(1))

const parent = flow('parent', async (n: number) => {
  const values = await Promise.all(Array.from({ length: n }, () => empty()))
  return values.length
})

function shapesOn(engine: Engine): Required<Shapes> {
  const on = { engine }
  const [starts, fans] = [sequence.with(on), fanOut.with(on)]
  const [empties, singles, parents] = [empty.with(on), single.with(on), parent.with(on)]
  return {
    sequence: async (n) => starts(n),
    fanOut: async (n) => fans(n),
    empty: async () => empties(),
    single: async () => singles(),
    subflows: async (n) => parents(n),
  }
}

/** One process; its journals in memory, or in files, safe against the death of the process or against power loss. */
const local =
  (kept: 'memory' | 'process' | 'power'): Measure =>
  async (params) => {
    const onDisk = kept === 'memory' ? undefined : sqliteJournal(temporaryFolder(), { durability: kept })
    // In memory all is kept that was ever done, as a journal on the disk and Effect's engine in memory keep it.
    const engine = createEngine({ journal: onDisk ?? memoryJournal({ keep: Number.MAX_SAFE_INTEGER }) })
    const readings = await measureShapes(shapesOn(engine), params)
    await engine.close()
    await onDisk?.close()
    return readings
  }

/** One node and one server, which has the journals in memory or in files; tasks run in the node. */
const onNats =
  (storage: 'file' | 'memory'): Measure =>
  async (params) => {
    const server = await startNats({ sync: params.sync ?? false })
    try {
      const transport = natsTransport({ servers: server.urls, namespace: 'benchmark', storage })
      const engine = createEngine({ transport })
      failOnErrors(engine)
      const readings = await measureShapes(shapesOn(engine), params)
      await engine.close()
      return readings
    } finally {
      await server.stop()
    }
  }

/** A fan-out of which a hundred task runs are running at most. */
const limited: Measure = (params) =>
  throughput(() => {
    const engine = createEngine()
    const start = bounded.with({ engine })
    return {
      work: async (n) => expectEqual('values', await start(n), n),
      close: () => engine.close(),
    }
  }, params)

/** Trivial flows of trivial tasks: what peers are measured beside. */
export const measures: Readonly<Record<string, Measure>> = {
  limited,
  memory: local('memory'),
  process: local('process'),
  power: local('power'),
  'nats-memory': onNats('memory'),
  'nats-file': onNats('file'),
}
