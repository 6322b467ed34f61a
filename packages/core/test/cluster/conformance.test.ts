import { memoryTransport } from '@troupe/core'
import {
  cacheConformance,
  clusterNodesConformance,
  journalConformance,
  mailboxConformance,
  nodesConformance,
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
      const { a, b, settle } = open()
      return { journal: a.journal, others: b.journal, settle }
    }),
  ],
  [
    'mailbox',
    mailboxConformance(async () => {
      const { a, b, settle } = open()
      return { mailbox: a.mailbox, others: b.mailbox, settle }
    }),
  ],
  [
    'nodes',
    nodesConformance(async () => {
      const { a, b, settle } = open()
      return { nodes: a.nodes, others: b.nodes, settle }
    }),
  ],
  [
    'nodes of a cluster',
    clusterNodesConformance(async () => {
      const { a, b, settle, crash, leave } = open()
      return { nodes: a.nodes, name: 'a', others: b.nodes, othersName: 'b', settle, crash, leave }
    }),
  ],
  [
    'queue',
    queueConformance(async () => {
      const { a, b, settle, crash, leave } = open()
      return { queue: a.queue, others: b.queue, settle, crash, leave }
    }),
  ],
  [
    'register',
    registerConformance(async () => {
      const { a, b, settle } = open()
      return { register: a.register, others: b.register, settle }
    }),
  ],
  [
    'cache',
    cacheConformance(async () => {
      const { a, settle } = open()
      return { cache: a.cache, settle }
    }),
  ],
]

describe.each(suites)('memoryTransport, %s', (_, cases) => {
  it.each(cases.map(({ name, run }) => [name, run] as const))('%s', async (_name, run) => {
    await expect(run()).resolves.toBeUndefined()
  })
})
