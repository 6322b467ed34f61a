import {
  blobsConformance,
  cacheConformance,
  journalConformance,
  mailboxConformance,
  nodesConformance,
  type ConformanceCase,
} from '@troupe/core/testing'
import { sqliteJournal } from '@troupe/sqlite-journal'
import { describe, expect, it } from 'vitest'
import { opened } from '../support.ts'

describe.each(['power', 'process'] as const)('sqliteJournal, durability %s', (durability) => {
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
    journalConformance(() => opened({ durability })),
  )
  suite(
    'blobs',
    blobsConformance(async () => {
      const { journal, close } = await opened({ durability })
      return { blobs: journal.blobs, close }
    }),
  )
  suite(
    'mailbox',
    mailboxConformance(async () => {
      const { journal, close } = await opened({ durability })
      return { mailbox: journal.mailbox, close }
    }),
  )
  suite(
    'nodes',
    nodesConformance(async () => {
      const { journal, path, close } = await opened({ durability })
      const other = sqliteJournal(path, { durability })
      const closeBoth = async (): Promise<void> => {
        await other.close()
        await close()
      }
      return { nodes: journal.nodes, others: other.nodes, close: closeBoth }
    }),
  )
  suite(
    'cache',
    cacheConformance(async () => {
      const { journal, close } = await opened({ durability })
      return { cache: journal.cache, close }
    }),
  )
})
