import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { JournalError } from '@troupe/core'
import type { ThreadData } from './wires.ts'

/** Starts the thread that a node's presence depends on. It does not keep the process alive. */
export function spawn(data: ThreadData): Worker {
  const worker = new Worker(entryFile(), {
    workerData: data,
    // Nothing of the program is for this thread, neither its loaders nor its arguments; and it needs no engine.
    execArgv: ['--conditions=@troupe/thread'],
    argv: [],
    name: 'troupe presence',
  })
  worker.unref()
  return worker
}

function entryFile(): URL {
  // Undefined in a bundle in CommonJS.
  const own = (import.meta as { url?: string }).url
  if (own !== undefined) {
    // From source there is nothing that a thread could load: what was built of it is beside it.
    const entry = new URL(own.endsWith('.ts') ? '../../dist/thread/entry.js' : './entry.js', own)
    if (existsSync(fileURLToPath(entry))) return entry
  }
  throw new JournalError(
    'TRANSPORT_UNAVAILABLE',
    'the thread of @troupe/nats-transport is not beside it; leave the package out of the bundle',
    { details: { reason: 'bundled' } },
  )
}
