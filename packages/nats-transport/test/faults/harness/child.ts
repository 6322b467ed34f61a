/** Processes of a test: started, asked, stopped and killed. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Standstill } from './audit.ts'
import type { Ask, NodeOrder, Question, Refusal, Said, Start } from './orders.ts'
import type { Done } from './plan-tasks.ts'
import { within } from './until.ts'
import { buildProgram } from '../../program.ts'

/** Where programs are built: in this package, so that they find what it depends on. */
const folder = fileURLToPath(new URL(`../../../dist/faults-${process.pid}/`, import.meta.url))
/** Servers that are killed again and again answer seldom. */
const longestStartMs = 180_000
const alive = new Set<ChildProcess>()
let built: Promise<string> | undefined

process.once('exit', () => {
  // One that was stopped ends as well.
  for (const child of alive) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

/** Nodes run what is built of the packages: only their own program is made here. */
async function program(): Promise<string> {
  mkdirSync(folder, { recursive: true })
  const outfile = join(folder, 'node.mjs')
  return buildProgram(new URL('node-process.ts', import.meta.url), outfile)
}

/** A node that runs, or ran, in a process of its own. */
export class Child {
  readonly order: NodeOrder
  /** What went wrong there that no caller heard of. */
  readonly errors: string[] = []
  /** When it stood still, by SIGSTOP. */
  readonly standstills: Standstill[] = []
  readonly #process: ChildProcess
  readonly #answers = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()
  readonly #ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
  #asked = 0
  #output = ''
  #isReady = false
  #stoppedAt: number | undefined

  private constructor(child: ChildProcess, order: NodeOrder) {
    this.order = order
    this.#process = child
    this.#ended = once(child, 'exit').then(([code, signal]) => {
      alive.delete(child)
      for (const { reject } of this.#answers.values()) reject(new RangeError(this.#whyItEnded()))
      this.#answers.clear()
      return { code: code as number | null, signal: signal as NodeJS.Signals | null }
    })
    child.on('message', (said: Said) => this.#heard(said))
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (this.#output += text))
  }

  /** Resolves when the node is there, connected. */
  static async start(order: NodeOrder, env: Readonly<Record<string, string>> = {}): Promise<Child> {
    built ??= program()
    const process_ = fork(await built, [JSON.stringify(order)], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      serialization: 'advanced',
      // Not those of a test runner.
      execArgv: [],
      env: { PATH: process.env['PATH'], ...env },
    })
    alive.add(process_)
    const child = new Child(process_, order)
    const ready = new Promise<void>((resolve, reject) => {
      process_.on('message', (said: Said) => {
        if (said.said === 'ready') resolve()
      })
      void child.#ended.then(() => reject(new RangeError(child.#whyItEnded())))
    })
    await within(`node ${order.node} is ready`, ready, longestStartMs).catch((error: unknown) => {
      const heard = `${child.#output}\n${child.errors.join('\n')}`
      throw new RangeError(`${(error as Error).message}\n${heard}`, { cause: error })
    })
    child.#isReady = true
    return child
  }

  get node(): string {
    return this.order.node
  }

  get running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null
  }

  /** All that it printed. */
  get output(): string {
    return this.#output
  }

  #whyItEnded(): string {
    const { exitCode, signalCode } = this.#process
    const when = this.#isReady ? '' : ' before it was ready'
    return `node ${this.node} ended (${signalCode ?? exitCode})${when}:\n${this.#output}\n${this.errors.join('\n')}`
  }

  #heard(said: Said): void {
    if (said.said === 'error') this.errors.push(said.error)
    if (said.said !== 'answer' && said.said !== 'refusal') return
    const answer = this.#answers.get(said.number)
    this.#answers.delete(said.number)
    if (said.said === 'answer') answer?.resolve(said.value)
    else answer?.reject(new RefusedError(said.error))
  }

  ask(ask: Ask): Promise<unknown> {
    const number = ++this.#asked
    const answer = new Promise((resolve, reject) => {
      this.#answers.set(number, { resolve, reject })
      const question: Question = { ...ask, number }
      this.#process.send(question, (error) => {
        if (error !== null) reject(error)
      })
    })
    return within(`${this.node} answers ${JSON.stringify(ask)}`, answer, 90_000)
  }

  /** @returns Id of the flow run. */
  async start(start: Start): Promise<string> {
    return (await this.ask({ do: 'start', ...start })) as string
  }

  async result(id: string): Promise<readonly Done[]> {
    return (await this.ask({ do: 'result', id })) as readonly Done[]
  }

  /** Sends a signal; waits for the end of the process where it is SIGKILL. */
  async kill(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    if (signal === 'SIGSTOP') this.#stoppedAt ??= Date.now()
    this.#process.kill(signal)
    if (signal === 'SIGCONT' && this.#stoppedAt !== undefined) {
      this.standstills.push({ node: this.node, from: this.#stoppedAt, to: Date.now() })
      this.#stoppedAt = undefined
    }
    if (signal === 'SIGKILL') await this.#ended
  }

  ended(): Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }> {
    return within(`${this.node} ends`, this.#ended)
  }
}

/** What a node was asked and refused. */
class RefusedError extends Error {
  readonly code: unknown

  constructor({ name, message, code }: Refusal) {
    super(message)
    this.name = name
    this.code = code
  }
}
