import type { Call, Read, Report, ThreadData, ThreadEvent, Told, Write } from '../wires.ts'
import { backup, isWrite, read, write } from './calls.ts'
import { Session } from './connection.ts'
import { loadDriver, type Driver } from './driver.ts'
import { failureOf, isBusy, isOfDisk, Refusal } from './failures.ts'
import { Follower } from './follower.ts'
import { beatMs } from './nodes.ts'
import { sweep } from './retention.ts'
import { tablesOf, type Tables } from './tables.ts'

/** Appends per transaction at most. */
const largestGroup = 5_000
/** Bytes per transaction, beyond which no further append is taken. */
const largestGroupBytes = 16 * 1024 * 1024

/** Who asks: the journal, from another thread or from this one. */
export interface Asker {
  /** Calls that have arrived, and were not given to `take` yet; undefined where there are none. */
  more(): readonly Call[] | undefined
  report(report: Report): void
  /** A turn of the event loop. */
  turn(): Promise<void>
  /** The journal was closed. */
  ended(): void
}

interface Waiting<Ask> {
  readonly id: number
  readonly ask: Ask
}

/** All work on the database, one thing after the other: on a thread of its own, or on that of the engine. */
export class Service {
  readonly #asker: Asker
  readonly #data: ThreadData
  readonly #writes: Waiting<Write>[] = []
  readonly #reads: Waiting<Read>[] = []
  #driver: Driver | undefined
  #tables: Tables | undefined
  #follower: Follower | undefined
  #sweeping: { readonly id: number; readonly steps: ReturnType<typeof sweep> } | undefined
  #beat: NodeJS.Timeout | undefined
  #running = false
  #closed = false
  #opening: Promise<Tables | undefined> | undefined
  /** How far listeners were told when the file was closed. */
  #told: Told | undefined

  constructor(data: ThreadData, asker: Asker) {
    this.#data = data
    this.#asker = asker
    this.#told = data.told
  }

