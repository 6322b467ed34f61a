import { performance } from 'node:perf_hooks'
import { parentPort, receiveMessageOnPort, workerData, type MessagePort } from 'node:worker_threads'
import type { Answer, Ask, ForeignBody, Link, Parcel, Tell } from '@troupe/core'
import { Loader, type Found } from './loading.ts'
import { unpackOrders } from './orders.ts'
import { largestResult, ResultWriter } from './results.ts'
import {
  mark,
  ping,
  state,
  word,
  type FromThread,
  type Order,
  type Refusal,
  type TaskAddress,
  type ThreadData,
  type ToThread,
} from './wires.ts'

/** The version of what bodies and their engines say to each other that this file was written for. */
const protocol = 1

/** How long bodies that do not wait may follow each other before messages are looked for, in milliseconds. */
const longestTurn = 5

/** A body that has begun. */
interface Open {
  readonly lease: number
  readonly slot: number
  readonly begunAt: number
  readonly body: ForeignBody
}

/** Executes bodies that a pool sends, in this thread. Knows nothing of tasks but what is told, and loads their modules. */
class BodyThread {
  readonly #port: MessagePort
  readonly #data: ThreadData
  readonly #control: Int32Array
  readonly #results: ResultWriter
  readonly #loader = new Loader(protocol)
  readonly #addresses = new Map<number, TaskAddress>()
  readonly #found = new Map<number, Found | Refusal>()
  readonly #open = new Map<number, Open>()
  readonly #queue: Order[] = []
  readonly #events: (() => void)[] = []
  /** Bodies that have begun and not ended. */
  #active = 0
  #isPumping = false
  #turnFrom = 0

  constructor(port: MessagePort, data: ThreadData) {
    this.#port = port
    this.#data = data
    this.#control = data.control
    this.#results = new ResultWriter(data.control, data.results)
  }

  start(): void {
    const key = Symbol.for('@troupe/core/task-thread')
    const refused = (message: string): void => {
      this.#loader.refused(message)
      this.#post({ from: 'flow', message })
    }
    const known = (
      globalThis as { [key]?: { refused: (message: string) => void; early?: readonly string[] } }
    )[key]
    for (const message of known?.early ?? []) this.#loader.refusedEarly(message)
    ;(globalThis as { [key]?: object })[key] = { refused }
    this.#port.on('message', (message: ToThread) => this.#told(message))
    process.on('uncaughtExceptionMonitor', () => {
      // With a handler of the user's it goes on.
      if (process.listenerCount('uncaughtException') === 0) this.#isEnding()
    })
    process.on('exit', () => this.#isEnding())
    this.#post({ from: 'ready' })
  }

  #post(message: FromThread, transfer: readonly ArrayBuffer[] = []): void {
    this.#port.postMessage(message, transfer as ArrayBuffer[])
  }

