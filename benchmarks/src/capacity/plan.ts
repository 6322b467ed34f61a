import { costsOf, costsOfFlowRun, threeServers, type Costs, type Shape, type Stored } from './model.ts'
import { titles } from '../counts.ts'
import type { Service } from './path.ts'

/** What is to be done in a day. */
export interface Demand {
  readonly taskRunsPerDay: number
  /** Task runs of a flow run. */
  readonly length: number
  readonly shape: Shape
  /** CPU time of a task's own code, in microseconds. */
  readonly bodyCpu: number
  /** For how long flow runs that have ended are kept, in days. */
  readonly keptDays: number
  /** How many times the average the busiest hour has. */
  readonly peak: number
  /** 1, or 3 for a cluster of three servers. */
  readonly replicas: 1 | 3
}

/** What that takes. */
export interface Plan {
  readonly perSecond: number
  readonly atPeak: number
  readonly owners: number
  readonly workers: number
  /** Cores of all servers together. */
  readonly serverCores: number
  readonly messagesPerSecond: number
  /** Messages that are stored each second, in the busiest stream. */
  readonly storedPerSecond: number
  readonly networkMBps: number
  readonly writtenMBps: number
  /** Flow runs that are kept, and what they take on the disks of all servers. */
  readonly kept: number
  readonly diskGB: number
  /** Memory of all servers, for what is kept. */
  readonly memoryGB: number
  readonly namespaces: number
  /** Why not fewer: what one namespace can't do more of. */
  readonly because: 'looks' | 'list' | 'stream' | 'sweep' | ''
}

/** What is decided, not measured. */
export const limits = {
  /** How busy an event loop, or a server, is meant to be at the peak: see the waiting times of the simulation. */
  busy: 0.6,
  /** Heap of a node for the list of what is kept in its namespace, in bytes: half of Node's default. */
  listHeap: 2e9,
  /** Of the stored messages per second that one stream was seen to take. */
  streamPart: 0.5,
  /** Of the time of an owner's event loop, what may go into reading what others have written. */
  lookPart: 0.2,
} as const

const secondsPerDay = 86_400
/** How often an owner looks for flow runs that nobody has: `reconcileMs` of `engine/cluster.ts`. */
const lookSeconds = 15

/** Stored messages of one stream each second, as the light bare loop does it on the shared cores of the benchmark. */
const streamRate = ({ nats }: Stored): number =>
  nats.median('loop: 1000 in flight', 'light bare loop', 'runs/s')

/** Task runs per second at which one of each is as busy as it can be. */
export interface Ends {
  readonly owner: number
  readonly worker: number
  /** One core of a server. */
  readonly serverCore: number
  /** One stream, by messages. */
  readonly stream: number
}

/** Where each part ends, of flow runs of so many task runs. */
export function endsOf(
  stored: Stored,
  service: Service,
  { shape, length }: Pick<Demand, 'shape' | 'length'>,
): Ends {
  const each = perTaskRun(costsOf(stored, shape), costsOfFlowRun(stored), length)
  return {
    owner: 1e6 / (each.owner * service.owner.share),
    worker: 1e6 / (each.worker * service.worker.share),
    serverCore: 1e6 / each.server,
    stream: streamRate(stored) / busiest(each),
  }
}

/** Stored messages of a task run, in the stream that has most. */
const busiest = ({ journalMessages, queueMessages, mailboxMessages }: Costs): number =>
  Math.max(journalMessages, queueMessages, mailboxMessages)

/** What a server has in memory of a flow run that is kept, for good. */
export const serverBytes = ({ counts }: Stored): number =>
  counts.median(titles.kept, 'the server started anew', 'server B/flow run')

/** Works out what a demand takes. */
export function plan(stored: Stored, service: Service, demand: Demand): Plan {
  const { taskRunsPerDay, length, shape, bodyCpu, keptDays, peak, replicas } = demand
  const each = perTaskRun(costsOf(stored, shape), costsOfFlowRun(stored), length)
  const perSecond = taskRunsPerDay / secondsPerDay
  const atPeak = perSecond * peak
  /** Event loops that so many microseconds each keep busy. */
  const loops = (cpu: number): number => Math.ceil((atPeak * cpu) / 1e6 / limits.busy)
  const kept = (taskRunsPerDay / length) * keptDays
  const left = (reading: string): number => stored.counts.median(titles.kept, 'one task run each', reading)
  const storedPerSecond = atPeak * busiest(each)
  /** Part of an owner's time, were there one namespace. */
  const read = readPerSecond(atPeak * each.journalMessages, kept)
  const looks = (read * left('node cpu µs/flow run listed')) / 1e6
  const copies = replicas === 3 ? threeServers(stored) : 1
  return {
    perSecond,
    atPeak,
    owners: loops(each.owner * service.owner.share),
    workers: loops(each.worker * service.worker.share + bodyCpu),
    serverCores: (atPeak * each.server * copies) / 1e6 / limits.busy,
    messagesPerSecond: atPeak * each.messages,
    storedPerSecond,
    networkMBps: (atPeak * each.bytes) / 1e6,
    writtenMBps: (atPeak * each.journalBytes * replicas) / 1e6,
    kept,
    diskGB: (kept * length * each.journalBytes * replicas) / 1e9,
    memoryGB: (kept * serverBytes(stored) * replicas) / 1e9,
    ...namespacesOf({
      stream: storedPerSecond / (streamRate(stored) * limits.streamPart),
      list: (kept * left('node B/flow run')) / limits.listHeap,
      looks: looks / limits.lookPart,
      // What ends in a day is forgotten in a day.
      sweep: ((perSecond / length) * left('ms/flow run forgotten')) / 1e3 / limits.busy,
    }),
  }
}

/**
 * Records that each owner of a namespace reads: all that were written since it looked last, or where that is too many the newest of each
 * flow run, as `journal/summaries.ts` of the transport has it.
 */
function readPerSecond(written: number, kept: number): number {
  const missing = written * lookSeconds
  return (missing > 1_000 + 2 * kept ? kept : missing) / lookSeconds
}

/** The most of what each bound asks for. */
function namespacesOf(
  bounds: Readonly<Record<Exclude<Plan['because'], ''>, number>>,
): Pick<Plan, 'namespaces' | 'because'> {
  const [because, most] = Object.entries(bounds).reduce((a, b) => (b[1] > a[1] ? b : a)) as [
    Plan['because'],
    number,
  ]
  const namespaces = Math.max(1, Math.ceil(most))
  return { namespaces, because: namespaces === 1 ? '' : because }
}

/** A task run with its part of its flow run. */
function perTaskRun(task: Costs, flowRun: Costs, length: number): Costs {
  const both = (name: keyof Costs): number => task[name] + flowRun[name] / length
  return {
    owner: both('owner'),
    worker: both('worker'),
    server: both('server'),
    messages: both('messages'),
    bytes: both('bytes'),
    journalMessages: both('journalMessages'),
    queueMessages: both('queueMessages'),
    mailboxMessages: both('mailboxMessages'),
    journalBytes: both('journalBytes'),
  }
}
