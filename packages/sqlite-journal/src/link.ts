import { availableParallelism } from 'node:os'
import type { Worker } from 'node:worker_threads'
import { JournalError, InternalError } from '@troupe/core'
import { spawn } from './spawn.ts'
import type { Call, Failure, Read, Report, ThreadData, ThreadEvent, Told, Write } from './wires.ts'

/** What happens outside of any call. */
export interface LinkHost {
  commits(commits: Extract<ThreadEvent, { kind: 'commits' }>['commits']): void
  mail(mail: Extract<ThreadEvent, { kind: 'mail' }>['mail']): void
  committed(): void
}

interface Pending {
  readonly resolve: (value: never) => void
  readonly reject: (error: unknown) => void
  /** Called in the order in which things happened. */
  readonly answered: ((value: never) => void) | undefined
  readonly background: boolean
}

interface AskOptions<T> {
  readonly answered?: (value: T) => void
  /** Whether the process may end before it is answered. */
  readonly background?: boolean
}

/**
 * How long the event loop is kept turning for a single answer, in milliseconds: longer than a commit takes on a fast disk. To
 * wake a sleeping thread takes 20 to 60 µs; benchmarks/durable measures it.
 */
const awakeMs = 1
const hasOtherCores = availableParallelism() > 1

/** Bytes from which on a part of a message goes as it is, and is not copied. */
const ownTransfer = 32 * 1024

/**
 * The journal's end of its thread: gathers calls of one turn into one message, and starts a thread where there is none, also
 * after one has died.
 */
export class Link {
  readonly #data: ThreadData
  readonly #host: LinkHost
  readonly #nodes = new Set<string>()
  readonly #pending = new Map<number, Pending>()
  #worker: Worker | undefined
  #calls: Call[] = []
  #scheduled = false
  #lastId = 0
  #awakeUntil = 0
  /** Calls that keep the process alive. */
  #awaited = 0
  #told: Told | undefined
  #wanted = { commits: false, mail: false }
  #following = { commits: false, mail: false }

  constructor(data: Omit<ThreadData, 'told' | 'nodes'>, host: LinkHost) {
    this.#data = { ...data, told: undefined, nodes: [] }
    this.#host = host
  }

  /** Whether there is a thread, or calls that need one. */
  get started(): boolean {
    return this.#worker !== undefined || this.#calls.length > 0
  }

  ask<T>(ask: Write | Read, { answered, background = false }: AskOptions<T> = {}): Promise<T> {
    const id = ++this.#lastId
    if (ask.op === 'announce') this.#nodes.add(ask.node)
    if (ask.op === 'withdraw') this.#nodes.delete(ask.node)
    return new Promise<T>((resolve, reject) => {
      this.#pending.set(id, { resolve, reject, answered, background })
      if (!background && ++this.#awaited === 1) this.#worker?.ref()
      this.#calls.push({ id, ask })
      this.#schedule()
    })
  }

  /** Commits and messages are to be told from now on, or no longer. */
  follow(wanted: { commits: boolean; mail: boolean }): void {
    this.#wanted = wanted
    this.#schedule()
  }

  async end(): Promise<void> {
    const worker = this.#worker
    this.#worker = undefined
    if (worker === undefined) return
    // It ends itself: to be stopped in the middle of a call, the package libsql takes for a defect and ends the process.
    worker.ref()
    await new Promise((resolve) => worker.once('exit', resolve))
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(this.#flush)
  }

  readonly #flush = (): void => {
    this.#scheduled = false
    try {
      this.#worker ??= this.#start()
    } catch (error) {
      this.#calls = []
      this.#fail(error)
      return
    }
    const { commits, mail } = this.#wanted
    if (commits !== this.#following.commits || mail !== this.#following.mail) {
      this.#following = this.#wanted
      const refused = (): void => {
        // Asked again with the next call.
        this.#following = { commits: false, mail: false }
      }
      this.ask({ op: 'follow', commits, mail }, { background: true }).catch(refused)
      // It goes first.
      const last = this.#calls.pop()
      if (last !== undefined) this.#calls.unshift(last)
    }
    if (this.#calls.length === 0) return
    const { calls, transfer } = packed(this.#calls)
    this.#calls = []
    this.#worker.postMessage(calls, transfer)
    this.#awakeUntil = performance.now() + awakeMs
    if (hasOtherCores && this.#awaited === 1) this.#stayAwake()
  }

  /** A program that waits for one answer does not go to sleep for it at once. */
  readonly #stayAwake = (): void => {
    if (this.#awaited === 1 && performance.now() < this.#awakeUntil) setImmediate(this.#stayAwake)
  }

  #start(): Worker {
    const worker = spawn({ ...this.#data, told: this.#told, nodes: [...this.#nodes] })
    this.#following = { commits: false, mail: false }
    worker.on('message', (report: Report) => this.#report(report))
    const died = (facts: { readonly cause?: unknown; readonly exitCode?: number }): void => {
      if (this.#worker !== worker) return
      this.#worker = undefined
      const { folder } = this.#data
      const { cause, exitCode } = facts
      this.#fail(
        new JournalError('JOURNAL_UNAVAILABLE', `the thread of the journal in ${folder} has ended`, {
          ...('cause' in facts ? { cause } : undefined),
          details: { folder, reason: 'thread', exitCode },
        }),
      )
    }
    worker.on('error', (cause) => died({ cause }))
    worker.on('exit', (exitCode) => died({ exitCode }))
    if (this.#awaited > 0) worker.ref()
    return worker
  }

  #fail(error: unknown): void {
    const pending = [...this.#pending.values()]
    this.#pending.clear()
    this.#calls = []
    this.#awaited = 0
    for (const { reject } of pending) reject(error)
  }

  #report({ events }: Report): void {
    for (const event of events) {
      switch (event.kind) {
        case 'answer': {
          const pending = this.#settle(event.id)
          pending?.answered?.(event.value as never)
          pending?.resolve(event.value as never)
          break
        }
        case 'failed':
          this.#settle(event.id)?.reject(errorOf(event.failure))
          break
        case 'commits':
          this.#host.commits(event.commits)
          break
        case 'mail':
          this.#host.mail(event.mail)
          break
        case 'committed':
          this.#told = event.told
          this.#host.committed()
          break
      }
    }
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id)
    this.#pending.delete(id)
    if (pending?.background === false && --this.#awaited === 0) this.#worker?.unref()
    return pending
  }
}

/** The bytes of many small calls in one piece of memory, which changes hands. */
function packed(calls: Call[]): { calls: Call[]; transfer: ArrayBuffer[] } {
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

function errorOf({ code, message, details }: Failure): Error {
  if (code === 'INTERNAL') return new InternalError(message)
  return new JournalError(code, message, { details })
}
