import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { until } from '../faults/harness/until.ts'
import type { HolderOrder, HolderQuestion, HolderSaid } from './holder-orders.ts'
import { buildProgram } from '../program.ts'

/** Beside the thread's entry, which it looks for there. */
const outfile = fileURLToPath(new URL(`../../dist/thread/holder-${process.pid}.mjs`, import.meta.url))
const alive = new Set<ChildProcess>()
let built: Promise<unknown> | undefined

process.once('exit', () => {
  // One that was stopped ends as well.
  for (const child of alive) child.kill('SIGKILL')
  rmSync(outfile, { force: true })
})

/** A node in a process of its own. */
export class Holder {
  readonly said: HolderSaid[] = []
  readonly #process: ChildProcess
  readonly #ended: Promise<unknown>

  private constructor(child: ChildProcess) {
    this.#process = child
    this.#ended = once(child, 'exit').then(() => alive.delete(child))
    child.on('message', (said: HolderSaid) => this.said.push(said))
  }

  static async start(order: HolderOrder): Promise<Holder> {
    built ??= buildProgram(new URL('holder-process.ts', import.meta.url), outfile)
    await built
    const child = fork(outfile, [JSON.stringify(order)], { execArgv: [], serialization: 'advanced' })
    alive.add(child)
    const holder = new Holder(child)
    await until('the holder is ready', () => holder.has('ready'))
    return holder
  }

  has(said: HolderSaid['said']): boolean {
    return this.said.some((one) => one.said === said)
  }

  get delivered(): { readonly id: string; readonly repeated: boolean }[] {
    return this.said.flatMap((one) => (one.said === 'delivered' ? [one] : []))
  }

  get ids(): string[] {
    return this.delivered.map(({ id }) => id)
  }

  ask(question: HolderQuestion): void {
    this.#process.send(question)
  }

  /** Asks, and waits until it was done. */
  async asked(question: HolderQuestion): Promise<void> {
    const answers = (): number => this.said.filter(({ said }) => said === 'answer').length
    const before = answers()
    this.ask(question)
    await until(`the holder does: ${question.do}`, () => answers() > before)
  }

  /** Waits for the end of the process where it is SIGKILL. */
  async kill(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT' = 'SIGKILL'): Promise<void> {
    this.#process.kill(signal)
    if (signal === 'SIGKILL') await this.#ended
  }
}
