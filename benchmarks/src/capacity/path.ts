import { Chance } from './chance.ts'
import { Cores } from './cores.ts'
import { Simulation } from './simulation.ts'
import { Station } from './station.ts'

/** CPU time of one process of the path, in microseconds. */
export interface Cost {
  /** For each task run. */
  readonly run: number
  /** For each message that it sends or gets. */
  readonly message: number
  /** To begin when nothing was being done. */
  readonly wake: number
  /** How much of that is on the way of task runs; the rest is spent beside it, by threads that collect garbage and compile. */
  readonly share: number
}

/** What the path costs. */
export interface Service {
  readonly owner: Cost
  readonly worker: Cost
  readonly server: Cost
  /** From one process to another, in microseconds, besides CPU time. */
  readonly hop: number
}

/** What is asked of the path. */
export interface Load {
  /** Calls that have not returned, at the same time, of each flow run: each lane calls again when it has its value. */
  readonly lanes: number
  /** Flow runs at the same time. Default 1. */
  readonly flowRuns?: number
  /** Flow runs that come each second, by chance, instead of a number that is always there. */
  readonly arrivals?: number
  /** Task runs of a flow run that comes by chance. Default: its lanes, once each. */
  readonly length?: number
  /** Task runs that are measured, after a quarter of that which are not. */
  readonly measured: number
  /** Cores that all processes share. Default: each has what it needs. */
  readonly cores?: number
  readonly seed?: number
  /** How many times as large as they are groups may be. Default 1. */
  readonly groups?: number
}

/** What one process did, for each task run. */
interface Spent {
  readonly messages: number
  readonly wakes: number
  readonly cpu: number
}

/** What came of it. */
export interface Outcome {
  readonly perSecond: number
  /** From the call to the value, in microseconds. */
  readonly p50: number
  readonly p99: number
  /** Of a flow run, from its arrival to the value of its last task run; only where they come by chance. */
  readonly flowRunP50: number
  readonly flowRunP99: number
  readonly owner: Spent
  readonly worker: Spent
  readonly server: Spent
  /** Messages that are stored for each task run, by stream. */
  readonly stored: Stored
}

/** By stream. */
interface Stored {
  readonly journal: number
  readonly queue: number
  readonly mailbox: number
}

interface Call {
  readonly at: number
  readonly flowRun: FlowRun
}

/** One flow run: what waits to be written, to be handed over, and to be reported. */
interface FlowRun {
  readonly at: number
  /** Task runs that it has not called yet. */
  left: number
  live: number
  submitted: Call[]
  ended: Call[]
  handing: Call[]
  isWriting: boolean
  isTurnAsked: boolean
  reports: (readonly Call[])[]
  isReporting: boolean
}

/** How the protocol groups: the same figures as in `engine/ledger.ts`, `nats/offering.ts` and `worker/queue-taker.ts`. */
const mostGathered = 128
const mostOffered = 16
const perWorker = 4
/** Task runs that are with the worker before its bodies: its slots, and as many ahead. */
const room = 200

interface Counter {
  messages: number
}

/**
 * The path of a task run from its flow run to a worker and back: an append, an offer, a delivery, a report, an append. What comes
 * while an append or a report of a flow run is under way goes with the next one.
 */
class Path {
  readonly simulation = new Simulation()
  readonly times: number[] = []
  readonly flowRunTimes: number[] = []
  readonly counters = { owner: { messages: 0 }, worker: { messages: 0 }, server: { messages: 0 } }
  readonly owner: Station
  readonly worker: Station
  readonly server: Station
  readonly stored = { journal: 0, queue: 0, mailbox: 0 }
  readonly #service: Service
  readonly #load: Load
  readonly #chance: Chance
  readonly #waiting: (readonly Call[])[] = []
  #backlog = 0
  #atWorker = 0

  constructor(service: Service, load: Load) {
    this.#service = service
    this.#load = load
    this.#chance = new Chance(load.seed ?? 1)
    const cores = new Cores(this.simulation, load.cores ?? Infinity)
    const station = ({ share, wake }: Cost): Station => new Station({ cores, share, wake })
    this.owner = station(service.owner)
    this.worker = station(service.worker)
    this.server = station(service.server)
  }

  begin(): void {
    const { flowRuns = 1, lanes, arrivals, measured } = this.#load
    if (arrivals !== undefined) {
      this.#arriveLater(arrivals)
      return
    }
    for (let i = 0; i < flowRuns; i++) this.#start((2 * (measured + lanes)) / flowRuns + lanes)
  }

