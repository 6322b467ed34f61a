import { fork } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Case } from './benchmark.ts'
import type { Readings } from './measure.ts'

/** The compiled entry, for the tests too, which run from source. */
const own = fileURLToPath(new URL('../../dist/lib/child.js', import.meta.url))
const limitMs = 10 * 60_000
const keptStderr = 2_000

/** What one round of one case gave. */
export type Outcome = { readonly readings: Readings } | { readonly failure: string }

/**
 * Makes one measurement in a fresh process of this very Node binary, with its default heap.
 *
 * Never rejects: a child that throws, runs out of memory or takes longer than ten minutes is an outcome.
 */
export function measureInChild({ measure, params, checkout }: Case): Promise<Outcome> {
  const entry = checkout === undefined ? own : join(checkout, 'benchmarks', 'dist', 'lib', 'child.js')
  const child = fork(entry, [measure, JSON.stringify(params)], {
    execArgv: ['--expose-gc'],
    env: { ...process.env, NODE_OPTIONS: '' },
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    timeout: limitMs,
    killSignal: 'SIGKILL',
  })
  let stderr = ''
  let readings: Readings | undefined
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-keptStderr)
  })
  child.on('message', (message) => {
    readings = message as Readings
  })
  return new Promise((resolve) => {
    child.on('error', (error) => resolve({ failure: error.message }))
    child.on('close', (code, signal) => {
      resolve(readings ? { readings } : { failure: `${measure} ended with ${signal ?? code}\n${stderr}` })
    })
  })
}
