import { MessageChannel, type Worker } from 'node:worker_threads'
import { RunError, type Answer, type Assignment, type BodyEvent, type Parcel } from '@troupe/core'
import { answerForGone } from '@troupe/core/internal'
import { packOrders } from './orders.ts'
import type { Settings } from './options.ts'
import { addressOf, type Exit, type Placed, type ThreadEvents } from './placed.ts'
import { ResultReader, ringBytes } from './results.ts'
import { spawn } from './spawn.ts'
import {
  controlWords,
  mark,
  slots,
  state,
  word,
  type FromThread,
  type Order,
  type TaskAddress,
  type ToThread,
} from './wires.ts'

/** Bodies of this many microseconds follow each other without a gap: more are given ahead. */
const aheadMicros = 1_000
/** Of bodies that take longer only one at a time is given. */
const longMicros = 20_000
const mostAhead = 128

/** Keys fit into a word, with two bits of state. They come again when nobody knows of the first any more. */
const largestKey = 2 ** 28 - 1

/** Values larger than this are moved and not copied, in bytes. */
const movedFrom = 32 * 1024

/** A body in a thread of the pool. */
export type PlacedHere = Placed<PoolThread>

/** How a thread of the pool ended. */
export type ExitHere = Exit<PoolThread>

/** A thread, and what was given to it. */
export class PoolThread {
  readonly worker: Worker
  readonly placed = new Map<number, PlacedHere>()
  /** Those of which it is not known that they have begun. */
  readonly #unreported = new Set<PlacedHere>()
  /** Bodies that were begun here, over all time. */
  begunCount = 0
  /** Bodies that wait for other runs. */
  lentCount = 0
  /** Whether it is being ended. */
  isEnding = false
  /** Whether it gets nothing more, and is ended when it is empty. */
  isRetiring = false
  /** Whether a body takes so long that nothing is to wait behind it. */
  isLong = false
  /** When it had nothing to do any more, by the monotonic clock. */
  idleSince: number | undefined
  readonly #events: ThreadEvents<PoolThread>
  readonly #turn: (fn: () => void) => void
  readonly #control = new Int32Array(new SharedArrayBuffer(controlWords * 4))
  readonly #answers = new MessageChannel()
  readonly #results: ResultReader
  readonly #free: number[] = []
  readonly #outbox: Order[] = []
  readonly #known: Map<TaskAddress, number> = new Map()
  readonly #newTasks: (readonly [number, TaskAddress])[] = []
  readonly #bodies: number
  readonly #mostBodies: number
  #nextSlot = 0
  #lastKey = 0
  #finishedCount = 0
  #finishedBefore = -1
  #micros: number | undefined
  #error: unknown
  /** A flow was to be started where only tasks are executed. */
  #refusal: string | undefined
  #isRef = false
  /** How often it was asked to load modules ahead, and has not answered. */
  #warmings = 0
  #echo: (() => void) | undefined
  #isReady = false
  /** Whether the pool ended it. */
  #wasEnded = false
  /** Bodies that have begun and not ended, and those that begin whatever is there. */
  #begunNow = 0
  #besideNow = 0
  readonly exited: Promise<void>

