/** A folder, and one process after another that works in it until it is killed. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'

/** What a process is told. */
export interface Order {
  readonly folder: string
  readonly effects: string
  readonly life: number
  readonly durability: 'process' | 'power'
  /** Whether the journal has a thread. */
  readonly thread: boolean
  /** Whether to end what there is, and to start nothing. */
  readonly finish: boolean
  /** Where to stand still, to be killed: at which mark of a kind. */
  readonly hold: Hold | undefined
}

export interface Hold {
  readonly at: 'called' | 'begins' | 'ends' | 'commits'
  readonly number: number
}

/** What a process was about to do when it was killed, by the last that it said. */
export const phases = {
  called: 'before the start of a body',
  begins: 'in a body',
  ends: 'after a body, before its commit',
  commits: 'during a commit',
} as const

export type Phase = (typeof phases)[Hold['at']] | 'between these' | 'while it began or recovered'

/** Processes that are killed in one folder. */
export class Lane {
  readonly folder: string
  readonly effects: string
  readonly #program: string
  readonly #journal: Pick<Order, 'durability' | 'thread'>
  #life = 0

  constructor(options: { folder: string; program: string } & Pick<Order, 'durability' | 'thread'>) {
    this.folder = join(options.folder, 'journal')
    this.effects = join(options.folder, 'effects')
    this.#program = options.program
    const { durability, thread } = options
    this.#journal = { durability, thread }
  }

  get lives(): number {
    return this.#life
  }

  /**
   * Starts a process and kills it: where it stands still, or `after` milliseconds since it went on with its flow runs; where
   * that is negative, so long after its start.
   *
   * @returns What it was about to do.
   */
  async kill(hold: Hold | undefined, after: number): Promise<Phase> {
    const child = this.#start(hold, false)
    if (after < 0) await delay(-after)
    else await Promise.race([child.said(hold === undefined ? 'goes on' : 'held'), child.ended])
    if (after > 0) await delay(after)
    child.kill()
    const { signal, said, errors } = await child.ended
    if (signal !== 'SIGKILL')
      throw new RangeError(`a process ended by itself:\n${errors}\n${said.slice(-20).join('\n')}`)
    const last = said.findLast((line) => line !== 'held') ?? ''
    if (!said.includes('goes on')) return 'while it began or recovered'
    return Object.hasOwn(phases, last) ? phases[last as Hold['at']] : 'between these'
  }

  /** A process that ends what there is. */
  async finish(): Promise<void> {
    const { signal, code, said, errors } = await this.#start(undefined, true).ended
    if (signal !== null || code !== 0 || said.at(-1) !== 'ended')
      throw new RangeError(`the last process did not end what there was (${signal ?? code}):\n${errors}`)
  }

  #start(hold: Hold | undefined, finish: boolean) {
    const order: Order = {
      folder: this.folder,
      effects: this.effects,
      life: ++this.#life,
      ...this.#journal,
      finish,
      hold,
    }
    const child = spawn(process.execPath, [this.#program, JSON.stringify(order)], {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    })
    const said = new Lines(child.stdio[3] as Readable)
    let errors = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (errors += text))
    const ended = once(child, 'close').then(([code, signal]) => ({
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
      said: said.lines,
      errors,
    }))
    return { said: (line: string) => said.heard(line), kill: () => child.kill('SIGKILL'), ended }
  }
}

/** Lines of a stream, and who waits for one. */
class Lines {
  readonly lines: string[] = []
  readonly #waiting = new Map<string, () => void>()
  #rest = ''

  constructor(stream: Readable) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      const lines = (this.#rest + text).split('\n')
      this.#rest = lines.pop() ?? ''
      for (const line of lines) {
        this.lines.push(line)
        this.#waiting.get(line)?.()
      }
    })
  }

  heard(line: string): Promise<void> {
    return new Promise((resolve) => {
      if (this.lines.includes(line)) resolve()
      else this.#waiting.set(line, resolve)
    })
  }
}
