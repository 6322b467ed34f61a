import { hash } from 'node:crypto'

/**
 * Ids of spans, made of ids of runs: whoever goes on with a run knows them without being told, so that what one process exported is
 * part of what another one exports later.
 */

const length = 16

export function runSpanId(runId: string): string {
  return hash('sha256', `run ${runId}`).slice(0, length)
}

let lastKey = ''
let last = ''

export function attemptSpanId(runId: string, attempt: number): string {
  const key = `attempt ${attempt} ${runId}`
  // Of an attempt that submits many runs, each of which asks for it.
  if (key !== lastKey) {
    last = hash('sha256', key).slice(0, length)
    lastKey = key
  }
  return last
}

/** Of no span: stands where a parent must be that there is none of. */
export function absentSpanId(runId: string): string {
  return hash('sha256', `caller of ${runId}`).slice(0, length)
}
