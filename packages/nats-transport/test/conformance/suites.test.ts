import {
  cacheConformance,
  journalConformance,
  registerConformance,
  type ConformanceCase,
} from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { useServer, versions } from '../servers/index.ts'
import { nodeAt } from '../support.ts'

/** Each case has a namespace of its own, and waits most of its time. */
describe.concurrent.each(versions)('on the %s server', (version) => {
  const server = useServer({ version })

  const suite = (name: string, cases: readonly ConformanceCase[]): void => {
    it.each(cases.map(({ name: claim, run }) => [name, claim, run] as const))(
      '%s: %s',
      async (_, __, run) => {
        await expect(run()).resolves.toBeUndefined()
      },
    )
  }

  suite(
    'journal',
    journalConformance(async () => {
      const node = nodeAt({ servers: server().url })
      return { journal: node.journal, close: () => node.close() }
    }),
  )
  suite(
    'cache',
    cacheConformance(async () => {
      const node = nodeAt({ servers: server().url })
      return { cache: node.cache, close: () => node.close() }
    }),
  )
  suite(
    'register',
    registerConformance(async () => {
      const one = nodeAt({ servers: server().url })
      const other = nodeAt({ servers: server().url, namespace: one.namespace })
      const close = async (): Promise<void> => {
        await one.close()
        await other.close()
      }
      return { register: one.register, others: other.register, close }
    }),
  )
})