  /** Does calls. @returns Resolves when nothing is left to do; never rejects unless there is a defect here. */
  async take(calls: readonly Call[]): Promise<void> {
    this.#sort(calls)
    if (this.#closed) this.#report(this.#refuseRest())
    else await this.#run()
  }

  /** After a defect: lets go of what it has, and does nothing any more. */
  abandon(): void {
    this.#closed = true
    this.#writes.length = 0
    this.#reads.length = 0
    this.#sweeping = undefined
    clearInterval(this.#beat)
    this.#follower?.close()
    try {
      this.#tables?.session.close()
    } catch {
      // Of what is to be told there is more already.
    }
    this.#tables = undefined
  }

  #sort(calls: readonly Call[]): void {
    for (const { id, ask } of calls) {
      if (isWrite(ask)) this.#writes.push({ id, ask })
      else this.#reads.push({ id, ask })
    }
  }

  /** Takes what has arrived meanwhile without waiting for a turn of the event loop. */
  #takeMore(): void {
    for (let calls = this.#asker.more(); calls !== undefined; calls = this.#asker.more()) this.#sort(calls)
  }

  async #run(): Promise<void> {
    if (this.#running) return
    this.#running = true
    try {
      for (;;) {
        this.#takeMore()
        if (this.#closed) return
        if (this.#writes.length === 0 && this.#reads.length === 0 && this.#sweeping === undefined) return
        if (this.#tables?.session.outdated() === true) this.#reopen()
        const tables = this.#tables ?? (await this.#open())
        if (tables !== undefined) {
          if (this.#writes.length > 0) this.#writeGroup(tables)
          else if (this.#reads.length > 0) await this.#readOne(tables)
          else this.#sweepOn()
        }
        // Timers and file events get on, too.
        if (this.#writes.length + this.#reads.length > 0 || this.#sweeping !== undefined)
          await this.#asker.turn()
      }
    } finally {
      this.#running = false
    }
  }

  /** Once at a time. */
  async #open(): Promise<Tables | undefined> {
    this.#opening ??= this.#openAnew()
    try {
      return await this.#opening
    } finally {
      this.#opening = undefined
    }
  }

  /** Opens the journal; where that fails, so do all calls that wait. The next call tries again. */
  async #openAnew(): Promise<Tables | undefined> {
    try {
      this.#driver ??= await loadDriver(this.#data.driver)
      const session = await Session.open(this.#driver, this.#data)
      const tables = tablesIn(session, this.#data)
      const follower = new Follower(
        { session, entries: tables.entries, mail: tables.mail },
        { pollMs: this.#data.pollMs, told: this.#told, look: () => this.#look() },
      )
      session.othersWrote = () => {
        tables.runs.forget()
        follower.othersWrote()
      }
      this.#tables = tables
      this.#follower = follower
      this.#keepBeating(tables)
      return tables
    } catch (error) {
      const calls = [...this.#writes.splice(0), ...this.#reads.splice(0)]
      this.#report(
        calls.map(({ id, ask }) => (ask.op === 'close' ? answer(id, undefined) : this.#failed(id, error))),
      )
      if (calls.some(({ ask }) => ask.op === 'close')) {
        this.#closed = true
        this.#asker.ended()
      }
      return undefined
    }
  }

  /** The file is opened anew. */
  #reopen(): void {
    this.#told = this.#follower?.told
    this.#follower?.close()
    this.#tables?.session.close()
    this.#tables = undefined
  }

  #nextGroup(): Waiting<Write>[] {
    let bytes = 0
    let size = 0
    for (const { ask } of this.#writes) {
      size++
      if ('bytes' in ask) bytes += ask.bytes.byteLength
      if (ask.op === 'append') for (const blob of ask.blobs) bytes += blob.bytes.byteLength
      if (bytes >= largestGroupBytes || size >= largestGroup) break
    }
    return this.#writes.splice(0, size)
  }

  #writeGroup(tables: Tables): void {
    const group = this.#nextGroup()
    if (this.#data.readOnly) {
      const { folder } = this.#data
      const refusal = new Refusal(
        'JOURNAL_UNAVAILABLE',
        `the journal in ${folder} was opened with \`readOnly\``,
        {
          folder,
          reason: 'read-only',
        },
      )
      return this.#report(group.map(({ id }) => this.#failed(id, refusal)))
    }
    const events = this.#transaction(tables, group)
    if (events !== undefined) {
      this.#report(events)
      return
    }
    // One of them can't be written, and the others are not to suffer for it.
    for (const one of group) this.#report(this.#transaction(tables, [one]) ?? [])
  }

  /** @returns What came of it; undefined where a smaller transaction may come further. */
  #transaction(tables: Tables, group: readonly Waiting<Write>[]): ThreadEvent[] | undefined {
    const follower = this.#follower
    const before = follower?.told
    try {
      const { events, newest } = tables.session.writing(() => {
        const events: ThreadEvent[] = []
        follower?.news(events)
        for (const { id, ask } of group) events.push(this.#written(tables, id, ask))
        follower?.mailNews(events)
        return { events, newest: before?.commits === undefined ? 0 : tables.entries.newest() }
      })
      follower?.pass(newest)
      this.#keepBeating(tables)
      events.push({ kind: 'committed', told: follower?.told ?? { commits: undefined, mail: undefined } })
      return events
    } catch (error) {
      tables.runs.forget()
      if (before !== undefined) follower?.restore(before)
      if (group.length > 1 && !isOfDisk(error) && !isBusy(error)) return undefined
      return group.map(({ id }) => this.#failed(id, error))
    }
  }

  #written(tables: Tables, id: number, ask: Write): ThreadEvent {
    try {
      return answer(id, write(tables, ask))
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      // Refused before anything was written; a row in memory may have been changed.
      tables.runs.forget()
      return this.#failed(id, error)
    }
  }

  async #readOne(tables: Tables): Promise<void> {
    const next = this.#reads.shift()
    if (next === undefined) return
    const { id, ask } = next
    try {
      switch (ask.op) {
        case 'open':
          return this.#report([answer(id, undefined)])
        case 'follow':
          tables.session.reading(() => this.#follower?.follow(ask.commits, ask.mail))
          return this.#report([answer(id, undefined)])
        case 'sweep':
          return this.#startSweep(tables, id, ask)
        case 'backup':
          await backup(tables, ask.folder)
          return this.#report([answer(id, undefined)])
        case 'close':
          return this.#end(tables, id)
        default:
          return this.#report([answer(id, read(tables, ask))])
      }
    } catch (error) {
      this.#report([this.#failed(id, error)])
    }
  }

  #startSweep(tables: Tables, id: number, ask: Extract<Read, { op: 'sweep' }>): void {
    if (this.#sweeping === undefined) {
      this.#sweeping = { id, steps: sweep(tables, ask) }
      return
    }
    // One after the other.
    this.#reads.push({ id, ask })
    this.#sweepOn()
  }

  #sweepOn(): void {
    const sweeping = this.#sweeping
    if (sweeping === undefined) return
    const { id, steps } = sweeping
    try {
      const step = steps.next()
      if (step.done !== true) {
        const flowRunIds = step.value ?? []
        if (flowRunIds.length > 0) this.#report([{ kind: 'forgotten', flowRunIds }])
        return
      }
      this.#sweeping = undefined
      this.#report([answer(id, step.value)])
    } catch (error) {
      this.#sweeping = undefined
      this.#report([this.#failed(id, error)])
    }
  }

  /** Looks for what other processes have committed. */
  #look(): void {
    const [tables, follower] = [this.#tables, this.#follower]
    if (tables === undefined || follower === undefined) return
    const events: ThreadEvent[] = []
    const before = follower.told
    try {
      if (tables.session.outdated()) {
        this.#reopen()
        void this.#open()
        return
      }
      tables.session.reading(() => follower.news(events))
    } catch {
      // The next look tells it; a call on the journal says what is wrong.
      follower.restore(before)
      return
    }
    if (events.length > 0) this.#report([...events, { kind: 'committed', told: follower.told }])
  }

  #keepBeating(tables: Tables): void {
    if (!tables.nodes.beats) {
      clearInterval(this.#beat)
      this.#beat = undefined
      return
    }
    this.#beat ??= setInterval(() => {
      try {
        tables.session.writing(() => tables.nodes.beat(), { patient: false })
      } catch {
        // A beat that is missed is told by its silence; the next one comes.
      }
    }, beatMs).unref()
  }

  /** The journal is closed: what waits still is refused. */
  #end(tables: Tables, id: number): void {
    this.#closed = true
    const events = this.#refuseRest()
    try {
      this.#close(tables)
      events.push(answer(id, undefined))
    } catch (error) {
      events.push(this.#failed(id, error))
    }
    this.#report(events)
    this.#asker.ended()
  }

  #refuseRest(): ThreadEvent[] {
    const { folder } = this.#data
    const refusal = new Refusal('ENGINE_CLOSED', `the journal in ${folder} was closed`, { folder })
    const rest = [...this.#writes.splice(0), ...this.#reads.splice(0)]
    if (this.#sweeping !== undefined) rest.push({ id: this.#sweeping.id, ask: { op: 'open' } })
    this.#sweeping = undefined
    return rest.map(({ id }) => this.#failed(id, refusal))
  }

  #close(tables: Tables): void {
    clearInterval(this.#beat)
    this.#beat = undefined
    this.#follower?.close()
    try {
      if (tables.nodes.beats) tables.session.writing(() => tables.nodes.withdrawAll())
    } finally {
      tables.session.close()
      this.#tables = undefined
    }
  }

  #failed(id: number, error: unknown): ThreadEvent {
    return { kind: 'failed', id, failure: failureOf(error, this.#data.folder) }
  }

  #report(events: readonly ThreadEvent[]): void {
    if (events.length > 0) this.#asker.report({ events })
  }
}

function answer(id: number, value: unknown): ThreadEvent {
  return { kind: 'answer', id, value }
}

/** Closes the session where its tables can't be read. */
function tablesIn(session: Session, data: ThreadData): Tables {
  try {
    return tablesOf(session, data)
  } catch (error) {
    session.close()
    throw error
  }
}
