import { JournalError, InternalError } from '@troupe/core'
import type { Death, Place, StartPlace } from './place.ts'
import type { Call, Failure, Read, Report, ThreadData, ThreadEvent, Told, Write } from './wires.ts'

/** What happens outside of any call. */
export interface LinkHost {
  commits(commits: Extract<ThreadEvent, { kind: 'commits' }>['commits']): void
  forgotten(flowRunIds: readonly string[]): void
  mail(mail: Extract<ThreadEvent, { kind: 'mail' }>['mail']): void
  committed(): void
}

interface Pending {
  readonly ask: Write | Read
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
 * The journal's end of where its calls are done: gathers those of one turn into one message, and starts a thread where there is
 * none, also after one has died.
 */
export class Link {
  readonly #data: ThreadData
  readonly #host: LinkHost
  readonly #nodes = new Set<string>()
  readonly #pending = new Map<number, Pending>()
  readonly #startPlace: StartPlace
  #place: Place | undefined
  #calls: Call[] = []
  #scheduled = false
  #lastId = 0
  /** Calls that keep the process alive. */
  #awaited = 0
  #told: Told | undefined
  #wanted = { commits: false, mail: false }
  #following = { commits: false, mail: false }

  constructor(data: Omit<ThreadData, 'told' | 'nodes'>, host: LinkHost, startPlace: StartPlace) {
    this.#data = { ...data, told: undefined, nodes: [] }
    this.#host = host
    this.#startPlace = startPlace
  }

  /** Whether the journal is open, or calls wait that need it. */
  get started(): boolean {
    return this.#place !== undefined || this.#calls.length > 0
  }

  ask<T>(ask: Write | Read, { answered, background = false }: AskOptions<T> = {}): Promise<T> {
    const id = ++this.#lastId
    return new Promise<T>((resolve, reject) => {
      this.#pending.set(id, { ask, resolve, reject, answered, background })
      if (!background && ++this.#awaited === 1) this.#place?.hold(true)
      this.#calls.push({ id, ask })
      this.#schedule()
    })
  }

  /** Commits and messages are to be told from now on, or no longer. */
  follow(wanted: { commits: boolean; mail: boolean }): void {
    this.#wanted = wanted
    this.#schedule()
  }

  /** After `close` was answered. What is not answered never will be. */
  async end(): Promise<void> {
    const place = this.#place
    this.#place = undefined
    await place?.end()
    const { folder } = this.#data
    this.#fail(
      new JournalError('ENGINE_CLOSED', `the journal in ${folder} was closed`, { details: { folder } }),
    )
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(this.#flush)
  }

  readonly #flush = (): void => {
    this.#scheduled = false
    if (this.#calls.length === 0 && this.#isFollowing()) return
    try {
      this.#place ??= this.#start()
    } catch (error) {
      this.#calls = []
      this.#fail(error)
      return
    }
    if (!this.#isFollowing()) {
      const { commits, mail } = this.#wanted
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
    const calls = this.#calls
    this.#calls = []
    this.#place.post(calls)
  }

  /** Whether told is what is wanted. */
  #isFollowing(): boolean {
    const [wanted, following] = [this.#wanted, this.#following]
    return wanted.commits === following.commits && wanted.mail === following.mail
  }

  #start(): Place {
    this.#following = { commits: false, mail: false }
    const place = this.#startPlace(
      { ...this.#data, told: this.#told, nodes: [...this.#nodes] },
      {
        report: (report) => this.#report(report),
        died: (death) => {
          if (this.#place !== place) return
          this.#place = undefined
          this.#fail(errorOfDeath(death, this.#data.folder))
        },
      },
    )
    place.hold(this.#awaited > 0)
    return place
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
          if (pending?.ask.op === 'announce') this.#nodes.add(pending.ask.node)
          if (pending?.ask.op === 'withdraw') this.#nodes.delete(pending.ask.node)
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
        case 'forgotten':
          this.#host.forgotten(event.flowRunIds)
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
    if (pending?.background === false && --this.#awaited === 0) this.#place?.hold(false)
    return pending
  }
}

function errorOfDeath({ reason, exitCode, ...rest }: Death, folder: string): JournalError {
  const what =
    reason === 'thread'
      ? `the thread of the journal in ${folder} has ended`
      : `the journal in ${folder} has come upon a defect of its own`
  return new JournalError('JOURNAL_UNAVAILABLE', what, { ...rest, details: { folder, reason, exitCode } })
}

function errorOf({ code, message, details }: Failure): Error {
  if (code === 'INTERNAL') return new InternalError(message)
  return new JournalError(code, message, { details })
}
