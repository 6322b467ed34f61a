import {
  abort,
  RunError,
  UsageError,
  type Assignment,
  type Parcel,
  type PoolHost,
  type TaskPool,
  type TroupeError,
} from '@troupe/core'
import { Fifo, ReadyQueue } from '@troupe/core/internal'
import {
  closed,
  endedWhileLoading,
  endedWhileWarmed,
  errorOf,
  isOf,
  noThread,
  notStarted,
} from './failures.ts'
import { IdleThreads } from './idle-threads.ts'
import type { Settings } from './options.ts'
import { PoolThread, queuedIn, type ExitHere, type PlacedHere } from './pool-thread.ts'
import type { ThreadEvents } from './placed.ts'
import { Warmings } from './warmings.ts'
import type { Refusal } from './wires.ts'

/** How often it is looked whether bodies wait behind a long one, in milliseconds: those that are given ahead take less. */
const lookMs = 25

/** How long a module may take to load that is wanted no more, in milliseconds. */
const longestLoadingMs = 1_000
/** How often its patience a thread may stand still before one of several bodies in it is stopped by force. */
const turnsWithin = 10

/** After so many threads in a row that could not start, no more are tried for what waits. */
const mostFailedStarts = 3

/**
 * Runs bodies on threads.
 *
 * A slot counts a body that is running and waits for no other run; there are as many as threads × bodies per thread. A body
 * that waits lends its slot and keeps its thread to itself, so that nobody suffers where either must be ended: another
 * thread takes its place, while there may be more. Short bodies are given to a thread ahead; those that have not begun can
 * be taken back at any moment.
 */
export class ThreadPool implements TaskPool, ThreadEvents<PoolThread> {
  readonly lends = true
  readonly encodes = true
  readonly stops = true
  readonly #host: PoolHost
  readonly #settings: Settings
  readonly #limit: number
  readonly #threads = new Set<PoolThread>()
  readonly #placed = new Map<number, PlacedHere>()
  readonly #ready = new ReadyQueue((lease) => this.#placed.get(lease)?.isLent === true)
  readonly #resuming = new Fifo<number>()
  readonly #resumes = new Map<number, (() => void)[]>()
  readonly #warmings = new Warmings()
  /** How many threads in a row ended before they could take bodies. */
  #failedStarts = 0
  #isClosed = false
  #isFilling = false
  #isScheduled = false
  #look: NodeJS.Timeout | undefined
  readonly #idle: IdleThreads

  constructor(host: PoolHost, settings: Settings) {
    this.#host = host
    this.#settings = settings
    this.#limit = settings.threads * settings.bodiesPerThread
    this.#idle = new IdleThreads(settings)
  }

  // --- for the engine ---------------------------------------------------------------------------------------------

