import { memoryTransport } from '@troupe/core'
import {
  cacheConformance,
  clusterNodesConformance,
  journalConformance,
  mailboxConformance,
  nodesConformance,
  publishingConformance,
  queueConformance,
  registerConformance,
  type ConformanceCase,
} from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { twoNodes } from './support.ts'

const open = () => twoNodes(memoryTransport())

const suites: readonly [string, readonly ConformanceCase[]][] = [
  [
    'journal',
    journalConformance(async () => {
      const { a, b, settle, close } = open()
      return { journal: a.journal, others: b.journal, settle, close }
    }),
  ],
  [
    'mailbox',
    mailboxConformance(async () => {
      const { a, b, settle, close } = open()
      return { mailbox: a.mailbox, others: b.mailbox, settle, close }
    }),
  ],
  [
    'nodes',
    nodesConformance(async () => {
      const { a, b, settle, close } = open()
      return { nodes: a.nodes, others: b.nodes, settle, close }
    }),
  ],
  [
    'nodes of a cluster',
    clusterNodesConformance(async () => {
      const { a, b, settle, crash, leave, close } = open()
      return { nodes: a.nodes, name: 'a', others: b.nodes, othersName: 'b', settle, crash, leave, close }
    }),
  ],
  [
    'queue',
    queueConformance(async () => {
      const { a, b, settle, crash, leave, close } = open()
      return { queue: a.queue, others: b.queue, settle, crash, leave, close }
    }),
  ],
  [
    'register',
    registerConformance(async () => {
      const { a, b, settle, close } = open()
      return { register: a.register, others: b.register, settle, close }
    }),
  ],
  [
    'publishing',
    publishingConformance(async () => {
      const transport = memoryTransport({ publish: true })
      const { a, b, settle, close } = twoNodes(transport)
      return {
        station: a,
        others: b,
        listen: async (listener) => void transport.published(listener),
        settle,
        close,
      }
    }),
  ],
  [
    'cache',
    cacheConformance(async () => {
      const { a, settle, close } = open()
      return { cache: a.cache, settle, close }
    }),
  ],
]

describe.each(suites)('memoryTransport, %s', (_, cases) => {
  it.each(cases.map(({ name, run }) => [name, run] as const))('%s', async (_name, run) => {
    await expect(run()).resolves.toBeUndefined()
  })
})
