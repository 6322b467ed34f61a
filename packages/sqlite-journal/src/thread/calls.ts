import { mkdir, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Read, Write } from '../wires.ts'
import { Refusal } from './failures.ts'
import { fileName } from './folder.ts'
import { list } from './lists.ts'
import { forgetFamily } from './retention.ts'
import { summaryOf } from './runs.ts'
import type { Tables } from './tables.ts'

/** Does a call that writes; in a transaction. @returns Its answer. */
export function write(tables: Tables, ask: Write): unknown {
  switch (ask.op) {
    case 'append':
      return tables.entries.append(ask)
    case 'delete': {
      const run = tables.runs.find(ask.flowRunId)
      return run === undefined ? [] : forgetFamily(tables, run.id)
    }
    case 'putBlob':
      return tables.blobs.pin(ask.name, ask.bytes)
    case 'deleteBlob':
      return tables.blobs.unpin(ask.name)
    case 'send':
      return tables.mail.send(ask)
    case 'confirm':
      return tables.mail.confirm(ask.flowRunId, ask.message)
    case 'clear':
      return tables.mail.clear(ask.flowRunId)
    case 'putCache':
      return tables.cache.put(ask)
    case 'deleteCache':
      return tables.cache.delete(ask.key)
    case 'announce':
      return tables.nodes.announce(ask.node, ask.monotonic)
    case 'withdraw':
      return tables.nodes.withdraw(ask.node)
  }
}

const writing: ReadonlySet<string> = new Set<Write['op']>([
  'append',
  'delete',
  'putBlob',
  'deleteBlob',
  'send',
  'confirm',
  'clear',
  'putCache',
  'deleteCache',
  'announce',
  'withdraw',
])

export function isWrite(ask: Read | Write): ask is Write {
  return writing.has(ask.op)
}

/** Calls that read, and nothing else. */
type Query = Exclude<Read, { op: 'follow' | 'open' | 'sweep' | 'backup' | 'close' }>

/** Does a call that reads. @returns Its answer. */
export function read(tables: Tables, ask: Query): unknown {
  const { session } = tables
  return session.reading(() => {
    switch (ask.op) {
      case 'read':
        return tables.entries.read(ask.flowRunId, ask.from, ask.limit)
      case 'summary': {
        const run = tables.runs.find(ask.flowRunId)
        return run === undefined ? undefined : summaryOf(run, session.folder)
      }
      case 'list':
        tables.runs.assertComplete()
        return list(session, ask.query)
      case 'getBlob':
        return tables.blobs.get(ask.name)
      case 'pending':
        return tables.mail.pending(ask.flowRunId)
      case 'getCache':
        return tables.cache.get(ask.key)
      case 'gone':
        return tables.nodes.gone(ask.nodes, ask.monotonic)
    }
  })
}

/** Copies the journal as it is now into a folder that is empty or missing. */
export async function backup({ session }: Tables, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  if ((await readdir(folder)).length > 0) {
    throw new Refusal('JOURNAL_UNAVAILABLE', `${folder} has files; a copy needs a folder of its own`, {
      folder,
      reason: 'other files',
    })
  }
  const path = join(folder, fileName)
  session.sql('vacuum into ?').run(path)
  const file = await open(path, 'r+')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}