  assign(assignment: Assignment): void {
    if (this.#isClosed) return
    this.#ready.push(assignment)
    this.#schedule()
  }

  waiting(): number {
    return this.#ready.size + queuedIn(this.#threads)
  }

  withdraw(assignment: Assignment): boolean {
    const { lease } = assignment
    if (this.#ready.remove(lease)) return true
    const placed = this.#placed.get(lease)
    if (placed === undefined) return true
    if (placed.isReported) return false
    const { thread } = placed
    const isLoading = thread.isLoading(placed)
    if (!thread.withdraw(placed)) return false
    if (isLoading) this.#watchLoading(thread, placed)
    this.#placed.delete(lease)
    this.#schedule()
    return true
  }

  stop(assignment: Assignment): void {
    if (this.withdraw(assignment)) return
    const placed = this.#placed.get(assignment.lease)
    if (placed !== undefined) this.#killSoon(placed)
  }

  /** It may settle before; and goes on without a slot until then. */
  #killSoon(placed: PlacedHere): void {
    if (placed.stopKilling !== undefined) return
    const timer = setTimeout(() => this.#kill(placed), this.#settings.patienceMs)
    placed.stopKilling = () => clearTimeout(timer)
    if (placed.isLent) this.#resume(placed.assignment.lease)
  }

  #kill(placed: PlacedHere): void {
    const { thread } = placed
    if (!placed.isLent || thread.placed.size === 1) void thread.end()
    else void this.#abandon(placed)
  }

  /**
   * One that only waits, beside others, needs no force: what it waits for never comes. Its thread goes when they have
   * ended; at once where it may be this one that keeps it from turning.
   */
  async #abandon(placed: PlacedHere): Promise<void> {
    const { thread } = placed
    const isTurning = await thread.turns(turnsWithin * this.#settings.patienceMs)
    if (this.#placed.get(placed.assignment.lease) !== placed || thread.isEnding) return
    if (!isTurning) {
      void thread.end()
      return
    }
    thread.isRetiring = true
    thread.drop(placed)
    this.#isOut(placed)
    const error = new RunError('RUN_CRASHED', 'it was stopped while it waited')
    this.#host.reports.lost(placed.assignment, { crashed: false, error })
    this.#schedule()
  }

  /** A module that is loaded for a body which is not wanted any more may hang, and nothing else would begin there. */
  #watchLoading(thread: PoolThread, placed: PlacedHere): void {
    const look = (): void => {
      if (thread.isLoading(placed) && !thread.isEnding) void thread.end()
    }
    setTimeout(look, longestLoadingMs).unref()
  }

  lend(assignment: Assignment): void {
    const placed = this.#placed.get(assignment.lease)
    // One that is to be ended soon may wait for what never comes: it gives its slot back by its end.
    if (placed === undefined || placed.isLent || placed.stopKilling !== undefined || this.#isClosed) return
    const { thread } = placed
    placed.isLent = true
    thread.lentCount++
    this.#takeBack(thread)
    this.#ready.lent(assignment.lease)
    this.#schedule()
  }

  reclaim(assignment: Assignment, resume: () => void): void {
    const { lease } = assignment
    const placed = this.#placed.get(lease)
    // One that is to be ended soon does not wait for a slot.
    if (placed?.isLent !== true || placed.stopKilling !== undefined) {
      resume()
      return
    }
    const others = this.#resumes.get(lease)
    if (others !== undefined) {
      others.push(resume)
      return
    }
    this.#resumes.set(lease, [resume])
    this.#resuming.push(lease)
    this.#fill()
  }

  async warm(tasks: readonly Assignment['task'][]): Promise<void> {
    const addresses = tasks.map(({ origin }) => origin)
    const modules = addresses.flatMap((address) => address.modules)
    const ready = (): PoolThread[] => [...this.#threads].filter((thread) => thread.canTake)
    while (ready().length < this.#settings.threads) this.#startThread(modules)
    const warmed = ready().map((thread) => this.#warmings.warm(thread, addresses))
    // All of them, so that nothing is under way when it is told.
    const ends = await Promise.allSettled(warmed)
    const failed = ends.find((end) => end.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#ready.clear()
    this.#resumes.clear()
    clearInterval(this.#look)
    this.#idle.stop()
    for (const thread of this.#threads) this.#takeBack(thread)
    this.#ready.clear()
    await this.#settled()
    await Promise.all([...this.#threads].map((thread) => thread.end()))
  }

  /** Bodies that run have been told to stop; they may do so, and are ended if they don't. */
  async #settled(): Promise<void> {
    const running = [...this.#threads].filter((thread) => thread.load > 0)
    if (running.length === 0) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, this.#settings.patienceMs)
      this.#whenEmpty = () => {
        if ([...this.#threads].some((thread) => thread.load > 0)) return
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #whenEmpty: () => void = () => undefined

  // --- giving bodies to threads -----------------------------------------------------------------------------------

  /** Not at once: the caller is in the middle of its own work, and submits more. */
  #schedule(): void {
    if (this.#isScheduled || this.#isClosed) return
    this.#isScheduled = true
    queueMicrotask(() => {
      this.#isScheduled = false
      this.#fill()
    })
  }

  get #taken(): number {
    let taken = 0
    for (const thread of this.#threads) taken += thread.taken
    return taken
  }

  #fill(): void {
    if (this.#isFilling || this.#isClosed) return
    this.#isFilling = true
    try {
      this.#resumeSome()
      this.#beginSome()
      this.#giveAhead()
    } finally {
      this.#isFilling = false
    }
    this.#watch()
  }

  /** Bodies that want their slot back go first, for they hold what others wait for. */
  #resumeSome(): void {
    while (this.#resuming.size > 0 && this.#taken < this.#limit) {
      const lease = this.#resuming.shift()
      const placed = lease === undefined ? undefined : this.#placed.get(lease)
      if (lease === undefined) return
      if (placed?.isLent === true) {
        placed.isLent = false
        placed.thread.lentCount--
      }
      this.#resume(lease)
    }
  }

  #resume(lease: number): void {
    const resumes = this.#resumes.get(lease)
    this.#resumes.delete(lease)
    for (const resume of resumes ?? []) resume()
  }

  /** Free slots are for bodies that begin at once. */
  #beginSome(): void {
    while (this.#resuming.size === 0 && this.#taken < this.#limit) {
      const thread = this.#withRoom()
      if (thread === undefined && !this.#mayStart()) return
      const assignment = this.#ready.shift() ?? this.#steal(thread)
      if (assignment === undefined) return
      this.#begin(assignment, thread)
    }
  }

  #begin(assignment: Assignment, withRoom: PoolThread | undefined): void {
    try {
      this.#place(assignment, withRoom ?? this.#startThread(assignment.task.origin.modules), true)
    } catch (error) {
      this.#host.reports.refused(assignment, noThread(error))
    }
  }

  /** A thread that has nothing to do, or else room, where no other may be started; one in which bodies wait is the last. */
  #withRoom(): PoolThread | undefined {
    const { bodiesPerThread, threads: limit } = this.#settings
    const withRoom = [...this.#threads].filter((thread) => thread.canTake && thread.load < bodiesPerThread)
    const undisturbed = withRoom.filter((thread) => thread.lentCount === 0).toSorted(byLoad)
    const [least] = undisturbed
    if (least?.load === 0) return least
    const busy = [...this.#threads].filter((thread) => !thread.isEnding && thread.load > 0).length
    if (least !== undefined && (busy >= limit || !this.#mayStart())) return least
    if (this.#mayStart()) return undefined
    // Where all that is in a thread waits it may take more, though it gets nothing else any more.
    const waiting = [...this.#threads].filter(
      (thread) => !thread.isEnding && thread.mayShare && thread.load < bodiesPerThread,
    )
    return waiting.toSorted(byLoad)[0]
  }

  /** Those that are being ended, or could execute more and get nothing more, do not count: another one takes the place of each. */
  #mayStart(): boolean {
    const { threads, extraThreads } = this.#settings
    let count = 0
    for (const thread of this.#threads) {
      const isUsed = thread.canTake || thread.mayShare || thread.load >= this.#settings.bodiesPerThread
      if (isUsed && !thread.isEnding) count++
    }
    return count < threads + extraThreads
  }

  /** Threads whose bodies are short have some ahead, so that they need not wait for the next. */
  #giveAhead(): void {
    if (this.#resuming.size > 0) return
    // Where less is in a thread, it would begin there at once.
    const least = this.#settings.bodiesPerThread
    for (const thread of this.#threads) {
      // Many at once, and not each as soon as there is room for it.
      if (thread.load > thread.window / 2 && thread.load > least) continue
      while (
        thread.canTake &&
        thread.lentCount === 0 &&
        thread.load >= least &&
        thread.load < thread.window
      ) {
        const assignment = this.#ready.shift()
        if (assignment === undefined) return
        this.#place(assignment, thread, false)
      }
    }
  }

  #place(assignment: Assignment, thread: PoolThread, beside: boolean): void {
    this.#placed.set(assignment.lease, thread.place(assignment, beside))
  }

  /** What waits in one thread while another has nothing to do. */
  #steal(to: PoolThread | undefined): Assignment | undefined {
    for (const thread of this.#threads) {
      if (thread === to || thread.load <= this.#settings.bodiesPerThread) continue
      for (const placed of thread.queued()) {
        if (!thread.withdraw(placed)) continue
        this.#placed.delete(placed.assignment.lease)
        return placed.assignment
      }
    }
    return undefined
  }

  /** What has not begun in a thread waits for another one. */
  #takeBack(thread: PoolThread): void {
    for (const placed of thread.queued()) {
      if (!thread.withdraw(placed)) continue
      this.#placed.delete(placed.assignment.lease)
      this.#ready.push(placed.assignment)
    }
  }

  #startThread(modules: readonly string[]): PoolThread {
    const thread = new PoolThread(this, {
      settings: this.#settings,
      modules,
      turn: (fn) => this.#host.turn(fn),
    })
    this.#threads.add(thread)
    return thread
  }

  // --- what threads tell ------------------------------------------------------------------------------------------

  failed(error: unknown): void {
    this.#host.report(error)
  }

  begun(placed: PlacedHere): void {
    if (!this.#host.reports.started(placed.assignment, placed.thread.name)) this.#killSoon(placed)
  }

  finished(placed: PlacedHere, result: Parcel): void {
    this.#isOut(placed)
    this.#host.reports.finished(placed.assignment, placed.server.result(result))
  }

  refused(placed: PlacedHere, refusal: Refusal): void {
    this.#isOut(placed)
    this.#host.reports.refused(placed.assignment, errorOf(refusal, placed.assignment.task.origin))
  }

  /** A body is not in its thread any more. */
  #isOut(placed: PlacedHere): void {
    const { lease } = placed.assignment
    this.#placed.delete(lease)
    // Whoever waits together with it goes on.
    if (placed.isLent) this.#resume(lease)
  }

  warmed(thread: PoolThread, id: number, refusal: Refusal | undefined): void {
    this.#warmings.warmed(thread, id, refusal)
    this.#idle.watch(this.#threads)
  }

  changed(): void {
    for (const thread of this.#threads) if (thread.isDone) void thread.end()
    if (this.#isClosed) this.#whenEmpty()
    else this.#fill()
  }

  exited(thread: PoolThread, exit: ExitHere): void {
    const { queued, begun, culprit, loading, error } = exit
    this.#threads.delete(thread)
    const unready = exit.hasStarted ? undefined : notStarted(exit)
    this.#warmings.exited(thread, (modules) => {
      if (this.#isClosed) return closed()
      return unready ?? (exit.wasEnded ? undefined : endedWhileWarmed(exit, modules))
    })
    for (const placed of [...queued, ...begun]) this.#isOut(placed)
    if (unready !== undefined) this.#couldNotStart(queued, unready)
    else
      for (const placed of queued) {
        if (placed === loading)
          this.#host.reports.refused(placed.assignment, endedWhileLoading(placed.assignment, exit))
        else if (!this.#isClosed) this.#ready.push(placed.assignment)
      }
    if (exit.failure !== undefined && culprit === undefined && unready === undefined)
      this.#host.report(exit.failure)
    for (const placed of begun) {
      if (
        exit.refusal !== undefined &&
        placed.stopKilling === undefined &&
        isOf(exit.refusal, placed, begun)
      ) {
        // Not the body's doing, and the next attempt would end alike.
        const refused = new UsageError('FLOW_STARTED_IN_WORKER', exit.refusal)
        this.#host.reports.finished(placed.assignment, { error: abort(refused) })
        continue
      }
      // One that was being stopped did not bring it down.
      const crashed = placed === culprit && placed.stopKilling === undefined
      this.#host.reports.lost(placed.assignment, { crashed, error })
    }
    this.changed()
  }

  ready(): void {
    this.#failedStarts = 0
  }

  /** What waited for a thread fails with it; after some in a row all that waits does. */
  #couldNotStart(queued: readonly PlacedHere[], error: TroupeError): void {
    this.#failedStarts++
    const waiting = queued.map(({ assignment }) => assignment)
    for (;;) {
      const next = this.#failedStarts < mostFailedStarts ? undefined : this.#ready.shift()
      if (next === undefined) break
      waiting.push(next)
    }
    for (const assignment of waiting) this.#host.reports.refused(assignment, error)
  }

  // --- time -------------------------------------------------------------------------------------------------------

  /** Bodies that wait behind one that turns out to be long are taken back; threads with nothing to do are ended. */
  #watch(): void {
    if (queuedIn(this.#threads) === 0) {
      clearInterval(this.#look)
      this.#look = undefined
    } else {
      this.#look ??= setInterval(() => this.#takeBackFromLong(), lookMs).unref()
    }
    this.#idle.watch(this.#threads)
  }

  #takeBackFromLong(): void {
    for (const thread of this.#threads) {
      if (!thread.hasStoodStill()) continue
      thread.isLong = true
      this.#takeBack(thread)
    }
    this.#fill()
  }
}

function byLoad(a: PoolThread, b: PoolThread): number {
  return a.load - b.load || a.lentCount - b.lentCount
}
