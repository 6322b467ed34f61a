/** What the journal's thread runs: all work on the database, one thing after the other. */
import { availableParallelism } from 'node:os'
import { parentPort, receiveMessageOnPort, workerData, type MessagePort } from 'node:worker_threads'
import type { Call, Read, Report, ThreadData, ThreadEvent, Told, Write } from '../wires.ts'
import { backup, isWrite, read, write } from './calls.ts'
import { Session } from './connection.ts'
import { loadDriver, type Driver } from './driver.ts'
import { failureOf, isOfDisk, Refusal } from './failures.ts'
import { Follower } from './follower.ts'
import { beatMs } from './nodes.ts'
import { sweep } from './retention.ts'
import { tablesOf, type Tables } from './tables.ts'

/** Appends per transaction at most. */
const largestGroup = 5_000
/** Bytes per transaction, beyond which no further append is taken. */
const largestGroupBytes = 16 * 1024 * 1024

/**
 * How long the thread stays awake after a single append, in milliseconds. To wake a sleeping thread takes 20 to 60 µs, as long
 * as all the work of a step; benchmarks/durable measures it.
 */
const awakeMs = 0.3
const hasOtherCores = availableParallelism() > 1

interface Waiting<Ask> {
  readonly id: number
  readonly ask: Ask
}

class JournalThread {
  readonly #port: MessagePort
  readonly #data: ThreadData
  readonly #writes: Waiting<Write>[] = []
  readonly #reads: Waiting<Read>[] = []
  #driver: Driver | undefined
  #tables: Tables | undefined
  #follower: Follower | undefined
  #sweeping: { readonly id: number; readonly steps: Generator<undefined, unknown> } | undefined
  #beat: NodeJS.Timeout | undefined
  #running = false
  /** Whether the last transaction was a single append. */
  #isStepping = false
  /** How far listeners were told when the file was closed. */
  #told: Told | undefined

  constructor(port: MessagePort, data: ThreadData) {
    this.#port = port
    this.#data = data
    this.#told = data.told
    port.on('message', (calls: readonly Call[]) => {
      this.#take(calls)
      void this.#run()
    })
  }

  #take(calls: readonly Call[]): void {
    for (const { id, ask } of calls) {
      if (isWrite(ask)) this.#writes.push({ id, ask })
      else this.#reads.push({ id, ask })
    }
  }

  /** Takes what has arrived meanwhile without waiting for a turn of the event loop. */
  #takeMore(): void {
    for (;;) {
      const received = receiveMessageOnPort(this.#port) as { readonly message: readonly Call[] } | undefined
      if (received === undefined) return
      this.#take(received.message)
    }
  }

  /** Waits for the next step of a flow run that does one after the other, for a moment, without going to sleep. */
  #nextComesSoon(): boolean {
    if (!this.#isStepping) return false
    this.#isStepping = false
    const end = performance.now() + awakeMs
    do {
      this.#takeMore()
      if (this.#writes.length > 0 || this.#reads.length > 0) return true
    } while (performance.now() < end)
    return false
  }

  async #run(): Promise<void> {
    if (this.#running) return
    this.#running = true
    try {
      for (;;) {
        this.#takeMore()
        if (this.#writes.length === 0 && this.#reads.length === 0 && this.#sweeping === undefined) {
          if (!this.#nextComesSoon()) return
          // Timers and file events get on, too, however long the steps follow each other.
          await new Promise((resolve) => setImmediate(resolve))
          continue
        }
        if (this.#tables?.session.outdated() === true) this.#reopen()
        const tables = this.#tables ?? (await this.#open())
        if (tables !== undefined) {
          if (this.#writes.length > 0) this.#writeGroup(tables)
          else if (this.#reads.length > 0) await this.#readOne(tables)
          else this.#sweepOn()
        }
        // Timers and file events get on, too.
        if (this.#writes.length + this.#reads.length > 0 || this.#sweeping !== undefined)
          await new Promise((resolve) => setImmediate(resolve))
      }
    } finally {
      this.#running = false
    }
  }

  /** Opens the journal; where that fails, so do all calls that wait. The next call tries again. */
  async #open(): Promise<Tables | undefined> {
    try {
      this.#driver ??= await loadDriver(this.#data.driver)
      const session = await Session.open(this.#driver, this.#data)
      const tables = tablesOf(session, this.#data)
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
      if (calls.some(({ ask }) => ask.op === 'close')) endThread()
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
    this.#isStepping = hasOtherCores && group.length === 1 && group[0]?.ask.op === 'append'
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
      if (group.length > 1 && !isOfDisk(error)) return undefined
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
          this.#close(tables)
          this.#report([answer(id, undefined)])
          return endThread()
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
      if (step.done !== true) return
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
    if (tables.session.outdated()) {
      this.#reopen()
      void this.#open()
      return
    }
    const events: ThreadEvent[] = []
    const before = follower.told
    try {
      tables.session.reading(() => follower.news(events))
      if (events.length > 0) this.#report([...events, { kind: 'committed', told: follower.told }])
    } catch {
      // The next look tells it; a call on the journal says what is wrong.
      follower.restore(before)
    }
  }

  #keepBeating(tables: Tables): void {
    if (!tables.nodes.beats) {
      clearInterval(this.#beat)
      this.#beat = undefined
      return
    }
    this.#beat ??= setInterval(() => {
      try {
        tables.session.writing(() => tables.nodes.beat())
      } catch {
        // A beat that is missed is told by its silence; the next one comes.
      }
    }, beatMs)
  }

  #close(tables: Tables): void {
    this.#sweeping = undefined
    clearInterval(this.#beat)
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
    if (events.length > 0) this.#port.postMessage({ events } satisfies Report)
  }
}

/** Not by itself: what programs load into all of their threads may keep this one. */
function endThread(): void {
  process.exit()
}

function answer(id: number, value: unknown): ThreadEvent {
  return { kind: 'answer', id, value }
}

if (parentPort !== null) new JournalThread(parentPort, workerData as ThreadData)