  #told(message: ToThread): void {
    switch (message.to) {
      case 'orders':
        for (const [number, address] of message.tasks) this.#addresses.set(number, address)
        this.#queue.push(...unpackOrders(message.orders))
        this.#pump()
        return
      case 'event':
        this.#deliver(() => this.#open.get(message.lease)?.body.event(message.event))
        return
      case 'echo':
        this.#post({ from: 'echo' })
        return
      case 'warm':
        for (const [number, address] of message.tasks) this.#addresses.set(number, address)
        void this.#warm(
          message.id,
          message.tasks.map(([number]) => number),
        )
        return
    }
  }

  async #warm(id: number, tasks: readonly number[]): Promise<void> {
    for (const task of tasks) await this.#find(task)
    const found = tasks.map((task) => this.#found.get(task))
    const refusal = found.find((one) => one !== undefined && 'code' in one) as Refusal | undefined
    try {
      this.#post({ from: 'warmed', id, refusal })
    } catch {
      this.#post({ from: 'warmed', id, refusal: refusal === undefined ? refusal : withoutCause(refusal) })
    }
  }

  /** One a turn: a body comes to rest from each before it gets the next, as it does where its engine is. */
  #deliver(event: () => void): void {
    if (this.#events.push(event) === 1) setImmediate(() => this.#nextEvent())
  }

  #nextEvent(): void {
    if (this.#events.length > 1) setImmediate(() => this.#nextEvent())
    this.#events.shift()?.()
  }

  // --- beginning --------------------------------------------------------------------------------------------------

  /** Begins bodies while there is room. */
  #pump(): void {
    if (this.#isPumping) return
    this.#isPumping = true
    this.#turnFrom = performance.now()
    this.#next()
  }

  #next(): void {
    for (;;) {
      const at = this.#queue.findIndex(({ beside }) => beside || this.#active < this.#data.bodies)
      const order = at === -1 ? undefined : this.#queue.splice(at, 1)[0]
      if (order === undefined) {
        this.#isPumping = false
        return
      }
      if (Atomics.load(this.#control, word.slots + order.slot) !== state.queued(order.lease)) continue
      const found = this.#found.get(order.task)
      if (found === undefined) {
        void this.#load(order)
        return
      }
      this.#begin(order, found)
      if (performance.now() - this.#turnFrom < longestTurn) continue
      setImmediate(() => {
        this.#turnFrom = performance.now()
        this.#next()
      })
      return
    }
  }

  async #load(order: Order): Promise<void> {
    Atomics.store(this.#control, word.loading, order.lease)
    await this.#find(order.task)
    Atomics.store(this.#control, word.loading, 0)
    this.#queue.unshift(order)
    this.#turnFrom = performance.now()
    this.#next()
  }

  async #find(task: number): Promise<void> {
    const address = this.#addresses.get(task)
    if (address !== undefined) this.#found.set(task, await this.#loader.load(address))
  }

  #begin({ lease, slot, start, moves }: Order, found: Found | Refusal): void {
    if ('code' in found) {
      this.#refuse(lease, found)
      return
    }
    const control = this.#control
    const at = word.slots + slot
    const queued = state.queued(lease)
    // Taken back meanwhile, or not: whoever is first.
    if (Atomics.compareExchange(control, at, queued, state.begun(lease)) !== queued) return
    ping(control, () => this.#post(null))
    this.#active++
    const link = this.#link(lease)
    const whole = moves ? { ...start, args: { ...start.args, buffers: this.#buffers(lease) } } : start
    const open: Open = { lease, slot, begunAt: performance.now(), body: found.runtime.body(whole, link) }
    this.#open.set(lease, open)
    open.body.run(found.fn)
  }

  #refuse(lease: number, refusal: Refusal): void {
    try {
      this.#post({ from: 'refused', lease, refusal })
    } catch {
      // Its cause can't be sent.
      this.#post({ from: 'refused', lease, refusal: withoutCause(refusal) })
    }
  }

  // --- the way to the engine --------------------------------------------------------------------------------------

  #link(lease: number): Link {
    return {
      ask: (ask) => this.#ask(lease, ask),
      tell: (tell: Tell) => this.#post({ from: 'tell', lease, tell }),
      finished: (result, asked) => this.#finished(lease, result, asked),
      turn: (fn) => void setImmediate(fn),
    }
  }

  #ask(lease: number, ask: Ask): Answer {
    return this.#answerTo({ from: 'ask', lease, ask }) as Answer
  }

  #buffers(lease: number): readonly ArrayBuffer[] {
    return this.#answerTo({ from: 'buffers', lease }) as readonly ArrayBuffer[]
  }

  /** Blocks until there is an answer. */
  #answerTo(question: FromThread): unknown {
    const { control, answers } = this.#data
    const seen = Atomics.load(control, word.answered)
    this.#post(question)
    for (;;) {
      const received = receiveMessageOnPort(answers) as { readonly message: unknown } | undefined
      if (received !== undefined) return received.message
      Atomics.wait(control, word.answered, seen)
    }
  }

  #finished(lease: number, result: Parcel, asked: boolean): void {
    const begunAt = this.#open.get(lease)?.begunAt ?? 0
    this.#open.delete(lease)
    this.#active--
    const micros = Math.min(Math.round((performance.now() - begunAt) * 1000), 2 ** 31 - 1)
    this.#report(lease, result, asked, micros)
    if (this.#queue.length > 0) this.#pump()
  }

  #report(lease: number, result: Parcel, asked: boolean, micros: number): void {
    const { bytes, buffers = [], thrown = false } = result
    // What went by message must not be overtaken.
    const isSmall = bytes.length <= largestResult && buffers.length === 0 && !asked
    if (isSmall && this.#results.write({ lease, thrown, micros, bytes })) {
      ping(this.#control, () => this.#post(null))
      return
    }
    const isWhole = bytes.byteLength === bytes.buffer.byteLength
    const own = isWhole && bytes.buffer instanceof ArrayBuffer ? [bytes.buffer] : []
    this.#post({ from: 'finished', lease, result, micros }, [...own, ...buffers])
  }

  /** The thread is about to end: says by which body, if that can be told. */
  #isEnding(): void {
    const key = Symbol.for('@troupe/core/run-context')
    const current = (globalThis as { [key]?: { getStore(): unknown } })[key]?.getStore()
    const isKnown = Atomics.load(this.#control, word.culprit) !== 0
    if (isKnown) return
    const isScope = typeof current === 'object' && current !== null && 'body' in current
    const body: unknown = isScope ? current.body : current
    const open = [...this.#open.values()].find((one) => one.body === body)
    Atomics.store(this.#control, word.culprit, open === undefined ? -1 : open.lease)
  }
}

function withoutCause({ code, message }: Refusal): Refusal {
  return { code, message }
}

/** Executes bodies in this thread, where a pool has started it. */
export function startThread(): void {
  const data = workerData as Partial<ThreadData> | null
  if (parentPort === null || data?.troupe !== mark) return
  new BodyThread(parentPort, data as ThreadData).start()
}
