import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { JournalError } from '@troupe/core'
import type { Place, PlaceHost } from './place.ts'
import type { Call, Report, ThreadData } from './wires.ts'

/** Bytes from which on a part of a message goes as it is, and is not copied. */
const ownTransfer = 32 * 1024

/** Calls are done on a thread of their own, which starts now. It does not keep the process alive. */
export function onThread(data: ThreadData, host: PlaceHost): Place {
  // Nothing of the program is for this thread: neither its loaders nor its arguments.
  const worker = new Worker(entryFile(data.folder), {
    workerData: data,
    execArgv: [],
    argv: [],
    name: 'troupe journal',
  })
  worker.unref()
  worker.on('message', (said: Report) => host.report(said))
  worker.on('error', (cause) => host.died({ reason: 'thread', cause }))
  worker.on('exit', (exitCode) => host.died({ reason: 'thread', exitCode }))
  return {
    post(calls) {
      const { calls: placed, transfer } = packed(calls)
      worker.postMessage(placed, transfer)
    },
    hold: (held) => (held ? worker.ref() : worker.unref()),
    async end() {
      // It ends itself: to be stopped in the middle of a call, the package libsql takes for a defect and ends the process.
      worker.ref()
      await new Promise((resolve) => worker.once('exit', resolve))
    },
  }
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
    'the thread of @troupe/sqlite-journal is not beside it; leave the package out of the bundle, or give `thread: false`',
    { details: { folder, reason: 'bundled' } },
  )
}

/** The bytes of many small calls in one piece of memory, which changes hands. */
function packed(calls: readonly Call[]): { calls: Call[]; transfer: ArrayBuffer[] } {
  let length = 0
  const transfer: ArrayBuffer[] = []
  const small = (bytes: Uint8Array): boolean => bytes.byteLength < ownTransfer
  for (const { ask } of calls) if ('bytes' in ask && small(ask.bytes)) length += ask.bytes.byteLength
  const all = new Uint8Array(length)
  let at = 0
  const place = (bytes: Uint8Array): Uint8Array => {
    if (!small(bytes)) return bytes
    all.set(bytes, at)
    return all.subarray(at, (at += bytes.byteLength))
  }
  const placed = calls.map((call) => {
    const { id, ask } = call
    return 'bytes' in ask ? { id, ask: { ...ask, bytes: place(ask.bytes) } } : call
  })
  if (length > 0) transfer.push(all.buffer)
  return { calls: placed, transfer }
}
