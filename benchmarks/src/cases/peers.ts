import { join } from 'node:path'
import { expectEqual, type Measure, type Params, type Readings } from '../lib/measure.ts'
import { temporaryFolder } from '../lib/temporary.ts'
import { throughput } from '../lib/throughput.ts'
import { loop } from '../nats/loop-measure.ts'
import { loadPeer } from '../peers/install.ts'
import { startPostgres } from '../peers/postgres.ts'
import { startRedis } from '../peers/redis.ts'
import { flowsAtOnce } from './durable-work.ts'

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

/**
 * DBOS in its usual set-up: one process, its own pool of 10 connections (5, 8, 15, 20 and 50 were tried: none is
 * faster), here over a Unix socket, which is faster than TCP. Workflows are started directly, without a queue, which
 * would only add to their cost. Registered steps cost what `DBOS.runStep` costs.
 *
 * Steps that one workflow runs at the same time wait for each other, since each locks the row of its workflow: the
 * most steps per second come from many workflows with one step after the other in each.
 */
async function dbos(shape: 'sequential' | 'chains' | 'fan-outs', params: Params): Promise<Readings> {
  const { DBOS } = await loadPeer<DbosModule>('@dbos-inc/dbos-sdk')
  const postgres = await startPostgres()
  try {
    const systemDatabaseUrl = postgres.url('dbos')
    DBOS.setConfig({ name: 'benchmark', systemDatabaseUrl, logLevel: 'error' })
    const step = DBOS.registerStep(async (i: number) => i, { name: 'step' })
    const chain = DBOS.registerWorkflow(
      async (n: number) => {
        let sum = 0
        for (let i = 0; i < n; i++) sum += (await step(i)) === i ? 1 : 0
        return sum
      },
      { name: 'chain' },
    )
    const fanOut = DBOS.registerWorkflow(
      async (n: number) => (await Promise.all(Array.from({ length: n }, (_, i) => step(i)))).length,
      { name: 'fan-out' },
    )
    await DBOS.launch()
    const started = DBOS.startWorkflow(shape === 'fan-outs' ? fanOut : chain)
    const flows = shape === 'sequential' ? 1 : flowsAtOnce
    const work = async (n: number): Promise<void> => {
      const runs = Array.from({ length: flows }, async () => (await started(n / flows)).getResult())
      for (const counted of await Promise.all(runs)) expectEqual('values', counted, n / flows)
    }
    const readings = await throughput(() => ({ work }), params)
    await DBOS.shutdown()
    return readings
  } finally {
    await postgres.stop()
  }
}

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

/**
 * openworkflow with its SQLite backend, which sets WAL and leaves `synchronous` at SQLite's default, FULL. Its worker and
 * its handles poll for up to a second, which would be most of what is measured: here the clock runs only from the
 * beginning of the first workflow's body to the end of the last one's. A workflow may have 1,000 steps at most.
 *
 * Its calls of SQLite block the event loop, so that steps at the same time are not faster than one after the other.
 */
async function openWorkflow(flows: number, params: Params): Promise<Readings> {
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
  const worker = app.newWorker({ concurrency: flows })
  await worker.start()
  const work = async (n: number): Promise<number> => {
    left = flows
    firstBegan = Infinity
    const ended = new Promise<void>((resolve) => (allEnded = resolve))
    await Promise.all(Array.from({ length: flows }, () => chain.run({ n: n / flows })))
    await ended
    return performance.now() - firstBegan
  }
  const readings = await throughput(() => ({ work }), params)
  await worker.stop()
  await backend.stop()
  return readings
}

/** Beside which durable runs are measured; none is a dependency of the workspace. */
export const measures: Readonly<Record<string, Measure>> = {
  'dbos-sequential': (params) => dbos('sequential', params),
  'dbos-chains': (params) => dbos('chains', params),
  'dbos-fan-outs': (params) => dbos('fan-outs', params),
  bullmq: loop('bullmq', startRedis),
  'openworkflow-sequential': (params) => openWorkflow(1, params),
  'openworkflow-chains': (params) => openWorkflow(flowsAtOnce, params),
}
