import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Heard, ServiceOrder } from './service-orders.ts'
import { buildProgram } from '../program.ts'

/** In this package, so that it finds what it depends on: what is built. */
const folder = fileURLToPath(new URL(`../../dist/events-${process.pid}/`, import.meta.url))
const alive = new Set<ChildProcess>()
let built: Promise<string> | undefined

process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

async function program(): Promise<string> {
  mkdirSync(folder, { recursive: true })
  const outfile = join(folder, 'service.mjs')
  return buildProgram(new URL('service-process.ts', import.meta.url), outfile)
}

/** A service in a process of its own. */
export class Service {
  readonly errors: string[] = []
  readonly statuses: Extract<Heard, { said: 'status' }>[] = []
  readonly #child: ChildProcess
  readonly #ended: Promise<unknown>
  #output = ''

  private constructor(child: ChildProcess) {
    this.#child = child
    this.#ended = once(child, 'exit').finally(() => alive.delete(child))
    child.on('message', (heard: Heard) => {
      if (heard.said === 'error') this.errors.push(heard.error)
      else this.statuses.push(heard)
    })
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (this.#output += text))
  }

  static async start(order: ServiceOrder): Promise<Service> {
    built ??= program()
    const child = fork(await built, [JSON.stringify(order)], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      serialization: 'advanced',
      execArgv: ['--expose-gc'],
      env: { PATH: process.env['PATH'] },
    })
    alive.add(child)
    return new Service(child)
  }

  /** Events that it received, as far as it has said. */
  get received(): number {
    return this.statuses.at(-1)?.received ?? 0
  }

  /** All that it printed. */
  get output(): string {
    return this.#output
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
  }

  /** Lets it close its engine. @returns Its exit code */
  async end(): Promise<unknown> {
    this.#child.send('end')
    await this.#ended
    return this.#child.exitCode
  }
}