  constructor(
    events: ThreadEvents<PoolThread>,
    {
      settings,
      modules,
      turn,
    }: { settings: Settings; modules: readonly string[]; turn: (fn: () => void) => void },
  ) {
    this.#events = events
    this.#turn = turn
    this.#bodies = settings.bodiesPerThread
    this.#mostBodies = settings.maxTasksPerThread
    const memory = new SharedArrayBuffer(ringBytes)
    this.#results = new ResultReader(this.#control, memory)
    const { port1, port2 } = this.#answers
    port1.unref()
    const data = {
      troupe: mark,
      control: this.#control,
      results: memory,
      answers: port2,
      bodies: this.#bodies,
    } as const
    this.worker = spawn(data, { settings, modules, transfer: [port2] })
    this.worker.on('message', (message: FromThread) => this.#guarded(() => this.#told(message)))
    this.worker.on('error', (error) => (this.#error = error))
    this.exited = new Promise((resolve) => {
      this.worker.once('exit', (code) => {
        port1.close()
        resolve()
        this.#isGone(code)
      })
    })
    this.name = `thread-${this.worker.threadId}`
  }

  /** Name for people. */
  readonly name: string

  // --- room -------------------------------------------------------------------------------------------------------

  /** Bodies that were given to it and count. */
  get load(): number {
    return this.placed.size - this.lentCount
  }

  /** How many of the slots of the pool it takes up. */
  get taken(): number {
    // More than it should have execute something where several of them waited for runs that have ended.
    return Math.max(Math.min(this.load, this.#bodies), this.#begunNow + this.#besideNow - this.lentCount)
  }

  /** How many bodies it should have at the most: those that it executes, and some ahead where they are short. */
  get window(): number {
    if (this.lentCount > 0 || this.isLong) return this.#bodies
    const micros = this.#micros
    if (micros === undefined || micros >= longMicros) return this.#bodies
    return this.#bodies + Math.min(1 + Math.floor(aheadMicros / Math.max(micros, 1)), mostAhead)
  }

  /** Whether it is of no more use. */
  get isDone(): boolean {
    const isSpent = this.isRetiring || this.begunCount >= this.#mostBodies
    return isSpent && this.placed.size === 0 && !this.isEnding
  }

  get canTake(): boolean {
    const isSpent = this.begunCount + this.#unreported.size >= this.#mostBodies
    return !this.isEnding && !this.isRetiring && !isSpent && this.placed.size < slots / 2
  }

  /** Whether something waits in it, and there is room for more beside that. */
  get mayShare(): boolean {
    return this.lentCount > 0 && this.placed.size < slots
  }

  // --- giving -----------------------------------------------------------------------------------------------------

  /** @param beside - Whether it begins at once, whatever else is there. */
  place(assignment: Assignment, beside: boolean): PlacedHere {
    const lease = (this.#lastKey = (this.#lastKey + 1) & largestKey)
    const server = assignment.serve((event) => this.#send(lease, event))
    const start = server.start()
    const slot = this.#free.pop() ?? this.#nextSlot++
    const placed: PlacedHere = {
      assignment,
      key: lease,
      thread: this,
      slot,
      server,
      beside,
      isReported: false,
      isLent: false,
      stopKilling: undefined,
    }
    Atomics.store(this.#control, word.slots + slot, state.queued(lease))
    this.placed.set(lease, placed)
    this.#unreported.add(placed)
    if (beside) this.#besideNow++
    this.idleSince = undefined
    const { buffers, ...args } = start.args
    // Buffers are moved when the body has begun: until then it may be taken back.
    const order = { lease, slot, task: this.#taskNumber(assignment.task.origin), beside }
    this.#outbox.push({
      ...order,
      start: buffers === undefined ? start : { ...start, args },
      moves: buffers !== undefined,
    })
    if (this.#outbox.length === 1) queueMicrotask(() => this.#flush())
    this.#keepAlive()
    return placed
  }

  #taskNumber({ name, version, modules }: TaskAddress & object): number {
    const address = addressOf(name, version, modules)
    let number = this.#known.get(address)
    if (number === undefined) {
      number = this.#known.size
      this.#known.set(address, number)
      this.#newTasks.push([number, address])
    }
    return number
  }

  #flush(): void {
    const orders = this.#outbox.splice(0)
    const tasks = this.#newTasks.splice(0)
    if (orders.length === 0) return
    const packed = packOrders(orders)
    this.#post({ to: 'orders', tasks, orders: packed }, [
      packed.words.buffer as ArrayBuffer,
      packed.bytes.buffer as ArrayBuffer,
    ])
  }

  /** @param id - What the answer is known by. */
  warm(id: number, tasks: readonly TaskAddress[]): void {
    const numbered = tasks.map((task) => [this.#taskNumber(task), task] as const)
    this.#post({ to: 'warm', id, tasks: numbered })
    this.#warmings++
    this.#keepAlive()
  }

  #post(message: ToThread, transfer: readonly ArrayBuffer[] = []): void {
    this.worker.postMessage(message, transfer as ArrayBuffer[])
  }

  #send(lease: number, event: BodyEvent): void {
    if (!this.placed.has(lease)) return
    const value = 'value' in event ? event.value.bytes : undefined
    const isMoved =
      value !== undefined && value.byteLength >= movedFrom && value.buffer instanceof ArrayBuffer
    this.#post({ to: 'event', lease, event }, isMoved ? [value.buffer] : [])
  }

  /** Whether the module of its task is being loaded. */
  isLoading({ key: lease }: PlacedHere): boolean {
    return Atomics.load(this.#control, word.loading) === lease
  }

  /** Takes a body back. @returns False where it has begun; then that is known */
  withdraw(placed: PlacedHere): boolean {
    const lease = placed.key
    const at = word.slots + placed.slot
    const queued = state.queued(lease)
    if (Atomics.compareExchange(this.#control, at, queued, state.withdrawn(lease)) === queued) {
      this.#remove(placed)
      return true
    }
    this.#read()
    this.#hasBegun(placed)
    return false
  }

  /** Bodies that have not begun, the newest first. */
  queued(): PlacedHere[] {
    return [...this.#unreported].toReversed()
  }

  get queuedCount(): number {
    return this.#unreported.size
  }

  /** A body that waits is given up. */
  drop(placed: PlacedHere): void {
    this.#remove(placed)
  }

  /** Whether nothing has ended since this was asked last, though something waits. */
  hasStoodStill(): boolean {
    const stood = this.#finishedCount === this.#finishedBefore
    this.#finishedBefore = this.#finishedCount
    return stood && this.#isReady && this.queuedCount > 0 && Atomics.load(this.#control, word.loading) === 0
  }

  #remove(placed: PlacedHere): void {
    const lease = placed.key
    if (!this.placed.delete(lease)) return
    if (this.#unreported.delete(placed) && placed.beside) this.#besideNow--
    if (placed.isLent) this.lentCount--
    if (placed.isReported) this.#begunNow--
    placed.stopKilling?.()
    this.#free.push(placed.slot)
    if (this.placed.size === 0) this.#keepAlive()
  }

  /** It keeps the process alive while there is something in it, as any pending work does. */
  #keepAlive(): void {
    const keeps = this.#warmings > 0 || this.placed.size > 0
    if (keeps === this.#isRef) return
    this.#isRef = keeps
    if (keeps) this.worker.ref()
    else this.worker.unref()
  }

  /** What is thrown in a handler of events would end the process. */
  #guarded(act: () => void): void {
    try {
      act()
    } catch (error) {
      this.#events.failed(error)
    }
  }

  // --- what it tells ----------------------------------------------------------------------------------------------

  #told(message: FromThread): void {
    if (message === null) {
      this.#readOn()
      return
    }
    this.#read()
    switch (message.from) {
      case 'warmed':
        this.#warmings--
        this.#keepAlive()
        this.#events.warmed(this, message.id, message.refusal)
        return
      case 'ready':
        this.#isReady = true
        this.#events.ready()
        return
      case 'echo':
        this.#echo?.()
        return
      case 'flow':
        this.#refusal = message.message
        return
      case 'finished':
        this.#isFinished(message.lease, message.result, message.micros)
        this.#events.changed()
        return
      case 'refused': {
        const placed = this.placed.get(message.lease)
        if (placed === undefined) return
        this.#remove(placed)
        this.#events.refused(placed, message.refusal)
        this.#events.changed()
        return
      }
      case 'ask': {
        const answer = this.placed.get(message.lease)?.server.answer(message.ask) ?? answerForGone()
        this.#answer(answer, [])
        return
      }
      case 'buffers': {
        const { buffers = [], keeps } = this.placed.get(message.lease)?.server.start().args ?? {}
        this.#answer([...buffers], keeps === true ? [] : buffers)
        return
      }
      case 'tell':
        this.placed.get(message.lease)?.server.told(message.tell)
        return
    }
  }

  #answer(answer: Answer | readonly ArrayBuffer[], transfer: readonly ArrayBuffer[]): void {
    try {
      this.#answers.port1.postMessage(answer, transfer as ArrayBuffer[])
    } catch (error) {
      // The thread stands still until there is an answer.
      this.#answers.port1.postMessage(answerForGone())
      this.#events.failed(error)
    }
    Atomics.add(this.#control, word.answered, 1)
    Atomics.notify(this.#control, word.answered)
  }

  /**
   * Reads what is new, and looks again as long as there is more: a message each would cost more than a small body. Only
   * then it wants to be told again.
   */
  #readOn(): void {
    if (this.#read()) {
      this.#events.changed()
      if (!this.isEnding) this.#turn(() => this.#guarded(() => this.#readOn()))
      return
    }
    Atomics.store(this.#control, word.pinged, 0)
    // What came in between was told to nobody.
    this.#read()
    this.#events.changed()
  }

  /** Reads what is new in the shared memory. @returns Whether there was anything */
  #read(): boolean {
    const before = this.#finishedCount + this.begunCount
    for (;;) {
      const result = this.#results.next()
      if (result === undefined) break
      const { lease, bytes, thrown, micros } = result
      this.#isFinished(lease, { bytes, thrown }, micros)
    }
    // They begin in the order in which they were given, but for those that are given to begin at once.
    for (const placed of this.#unreported) if (!this.#hasBegun(placed) && !placed.beside) break
    return this.#finishedCount + this.begunCount > before
  }

  #hasBegun(placed: PlacedHere): boolean {
    if (placed.isReported) return true
    const lease = placed.key
    if (Atomics.load(this.#control, word.slots + placed.slot) !== state.begun(lease)) return false
    placed.isReported = true
    this.#unreported.delete(placed)
    if (placed.beside) this.#besideNow--
    this.begunCount++
    this.#begunNow++
    this.#guarded(() => this.#events.begun(placed))
    return true
  }

  #isFinished(lease: number, result: Parcel, micros: number): void {
    this.#finishedCount++
    this.isLong = false
    this.#micros = this.#micros === undefined ? micros : 0.8 * this.#micros + 0.2 * micros
    const placed = this.placed.get(lease)
    if (placed === undefined) return
    this.#hasBegun(placed)
    this.#remove(placed)
    this.#guarded(() => this.#events.finished(placed, result))
  }

  /** Whether its event loop turns. Resolves with false where it does not for `ms`. */
  turns(ms: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), ms)
      this.#echo = () => {
        clearTimeout(timer)
        resolve(true)
      }
      this.#post({ to: 'echo' })
    })
  }

  // --- its end ----------------------------------------------------------------------------------------------------

  /** Ends the thread, whatever it does. */
  end(): Promise<void> {
    this.isEnding = true
    this.#wasEnded = true
    void this.worker.terminate()
    return this.exited
  }

  #isGone(code: number): void {
    this.isEnding = true
    this.#read()
    const culprit = Atomics.load(this.#control, word.culprit)
    const loading = Atomics.load(this.#control, word.loading)
    const left = [...this.placed.values()]
    const of = (lease: number): PlacedHere | undefined => left.find(({ key }) => key === lease)
    for (const placed of left) this.#remove(placed)
    const begun = left.filter(({ isReported }) => isReported)
    // Nobody is blamed for what the pool did, nor where several may be to blame.
    const isAlone = culprit === 0 && begun.length === 1 && !this.#wasEnded
    const blamed = culprit > 0 ? of(culprit) : isAlone ? begun[0] : undefined
    this.#events.exited(this, {
      queued: left.filter(({ isReported }) => !isReported),
      begun,
      culprit: blamed,
      // One whose module was being loaded when something else ended the thread is loaded again.
      loading: loading > 0 && blamed === undefined && !this.#wasEnded ? of(loading) : undefined,
      hasStarted: this.#isReady || this.#wasEnded,
      wasEnded: this.#wasEnded,
      refusal: this.#refusal,
      failure: this.#error,
      error: this.#error ?? new RunError('RUN_CRASHED', `its thread ended with exit code ${code}`),
    })
  }
}

/** How many bodies were given to threads, and have not begun. */
export function queuedIn(threads: Iterable<PoolThread>): number {
  let count = 0
  for (const thread of threads) count += thread.queuedCount
  return count
}