  #arriveLater(perSecond: number): void {
    this.simulation.after(this.#chance.exponential(1e6 / perSecond), () => {
      this.#start(this.#load.length ?? this.#load.lanes)
      this.#arriveLater(perSecond)
    })
  }

  #start(length: number): void {
    const flowRun: FlowRun = {
      at: this.simulation.now,
      left: length,
      live: 0,
      submitted: [],
      ended: [],
      handing: [],
      isWriting: false,
      isTurnAsked: false,
      reports: [],
      isReporting: false,
    }
    for (let i = 0; i < this.#load.lanes; i++) this.#call(flowRun)
  }

  // --- the owner --------------------------------------------------------------------------------------------------

  #call(flowRun: FlowRun): void {
    if (flowRun.left <= 0) return
    flowRun.left--
    flowRun.live++
    this.#backlog++
    flowRun.submitted.push({ at: this.simulation.now, flowRun })
    this.#writeSoon(flowRun)
  }

  /** In a turn of its own. */
  #writeSoon(flowRun: FlowRun): void {
    if (flowRun.isWriting || flowRun.isTurnAsked) return
    flowRun.isTurnAsked = true
    this.owner.do(0, () => {
      flowRun.isTurnAsked = false
      this.#write(flowRun)
    })
  }

  #write(flowRun: FlowRun): void {
    const { submitted, ended } = flowRun
    const entries = submitted.length + 2 * ended.length
    if (entries === 0) return
    // The body is being handed values: it may be about to call more.
    const { groups = 1 } = this.#load
    if (submitted.length > 0 && entries < mostGathered * groups && flowRun.handing.length > 0) {
      this.#writeSoon(flowRun)
      return
    }
    flowRun.submitted = []
    flowRun.ended = []
    flowRun.isWriting = true
    const most = Math.max(1, Math.min(Math.ceil((this.#backlog * groups) / perWorker), mostOffered * groups))
    this.stored.journal++
    this.#ownerSends(() => {
      this.#serverDoes(2, () => {
        this.#ownerGets(0, () => this.#written(flowRun, chunksOf(submitted, most), ended))
      })
    })
  }

  #written(flowRun: FlowRun, chunks: readonly (readonly Call[])[], ended: readonly Call[]): void {
    flowRun.isWriting = false
    for (const chunk of chunks) this.#offer(chunk)
    const isHanding = flowRun.handing.length > 0
    flowRun.handing.push(...ended)
    if (!isHanding && ended.length > 0) this.#handOver(flowRun)
    this.#writeSoon(flowRun)
  }

  /** One value in a turn; the body then calls again. */
  #handOver(flowRun: FlowRun): void {
    this.owner.do(this.#service.owner.run / 2, () => {
      const call = flowRun.handing.shift()
      if (call === undefined) return
      flowRun.live--
      this.times.push(this.simulation.now - call.at)
      this.#call(flowRun)
      if (flowRun.live === 0) this.flowRunTimes.push(this.simulation.now - flowRun.at)
      if (flowRun.handing.length > 0) this.#handOver(flowRun)
    })
  }

  #offer(chunk: readonly Call[]): void {
    this.stored.queue++
    this.#ownerSends(() => {
      this.#serverDoes(2, () => {
        this.#ownerGets(0, () => undefined)
        this.#waiting.push(chunk)
        this.#deliver()
      })
    })
  }

  #accept(flowRun: FlowRun, calls: readonly Call[]): void {
    this.#backlog -= calls.length
    flowRun.ended.push(...calls)
    this.#writeSoon(flowRun)
  }

  // --- the worker -------------------------------------------------------------------------------------------------

  #deliver(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const chunk = next
      if (this.#atWorker > 0 && this.#atWorker + chunk.length > room) return
      this.#waiting.shift()
      this.#atWorker += chunk.length
      this.#serverDoes(1, () => this.#workerGets(chunk.length, () => this.#ran(chunk)))
    }
  }

  #ran(chunk: readonly Call[]): void {
    this.#atWorker -= chunk.length
    this.#deliver()
    const flowRun = chunk[0]?.flowRun
    if (flowRun === undefined) return
    flowRun.reports.push(chunk)
    if (flowRun.isReporting) return
    flowRun.isReporting = true
    this.worker.do(0, () => this.#report(flowRun))
  }

  #report(flowRun: FlowRun): void {
    const chunks = flowRun.reports
    flowRun.reports = []
    const calls = chunks.flat()
    this.stored.mailbox++
    const stored = (): void => {
      this.#ownerGets(calls.length / 2, () => this.#accept(flowRun, calls))
      this.#workerGets(0, () => this.#reported(flowRun, chunks.length))
    }
    this.#workerSends(() => this.#serverDoes(3, stored, calls.length))
  }

  /** What was delivered is acknowledged when the report on it is safe. */
  #reported(flowRun: FlowRun, chunks: number): void {
    for (let i = 0; i < chunks; i++) this.#workerSends(() => this.#serverDoes(1, () => undefined))
    if (flowRun.reports.length > 0) this.#report(flowRun)
    else flowRun.isReporting = false
  }

  // --- messages ---------------------------------------------------------------------------------------------------

  #ownerSends(then: () => void): void {
    this.#message(this.counters.owner)
    this.owner.do(this.#service.owner.message, () => this.simulation.after(this.#service.hop, then))
  }

  #ownerGets(runs: number, then: () => void): void {
    this.simulation.after(this.#service.hop, () => {
      this.#message(this.counters.owner)
      const { message, run } = this.#service.owner
      this.owner.do(message + run * runs, then)
    })
  }

  #workerSends(then: () => void): void {
    this.#message(this.counters.worker)
    this.worker.do(this.#service.worker.message, () => this.simulation.after(this.#service.hop, then))
  }

  #workerGets(runs: number, then: () => void): void {
    this.simulation.after(this.#service.hop, () => {
      this.#message(this.counters.worker)
      const { message, run } = this.#service.worker
      this.worker.do(message + run * runs, then)
    })
  }

  #serverDoes(messages: number, then: () => void, runs = 0): void {
    this.counters.server.messages += messages
    const { message, run } = this.#service.server
    this.server.do(message * messages + run * runs, then)
  }

  #message(counter: Counter): void {
    counter.messages++
  }
}

