import { join } from 'node:path'
import { expectEqual, type Measure, type Params, type Readings } from '../lib/measure.ts'
import { temporaryFolder } from '../lib/temporary.ts'
import { throughput } from '../lib/throughput.ts'
import { loop, onWorker } from '../nats/loop-measure.ts'
import { loadPeer } from '../peers/install.ts'
import { startPostgres } from '../peers/postgres.ts'
import { startRedis } from '../peers/redis.ts'
import { flowsAtOnce } from './durable-work.ts'
import { effectWorkflow } from './effect.ts'
import { pQueue } from './p-queue.ts'
import { prefect } from './prefect.ts'
import { measureShapes, shapeReadings } from './shapes.ts'
import { temporal } from './temporal.ts'

/** What is used of the DBOS SDK. */
interface DbosModule {
  readonly DBOS: {
    setConfig(config: object): void
    registerStep<A extends unknown[], R>(
      body: (...args: A) => Promise<R>,
      config: { name: string },
    ): (...args: A) => Promise<R>
    registerWorkflow<A extends unknown[], R>(
      body: (...args: A) => Promise<R>,
      config: { name: string },
    ): (...args: A) => Promise<R>
    startWorkflow<A extends unknown[], R>(
      workflow: (...args: A) => Promise<R>,
    ): (...args: A) => Promise<{ getResult(): Promise<R> }>
    launch(): Promise<void>
    shutdown(): Promise<void>
  }
}

/** The workflows that are measured. Steps and workflows are registered before the launch. */
function dbosWorkflows({ DBOS }: DbosModule) {
  const step = DBOS.registerStep(async (i: number) => i, { name: 'step' })
  const empty = DBOS.registerWorkflow(async () => 1, { name: 'empty' })
  return {
    chain: DBOS.registerWorkflow(
      async (n: number) => {
        let sum = 0
        for (let i = 0; i < n; i++) sum += (await step(i)) === i ? 1 : 0
        return sum
      },
      { name: 'chain' },
    ),
    fanOut: DBOS.registerWorkflow(
      async (n: number) => (await Promise.all(Array.from({ length: n }, (_, i) => step(i)))).length,
      { name: 'fan-out' },
    ),
    empty,
    single: DBOS.registerWorkflow(() => step(1), { name: 'single' }),
    parent: DBOS.registerWorkflow(
      async (n: number) => {
        const handles = await Promise.all(Array.from({ length: n }, () => DBOS.startWorkflow(empty)()))
        return (await Promise.all(handles.map((handle) => handle.getResult()))).length
      },
      { name: 'parent' },
    ),
  }
}

type DbosWorkflows = ReturnType<typeof dbosWorkflows>

/**
 * DBOS in its usual set-up: one process, its own pool of 10 connections (5, 8, 15, 20 and 50 were tried: none is
 * faster), here over a Unix socket, which is faster than TCP. Workflows are started directly, without a queue, which
 * would only add to their cost. Registered steps cost what `DBOS.runStep` costs.
 *
 * Steps that one workflow runs at the same time wait for each other, since each locks the row of its workflow: the
 * most steps per second come from many workflows with one step after the other in each.
 */
async function dbos(
  measure: (workflows: DbosWorkflows, start: DbosModule['DBOS']['startWorkflow']) => Promise<Readings>,
): Promise<Readings> {
  const loaded = await loadPeer<DbosModule>('@dbos-inc/dbos-sdk')
  const { DBOS } = loaded
  const postgres = await startPostgres()
  try {
    DBOS.setConfig({ name: 'benchmark', systemDatabaseUrl: postgres.url('dbos'), logLevel: 'error' })
    const workflows = dbosWorkflows(loaded)
    await DBOS.launch()
    const readings = await measure(workflows, (workflow) => DBOS.startWorkflow(workflow))
    await DBOS.shutdown()
    return readings
  } finally {
    await postgres.stop()
  }
}

/** Task runs alone: in one workflow, or in a hundred at once. */
const dbosSteps = (shape: 'sequential' | 'chains' | 'fan-outs', params: Params): Promise<Readings> =>
  dbos((workflows, start) => {
    const started = start(shape === 'fan-outs' ? workflows.fanOut : workflows.chain)
    const flows = shape === 'sequential' ? 1 : flowsAtOnce
    const work = async (n: number): Promise<void> => {
      const runs = Array.from({ length: flows }, async () => (await started(n / flows)).getResult())
      for (const counted of await Promise.all(runs)) expectEqual('values', counted, n / flows)
    }
    return throughput(() => ({ work }), params)
  })

const dbosShapes: Measure = (params) =>
  dbos(({ chain, fanOut, empty, single, parent }, start) =>
    measureShapes(
      {
        sequence: async (n) => (await start(chain)(n)).getResult(),
        fanOut: async (n) => (await start(fanOut)(n)).getResult(),
        empty: async () => (await start(empty)()).getResult(),
        single: async () => (await start(single)()).getResult(),
        subflows: async (n) => (await start(parent)(n)).getResult(),
      },
      params,
    ),
  )

interface StepApi {
  run<R>(config: { name: string }, body: () => Promise<R>): Promise<R>
}

