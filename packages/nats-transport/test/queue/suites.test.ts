import {
  clusterNodesConformance,
  mailboxConformance,
  nodesConformance,
  queueConformance,
  type ConformanceCase,
} from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { useServer, versions } from '../servers/index.ts'
import { queueNodeAt, shortTimes, type QueueNode } from './support.ts'

/** Leases of 4 s: the thread that prolongs them has to be there before, also where several start at once. */
const times = { ...shortTimes, ackWaitMs: 4_000 }

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

  const two = (): { one: QueueNode; other: QueueNode; close: () => Promise<void> } => {
    const one = queueNodeAt({ servers: server().url, times })
    const other = queueNodeAt({ servers: server().url, namespace: one.namespace, times })
    return {
      one,
      other,
      async close() {
        await one.close()
        await other.close()
        expect(one.cutOffs.concat(other.cutOffs)).toEqual([])
      },
    }
  }

  suite(
    'queue',
    queueConformance(async () => {
      const { one, other, close } = two()
      return { queue: one.queue, others: other.queue, crash: one.crash, leave: one.close, close }
    }),
  )
  suite(
    'mailbox',
    mailboxConformance(async () => {
      const { one, other, close } = two()
      return { mailbox: one.mailbox, others: other.mailbox, close }
    }),
  )
  suite(
    'nodes',
    nodesConformance(async () => {
      const { one, other, close } = two()
      return { nodes: one.nodes, others: other.nodes, close }
    }),
  )
  suite(
    'nodes of a cluster',
    clusterNodesConformance(async () => {
      const { one, other, close } = two()
      return {
        nodes: one.nodes,
        name: one.name,
        others: other.nodes,
        othersName: other.name,
        crash: one.crash,
        leave: one.close,
        close,
      }
    }),
  )
})