function chunksOf(calls: readonly Call[], most: number): readonly (readonly Call[])[] {
  const chunks: (readonly Call[])[] = []
  for (let i = 0; i < calls.length; i += most) chunks.push(calls.slice(i, i + most))
  return chunks
}

/** Simulates a load on the path. */
export function simulate(service: Service, load: Load): Outcome {
  const path = new Path(service, load)
  const done = (count: number) => () => path.times.length >= count
  const warmup = Math.ceil(load.measured / 4)
  path.begin()
  path.simulation.run(done(warmup))
  const before = snapshot(path)
  path.simulation.run(done(warmup + load.measured))
  const after = snapshot(path)
  const runs = after.runs - before.runs
  const spent = (of: 'owner' | 'worker' | 'server'): Spent => ({
    messages: (after[of].messages - before[of].messages) / runs,
    wakes: (after[of].wakes - before[of].wakes) / runs,
    cpu: (after[of].work - before[of].work) / runs,
  })
  const times = percentilesOf(path.times.slice(before.runs))
  const flowRunTimes = percentilesOf(path.flowRunTimes.slice(before.flowRuns))
  return {
    perSecond: (runs / (after.now - before.now)) * 1e6,
    p50: times.p50,
    p99: times.p99,
    flowRunP50: flowRunTimes.p50,
    flowRunP99: flowRunTimes.p99,
    owner: spent('owner'),
    worker: spent('worker'),
    server: spent('server'),
    stored: {
      journal: (after.stored.journal - before.stored.journal) / runs,
      queue: (after.stored.queue - before.stored.queue) / runs,
      mailbox: (after.stored.mailbox - before.stored.mailbox) / runs,
    },
  }
}

function snapshot(path: Path) {
  const of = (name: 'owner' | 'worker' | 'server') => ({
    messages: path.counters[name].messages,
    wakes: path[name].wakes,
    work: path[name].work,
  })
  return {
    now: path.simulation.now,
    runs: path.times.length,
    flowRuns: path.flowRunTimes.length,
    stored: { ...path.stored },
    owner: of('owner'),
    worker: of('worker'),
    server: of('server'),
  }
}

function percentilesOf(times: readonly number[]): { readonly p50: number; readonly p99: number } {
  const sorted = [...times].sort((a, b) => a - b)
  const at = (part: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? NaN
  return { p50: at(0.5), p99: at(0.99) }
}
