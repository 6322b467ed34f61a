import { fork } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Case } from './benchmark.ts'
import type { Readings } from './measure.ts'
import { node24Path } from './node24.ts'

/** The compiled entry, for the tests too, which run from source. */
const own = fileURLToPath(new URL('../../dist/lib/child.js', import.meta.url))
const limitMs = 10 * 60_000
const keptStderr = 2_000

/** What one round of one case gave. */
export type Outcome =
  | { readonly readings: Readings }
  | { readonly failure: string }
  /** Something that it needs is not on this machine. */
  | { readonly absent: string }

/**
 * Makes one measurement in a fresh process of this very Node binary, with its default heap.
 *
 * Never rejects: a child that throws, runs out of memory or takes longer than ten minutes is an outcome.
 */
export async function measureInChild({ measure, params, checkout, node24 = false }: Case): Promise<Outcome> {
  const execPath = node24 ? node24Path() : process.execPath
  if (execPath === undefined) return { absent: 'Node 24 could not be fetched' }
  const entry = checkout === undefined ? own : join(checkout, 'benchmarks', 'dist', 'lib', 'child.js')
  const child = fork(entry, [measure, JSON.stringify(params)], {
    execPath,
    execArgv: ['--expose-gc'],
    env: { ...process.env, NODE_OPTIONS: '' },
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    timeout: limitMs,
    killSignal: 'SIGKILL',
  })
  let stderr = ''
  let answer: Readings | { readonly absent: string } | undefined
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-keptStderr)
  })
  child.on('message', (message) => {
    answer = message as Readings | { readonly absent: string }
  })
  return new Promise((resolve) => {
    child.on('error', (error) => resolve({ failure: error.message }))
    child.on('close', (code, signal) => {
      if (answer === undefined) resolve({ failure: `${measure} ended with ${signal ?? code}\n${stderr}` })
      else if (isAbsent(answer)) resolve({ absent: answer.absent })
      else resolve({ readings: answer })
    })
  })
}

const isAbsent = (answer: Readings | { readonly absent: string }): answer is { readonly absent: string } =>
  typeof answer['absent'] === 'string'
