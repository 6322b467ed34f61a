import { createEngine, type Engine, type EngineOptions } from '@troupe/core'
import { natsTransport } from '@troupe/nats-transport'
import { setTimeout } from 'node:timers/promises'
import type { Measure, Readings } from '../lib/measure.ts'
import { startNats } from '../nats/server.ts'
import { shaped } from '../nats/shapes.ts'
import { failOnErrors, queue } from '../nats/troupe.ts'

/** A cluster that does nothing: its nodes, what they serve, and between how many namespaces they are shared. */
interface Cluster {
  readonly title: string
  readonly nodes: number
  readonly namespaces?: number
  readonly serve?: EngineOptions['serve']
}

const serving = (what: string, serve: EngineOptions['serve']): readonly Cluster[] =>
  [1, 4].map((nodes) => ({ title: `${nodes} ${what}`, nodes, ...(serve && { serve }) }))

const clusters: readonly Cluster[] = [
  ...[1, 2, 4, 8].map((nodes) => ({ title: `${nodes} nodes`, nodes })),
  ...[2, 4].map((namespaces) => ({ title: `4 nodes, ${namespaces} namespaces`, nodes: 4, namespaces })),
  ...serving('owners', { flows: [shaped] }),
  ...serving('workers', { tasks: { [queue]: 4 } }),
]

/** Messages that servers get and send while nothing happens; each cluster has a server of its own, all at the same time. */
const idle: Measure = async ({ warmupMs, windowMs }) => {
  const running: Awaited<ReturnType<typeof startCluster>>[] = []
  try {
    for (const cluster of clusters) running.push(await startCluster(cluster))
    await setTimeout(warmupMs)
    const startedAt = performance.now()
    const before = await Promise.all(running.map(({ counted }) => counted()))
    await setTimeout(Math.max(windowMs, 500))
    const after = await Promise.all(running.map(({ counted }) => counted()))
    const seconds = (performance.now() - startedAt) / 1e3
    const each = running.flatMap(({ title }, i) =>
      ['messages/s', 'bytes/s', 'cpu %'].map((name): readonly [string, number] => [
        `${name}, ${title}`,
        ((after[i]?.[name] ?? NaN) - (before[i]?.[name] ?? NaN)) / seconds,
      ]),
    )
    return Object.fromEntries(each)
  } finally {
    for (const { close } of running) await close()
  }
}

async function startCluster({ title, nodes, namespaces = 1, serve }: Cluster) {
  const server = await startNats({})
  const engines: Engine[] = []
  for (let i = 0; i < nodes; i++) {
    const transport = natsTransport({ servers: server.urls, namespace: `idle${i % namespaces}` })
    const engine = createEngine({ transport, ...(serve && { serve }) })
    failOnErrors(engine)
    engines.push(engine)
    // It connects when something is asked of it.
    await engine.list({ limit: 1 })
  }
  return {
    title,
    counted: async (): Promise<Readings> => {
      const traffic = await server.counted()
      return {
        'messages/s': traffic['messages/run'] ?? NaN,
        'bytes/s': traffic['B/run'] ?? NaN,
        // A hundredth of a second of CPU time each second.
        'cpu %': server.cpuMs() / 10,
      }
    },
    close: async () => {
      for (const engine of engines) await engine.close()
      await server.stop()
    },
  }
}

export const measures: Readonly<Record<string, Measure>> = { clusters: idle }
