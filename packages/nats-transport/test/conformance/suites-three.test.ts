import {
  cacheConformance,
  journalConformance,
  registerConformance,
  type ConformanceCase,
} from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { useCluster, versions } from '../servers/index.ts'
import { nodeAt, type TestNode } from '../support.ts'

/** Nodes at different servers of a cluster: what one has written the other reads at once, whoever leads. */
describe.each(versions)('on three of the %s server', (version) => {
  const cluster = useCluster({ version })

  const node = (server: number, namespace?: string): TestNode => {
    const made = nodeAt({
      servers: cluster().servers[server]?.url ?? '',
      replicas: 3,
      ...(namespace === undefined ? undefined : { namespace }),
    })
    return made
  }

  const suite = (name: string, cases: readonly ConformanceCase[]): void => {
    it.each(cases.map(({ name: claim, run }) => [name, claim, run] as const))(
      '%s: %s',
      async (_, __, run) => {
        await expect(run()).resolves.toBeUndefined()
      },
      60_000,
    )
  }

  suite(
    'journal',
    journalConformance(async () => {
      const one = node(0)
      return { journal: one.journal, close: () => one.close() }
    }),
  )
  suite(
    'cache',
    cacheConformance(async () => {
      const one = node(1)
      return { cache: one.cache, close: () => one.close() }
    }),
  )
  suite(
    'register',
    registerConformance(async () => {
      const one = node(1)
      const other = node(2, one.namespace)
      const close = async (): Promise<void> => {
        await one.close()
        await other.close()
      }
      return { register: one.register, others: other.register, close }
    }),
  )
})
