import { connect } from '@nats-io/transport-node'
import { createEngine, type Logger } from '@troupe/core'
import { taskRunnerContract, type ContractEngine } from '@troupe/core/testing'
import { natsTransport } from '@troupe/nats-transport'
import { NatsTaskRunner } from '@troupe/runners'
import { describe, expect, it, vi } from 'vitest'
import { useServer, versions } from './servers/index.ts'
import { freshNamespace, hostOf, machineClock } from './support.ts'

// Cases wait most of their time, and each has a namespace of its own.
vi.setConfig({ maxConcurrency: 12 })

interface Cluster {
  readonly engine: ContractEngine
  /** Lets go of all that there is besides the engine. */
  end(): Promise<void>
}

/** An engine that owns flow runs, and beside it two workers of one slot each, in a namespace of their own. */
function openCluster(servers: string, logger: Logger): Cluster {
  // Connections made here are also for presence, which then needs no thread: of these nodes there are hundreds.
  const connection = () => connect({ servers, maxReconnectAttempts: -1 })
  const transport = natsTransport({ connection, namespace: freshNamespace() })
  const workers = ['worker-1', 'worker-2'].map((node) =>
    createEngine({ node, transport, logger, serve: { tasks: { default: 1 } } }),
  )
  const engine = createEngine({ node: 'test', transport, logger })
  // The journal is asked after the engine was closed, too.
  const observer = transport.open(hostOf())
  return {
    engine: Object.assign(engine, {
      clock: machineClock,
      journal: observer.journal,
      warm: async () => {
        await Promise.all([...workers, engine].map((each) => each.announced()))
      },
      settle: <T>(promise: PromiseLike<T>) => Promise.resolve(promise),
    }),
    end: async () => {
      await Promise.all([...workers, observer].map((each) => each.close()))
    },
  }
}

const limits = { mode: 'parallel', limit: 2, realTime: true, outlives: true, restMs: 250 } as const
const names = taskRunnerContract(() => new NatsTaskRunner(), limits).map(({ name }) => name)

describe.concurrent.each(versions)('NatsTaskRunner on the %s server', (version) => {
  const server = useServer({ version })

  it.each(names)(
    '%s',
    async (claim) => {
      const clusters: Cluster[] = []
      const cases = taskRunnerContract(() => new NatsTaskRunner(), {
        ...limits,
        openEngine({ logger }) {
          const cluster = openCluster(server().url, logger)
          clusters.push(cluster)
          return cluster.engine
        },
      })
      try {
        await expect(cases.find(({ name }) => name === claim)?.run()).resolves.toBeUndefined()
        expect(clusters).toHaveLength(1)
      } finally {
        await Promise.all(clusters.map((cluster) => cluster.end()))
      }
    },
    60_000,
  )
})
