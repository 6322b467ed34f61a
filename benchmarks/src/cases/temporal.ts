import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Measure } from '../lib/measure.ts'
import { loadPeer } from '../peers/install.ts'
import { startTemporal, type TemporalStore } from '../peers/temporal.ts'
import { measureShapes } from './shapes.ts'

interface Worker {
  run(): Promise<void>
  shutdown(): void
}

interface Closed {
  close(): Promise<void>
}

/** What is used of the worker's package. */
interface WorkerModule {
  readonly NativeConnection: { connect(options: { address: string }): Promise<Closed> }
  readonly Worker: { create(options: object): Promise<Worker> }
  readonly Runtime: { install(options: { logger: object }): unknown }
  readonly DefaultLogger: new (level: 'ERROR') => object
}

interface Connection extends Closed {
  readonly workflowService: {
    registerNamespace(request: object): Promise<unknown>
  }
}

/** What is used of the client's package. */
interface ClientModule {
  readonly Connection: { connect(options: { address: string }): Promise<Connection> }
  readonly Client: new (options: { connection: Closed }) => {
    readonly workflow: {
      execute(name: string, options: object): Promise<number>
    }
  }
}

const taskQueue = 'benchmark'
const day = 24 * 60 * 60

/**
 * Temporal's worker and client in this process, its server beside it. The worker is as its guide to performance has it: a
 * cache that all workflows fit into, pollers whose number follows the load, and more slots than are ever taken, so that
 * only the work limits it. The client has the worker's connection, so that the server gives a workflow's first task back
 * with the answer to its start, and its activities with the answer to the task that schedules them ("eager"). Its
 * activities are sent by way of the server, or are local ones: its documentation says to begin with the former, and to consider
 * the latter for short ones where latency counts. The server hears of local ones only when the workflow task ends, here of
 * all of a workflow together: what a crash interrupts is done again.
 */
export const temporal =
  (store: TemporalStore, kind: 'normal' | 'local'): Measure =>
  async (params) => {
    const { DefaultLogger, NativeConnection, Runtime, Worker } = await loadPeer<WorkerModule>(
      '@temporalio/worker',
      'temporal',
    )
    const { Client, Connection } = await loadPeer<ClientModule>('@temporalio/client', 'temporal')
    const { address, stop } = await startTemporal(store)
    try {
      Runtime.install({ logger: new DefaultLogger('ERROR') })
      // This one waits until the server is there, the worker's does not.
      const first = await Connection.connect({ address })
      await first.workflowService.registerNamespace({
        namespace: 'default',
        workflowExecutionRetentionPeriod: { seconds: day },
      })
      // Until the server's own parts have heard of the namespace.
      await setTimeout(3_000)
      await first.close()
      const connection = await NativeConnection.connect({ address })
      const pollers = { type: 'autoscaling', initial: 10 } as const
      const worker = await Worker.create({
        connection,
        taskQueue,
        workflowsPath: fileURLToPath(new URL('../../peers/temporal/workflows.js', import.meta.url)),
        activities: { step: async (i: number) => i },
        maxConcurrentActivityTaskExecutions: 1_000,
        maxConcurrentLocalActivityExecutions: 1_000,
        maxConcurrentWorkflowTaskExecutions: 200,
        maxCachedWorkflows: 2_000,
        maxEagerActivityReservationsPerWorkflowTask: 1_000,
        workflowTaskPollerBehavior: pollers,
        activityTaskPollerBehavior: pollers,
      })
      const ran = worker.run()
      const client = new Client({ connection })
      let executions = 0
      const run = (name: string, n = 0): Promise<number> =>
        client.workflow.execute(name, {
          taskQueue,
          workflowId: `${name}-${executions++}`,
          args: [n, kind],
          requestEagerStart: true,
        })
      const readings = await measureShapes(
        {
          sequence: (n) => run('sequence', n),
          fanOut: (n) => run('fanOut', n),
          empty: () => run('empty'),
          single: () => run('single'),
          subflows: (n) => run('parent', n),
        },
        params,
      )
      worker.shutdown()
      await ran
      await connection.close()
      return readings
    } finally {
      await stop()
    }
  }