/** What is used of openworkflow. */
interface OpenWorkflowModule {
  readonly OpenWorkflow: new (options: { backend: unknown }) => {
    defineWorkflow(
      spec: { name: string },
      body: (context: { input: { n: number }; step: StepApi }) => Promise<number>,
    ): { run(input: { n: number }): Promise<unknown> }
    newWorker(options: { concurrency: number }): { start(): Promise<void>; stop(): Promise<void> }
  }
}

interface SqliteBackendModule {
  readonly BackendSqlite: {
    connect(file: string): {
      stop(): Promise<void>
      /** Private to it: only asked whether it is as durable as the others. */
      readonly db: { prepare(sql: string): { get(): unknown } }
    }
  }
}

/** Flow runs at once, how many and of how many steps each. */
interface Chains {
  readonly flows: number
  readonly steps: number
}

/**
 * openworkflow with its SQLite backend, which sets WAL and leaves `synchronous` at SQLite's default, FULL. Its worker and
 * its handles poll for up to a second, which would be most of what is measured: here the clock runs only from the
 * beginning of the first workflow's body to the end of the last one's. A workflow may have 1,000 steps at most.
 *
 * Its calls of SQLite block the event loop, so that steps at the same time are not faster than one after the other.
 */
async function openWorkflow(
  concurrency: number,
  measure: (chains: (chains: Chains) => Promise<number>) => Promise<Readings>,
): Promise<Readings> {
  const { OpenWorkflow } = await loadPeer<OpenWorkflowModule>('openworkflow')
  const { BackendSqlite } = await loadPeer<SqliteBackendModule>('openworkflow/sqlite')
  const backend = BackendSqlite.connect(join(temporaryFolder(), 'workflows.db'))
  const { synchronous } = backend.db.prepare('pragma synchronous').get() as { synchronous: number }
  expectEqual('(FULL) as synchronous', synchronous, 2)
  const app = new OpenWorkflow({ backend })
  let firstBegan = Infinity
  let left = 0
  let allEnded = (): void => undefined
  const chain = app.defineWorkflow({ name: 'chain' }, async ({ input: { n }, step }) => {
    firstBegan = Math.min(firstBegan, performance.now())
    let sum = 0
    for (let i = 0; i < n; i++) sum += (await step.run({ name: `step ${i}` }, async () => i)) === i ? 1 : 0
    expectEqual('values', sum, n)
    if (--left === 0) allEnded()
    return sum
  })
  const worker = app.newWorker({ concurrency })
  await worker.start()
  const readings = await measure(async ({ flows, steps }) => {
    left = flows
    firstBegan = Infinity
    const ended = new Promise<void>((resolve) => (allEnded = resolve))
    await Promise.all(Array.from({ length: flows }, () => chain.run({ n: steps })))
    await ended
    return performance.now() - firstBegan
  })
  await worker.stop()
  await backend.stop()
  return readings
}

/** Task runs alone. */
const openWorkflowSteps = (flows: number, params: Params): Promise<Readings> =>
  openWorkflow(flows, (chains) =>
    throughput(() => ({ work: (n) => chains({ flows, steps: n / flows }) }), params),
  )

/** No fan-out, which is its sequence, and no flow run that is alone, which waits for a poll. */
const openWorkflowShapes: Measure = (params) =>
  openWorkflow(flowsAtOnce, async (chains) => {
    const { n, flows = n } = params
    const of = async (count: number, work: (n: number) => Promise<number>): Promise<number> =>
      (await throughput(() => ({ work }), { ...params, n: count }))['runs/s'] ?? NaN
    return {
      [shapeReadings.sequence]: await of(n, (steps) => chains({ flows: 1, steps })),
      [shapeReadings.empty]: await of(flows, (many) => chains({ flows: many, steps: 0 })),
      [shapeReadings.single]: await of(flows, (many) => chains({ flows: many, steps: 1 })),
    }
  })

/** What Troupe is measured beside; none is a dependency of the workspace. */
export const measures: Readonly<Record<string, Measure>> = {
  'dbos-sequential': (params) => dbosSteps('sequential', params),
  'dbos-chains': (params) => dbosSteps('chains', params),
  'dbos-fan-outs': (params) => dbosSteps('fan-outs', params),
  dbos: dbosShapes,
  'bullmq-memory': loop('bullmq', () => startRedis('memory')),
  'bullmq-process': loop('bullmq', () => startRedis('process')),
  'bullmq-memory-shapes': onWorker('bullmq', () => startRedis('memory')),
  'bullmq-process-shapes': onWorker('bullmq', () => startRedis('process')),
  effect: effectWorkflow,
  'openworkflow-sequential': (params) => openWorkflowSteps(1, params),
  'openworkflow-chains': (params) => openWorkflowSteps(flowsAtOnce, params),
  openworkflow: openWorkflowShapes,
  'p-queue': pQueue,
  'prefect-server': prefect('server', 'awaited'),
  'prefect-ephemeral': prefect('ephemeral', 'awaited'),
  'prefect-postgres': prefect('postgres', 'awaited'),
  'prefect-threads': prefect('server', 'threads'),
  'prefect-dask': prefect('server', 'dask'),
  'temporal-memory': temporal('memory', 'normal'),
  'temporal-memory-local': temporal('memory', 'local'),
  'temporal-process': temporal('process', 'normal'),
  'temporal-process-local': temporal('process', 'local'),
  'temporal-power': temporal('power', 'normal'),
  'temporal-power-local': temporal('power', 'local'),
}
