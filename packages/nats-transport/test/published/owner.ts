/** Owners in processes of their own, to be killed. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { until } from '../faults/harness/until.ts'
import { buildProgram } from '../program.ts'

export interface OwnerOrder {
  readonly url: string
  readonly namespace: string
  readonly node: string
}

/** Beside the thread's entry, which it looks for there. */
const outfile = fileURLToPath(new URL(`../../dist/thread/publishing-${process.pid}.mjs`, import.meta.url))
const alive = new Set<ChildProcess>()
let built: Promise<unknown> | undefined

process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL')
  rmSync(outfile, { force: true })
})

export class Owner {
  /** Flow runs that it started and saw complete. */
  done = 0
  readonly #process: ChildProcess
  readonly #ended: Promise<unknown>

  private constructor(child: ChildProcess) {
    this.#process = child
    this.#ended = once(child, 'exit').then(() => alive.delete(child))
    child.on('message', (said) => {
      if (said === 'done') this.done++
    })
  }

  /** Resolves when it is there. */
  static async start(order: OwnerOrder): Promise<Owner> {
    built ??= buildProgram(new URL('owner-process.ts', import.meta.url), outfile)
    await built
    const child = fork(outfile, [JSON.stringify(order)], { execArgv: [] })
    alive.add(child)
    const owner = new Owner(child)
    await once(child, 'message')
    return owner
  }

  async hasDone(count: number): Promise<void> {
    await until(`${count} flow runs completed`, () => this.done >= count)
  }

  async kill(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#ended
  }

  /** It starts no more flow runs. */
  rest(): void {
    this.#process.send('rest')
  }

  async close(): Promise<void> {
    this.#process.send('close')
    await this.#ended
  }
}
