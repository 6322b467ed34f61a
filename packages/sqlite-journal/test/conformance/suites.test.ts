import {
  blobsConformance,
  cacheConformance,
  journalConformance,
  mailboxConformance,
  nodesConformance,
  type ConformanceCase,
} from '@troupe/core/testing'
import { sqliteJournal, type SqliteJournalOptions } from '@troupe/sqlite-journal'
import { describe, expect, it } from 'vitest'
import { opened } from '../support.ts'

const kinds: readonly SqliteJournalOptions[] = [
  { durability: 'power' },
  { durability: 'process' },
  { durability: 'process', thread: false },
]

describe.each(kinds.map((options) => [JSON.stringify(options), options] as const))(
  'sqliteJournal, %s',
  (_, options) => {
    const suite = (name: string, cases: readonly ConformanceCase[]): void => {
      it.each(cases.map(({ name: claim, run }) => [name, claim, run] as const))(
        '%s: %s',
        async (_name, _claim, run) => {
          await expect(run()).resolves.toBeUndefined()
        },
      )
    }
    suite(
      'journal',
      journalConformance(() => opened(options)),
    )
    suite(
      'blobs',
      blobsConformance(async () => {
        const { journal, close } = await opened(options)
        return { blobs: journal.blobs, close }
      }),
    )
    suite(
      'mailbox',
      mailboxConformance(async () => {
        const { journal, close } = await opened(options)
        return { mailbox: journal.mailbox, close }
      }),
    )
    suite(
      'nodes',
      nodesConformance(async () => {
        const { journal, path, close } = await opened(options)
        const other = sqliteJournal(path, options)
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
        const { journal, close } = await opened(options)
        return { cache: journal.cache, close }
      }),
    )
  },
)
