import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { JournalError } from '@troupe/core'
import type { ThreadData } from './wires.ts'

/** Starts the journal's thread. It does not keep the process alive. */
export function spawn(data: ThreadData): Worker {
  // Nothing of the program is for this thread: neither its loaders nor its arguments.
  const worker = new Worker(entryFile(data.folder), {
    workerData: data,
    execArgv: [],
    argv: [],
    name: 'troupe journal',
  })
  worker.unref()
  return worker
}

function entryFile(folder: string): URL {
  // Undefined in a bundle in CommonJS.
  const own = (import.meta as { url?: string }).url
  if (own !== undefined) {
    // From source there is nothing that a thread could load: what was built of it is beside it.
    const entry = new URL(own.endsWith('.ts') ? '../dist/thread/entry.js' : './thread/entry.js', own)
    if (existsSync(fileURLToPath(entry))) return entry
  }
  throw new JournalError(
    'JOURNAL_UNAVAILABLE',
    'the thread of @troupe/sqlite-journal is not beside it; leave the package out of the bundle, as one with binaries',
    { details: { folder, reason: 'bundled' } },
  )
}
