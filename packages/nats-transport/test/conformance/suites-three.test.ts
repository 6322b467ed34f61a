import {
  cacheConformance,
  journalConformance,
  registerConformance,
  type ConformanceCase,
} from '@troupe/core/testing'
import { expect, it } from 'vitest'
import { Streams } from '../faults/harness/streams.ts'
import { clusterVersions, onEach, useCluster } from '../servers/index.ts'
import { nodeAt, type TestNode } from '../support.ts'

/** Streams are made by agreement of three servers, and where the machine is busy they may have to elect a leader first. */
const patienceMs = 60_000

/** Nodes at different servers of a cluster: what one has written the other reads at once, whoever leads. */
const on = clusterVersions
onEach('on three of the %s server', 'the ports', cases, { on })

function cases(version: (typeof on)[number]): void {
  const cluster = useCluster({ version })

  const node = (server: number, namespace?: string): TestNode => {
    const made = nodeAt({
      servers: cluster().servers[server]?.url ?? '',
      replicas: 3,
      ...(namespace === undefined ? undefined : { namespace }),
    })
    return made
  }

  /** Each replicated stream is a group of its own, which the servers keep together: what a case leaves would slow all that follow. */
  async function end(...nodes: readonly [TestNode, ...TestNode[]]): Promise<void> {
    for (const one of nodes) await one.close()
    const streams = await Streams.open(cluster().urls, nodes[0].namespace)
    await streams.delete()
    await streams.close()
  }

  const suite = (name: string, cases: readonly ConformanceCase[]): void => {
    it.each(cases.map(({ name: claim, run }) => [name, claim, run] as const))(
      '%s: %s',
      async (_, __, run) => {
        await expect(run()).resolves.toBeUndefined()
      },
      90_000,
    )
  }

  suite(
    'journal',
    journalConformance(async () => {
      const one = node(0)
      return { journal: one.journal, patienceMs, close: () => end(one) }
    }),
  )
  suite(
    'cache',
    cacheConformance(async () => {
      const one = node(1)
      return { cache: one.cache, patienceMs, close: () => end(one) }
    }),
  )
  suite(
    'register',
    registerConformance(async () => {
      const one = node(1)
      const other = node(2, one.namespace)
      return {
        register: one.register,
        others: other.register,
        patienceMs,
        close: () => end(one, other),
      }
    }),
  )
}
