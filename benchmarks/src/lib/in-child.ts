import { fork, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Case } from './benchmark.ts'
import { enough, type Answered, type Asked } from './asked.ts'
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
export async function measureInChild(one: Case): Promise<Outcome> {
  const child = Child.start(one)
  if (child === undefined) return { absent: 'Node 24 could not be fetched' }
  const outcome = await child.measure(one)
  await child.end()
  return outcome
}

/**
 * Makes measurements one after the other, in as few processes as are needed: a new one where another binary or checkout is
 * asked for, or where one has failed. For what is not compared. Never rejects.
 */
export async function measureInFewChildren(
  cases: readonly Case[],
  told: (one: Case, outcome: Outcome) => void,
): Promise<void> {
  let child: Child | undefined
  for (const one of cases) {
    if (child?.fits(one) !== true) {
      await child?.end()
      child = Child.start(one)
    }
    told(one, (await child?.measure(one)) ?? { absent: 'Node 24 could not be fetched' })
  }
  await child?.end()
}

/** A process that makes measurements. */
class Child {
  readonly #process: ChildProcess
  readonly #place: string
  #stderr = ''
  #hasFailed = false
  readonly #ended: Promise<string>

  private constructor(execPath: string, entry: string, args: readonly string[]) {
    this.#place = `${execPath} ${entry}`
    this.#process = fork(entry, args, {
      execPath,
      execArgv: ['--expose-gc'],
      env: { ...process.env, NODE_OPTIONS: '' },
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    })
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-keptStderr)
    })
    this.#ended = new Promise((resolve) => {
      this.#process.once('error', (error) => resolve(error.message))
      this.#process.once('close', (code, signal) => resolve(`${signal ?? code}\n${this.#stderr}`))
    })
  }

  /** Undefined where its binary can't be had. */
  static start(one: Case): Child | undefined {
    const [execPath, entry] = placeOf(one)
    if (execPath === undefined) return undefined
    // Children of older commits take what they measure from there.
    const args = one.checkout === undefined ? [] : [one.measure, JSON.stringify(one.params)]
    return new Child(execPath, entry, args)
  }

  /** Whether this may make that measurement, too. */
  fits(one: Case): boolean {
    return !this.#hasFailed && placeOf(one).join(' ') === this.#place
  }

  async measure({ measure, params }: Case): Promise<Outcome> {
    const child = this.#process
    const limit = setTimeout(() => child.kill('SIGKILL'), limitMs)
    const answered = new Promise<Outcome>((resolve) => {
      child.once('message', (answer: Answered) =>
        resolve(isAbsent(answer) ? { absent: answer.absent } : { readings: answer }),
      )
      // Where it can't be sent the child has ended, which says why.
      child.send({ measure, params } satisfies Asked, () => undefined)
    })
    const failed = this.#ended.then((how): Outcome => ({ failure: `${measure} ended with ${how}` }))
    const outcome = await Promise.race([answered, failed])
    clearTimeout(limit)
    child.removeAllListeners('message')
    this.#hasFailed = 'failure' in outcome
    return outcome
  }

  /** What a measurement left running ends with it. Settles when nothing of it runs any more. */
  async end(): Promise<void> {
    // Not by `disconnect()`, after which there is no event `close`.
    if (this.#process.connected) this.#process.send(enough, () => undefined)
    await this.#ended
  }
}

function placeOf({ checkout, node24 = false }: Case): readonly [execPath: string | undefined, entry: string] {
  const execPath = node24 ? node24Path() : process.execPath
  return [execPath, checkout === undefined ? own : join(checkout, 'benchmarks', 'dist', 'lib', 'child.js')]
}

const isAbsent = (answered: Answered): answered is { readonly absent: string } =>
  typeof answered['absent'] === 'string'
