import { titles } from '../counts.ts'
import { wrapped } from '../lib/readme-table.ts'
import { costsOf, costsOfFlowRun, type Stored } from './model.ts'
import type { Service } from './path.ts'
import { limits, plan, type Demand } from './plan.ts'
import { short, table } from './tables.ts'

const kept = ({ counts }: Stored, reading: string): number =>
  counts.median(titles.kept, 'one task run each', reading)

/** What the looks of owners cost. */
export function looks(stored: Stored): string {
  const node = kept(stored, 'node cpu µs/flow run listed')
  const server = kept(stored, 'server cpu µs/flow run listed')
  const most = (limits.lookPart * 1e6) / node
  const { journalMessages } = costsOf(stored, 'narrow')
  return wrapped(
    `A header read takes ${short(node)} µs of the node and ${short(server)} µs of the server (measured). So at ${short(most)} records a second in ` +
      `its namespace, which are ${short(most / journalMessages)} task runs one after the other, each owner spends ${limits.lookPart * 100} % of its time on looks. ` +
      'Beyond that, take another namespace.',
  )
}

/** What it costs to forget flow runs. */
export function forgetting(stored: Stored): string {
  const messages = kept(stored, 'messages/flow run forgotten')
  const ms = kept(stored, 'ms/flow run forgotten')
  return wrapped(
    `${short(messages)} messages each, with ${short(ms)} ms from one to the next where 10,000 are kept (measured), so about ` +
      `${short(1e3 / ms)} a second. A namespace in which more flow runs end than that keeps more and more of them, whatever \`keep\` says.`,
  )
}

/** One server, three, and one that syncs each message. */
export function threeServersTable({ nats }: Stored): string {
  const one = (inFlight: number) => (reading: string) =>
    nats.median(`loop: ${inFlight} in flight`, 'troupe', reading)
  const other = (title: string, inFlight: number) => (reading: string) =>
    nats.median(title, inFlight === 1 ? 'troupe, 1 in flight' : 'troupe', reading)
  const three = 'three servers, three replicas: 200 in flight'
  const synced = 'sync_interval: always: 200 in flight'
  const row = (title: string, of: (inFlight: number) => (reading: string) => number) => [
    title,
    ...[200, 1].flatMap((inFlight) => [
      of(inFlight)('server cpu µs/run'),
      of(inFlight)('submit → value p50 µs') / 1e3,
    ]),
  ]
  return table(
    [
      'measured, all servers on one machine',
      '200 in flight: CPU µs of all servers',
      'p50 ms',
      'one in flight: CPU µs',
      'p50 ms',
    ],
    [
      row('one server', one),
      row('three, three replicas', (inFlight) => other(three, inFlight)),
      row('one, `sync_interval: always`', (inFlight) => other(synced, inFlight)),
    ],
  )
}

/** An order service, as an example. */
const orders = { perDay: 2e6, length: 12, waitsDays: 2, keptDays: 7, bodyCpu: 5_000, peak: 4 }

/** What an order service takes, worked out step by step. */
export function example(stored: Stored, service: Service): string {
  const { perDay, length, waitsDays, keptDays, bodyCpu, peak } = orders
  const demand: Demand = {
    taskRunsPerDay: perDay * length,
    length,
    shape: 'narrow',
    bodyCpu,
    keptDays,
    peak,
    replicas: 3,
  }
  const worked = plan(stored, service, demand)
  const task = costsOf(stored, 'narrow')
  const flowRun = costsOfFlowRun(stored)
  const waiting = perDay * waitsDays
  const bytesOf = (side: 'owner' | 'server'): number =>
    stored.nats.median('waiting flow runs', 'suspended', `${side} B/run`) * waiting
  const owner = task.owner + flowRun.owner / length
  const lines = [
    wrapped(
      `${short(perDay)} orders a day, each a flow run of ${length} task runs one after the other, whose bodies take ${bodyCpu / 1e3} ms of CPU time ` +
        `each. An order waits ${waitsDays} days for a signal, is kept for ${keptDays} days when it has ended, and the busiest hour has ${peak} times the average.`,
    ),
    '',
    `- ${short(worked.perSecond)} task runs a second on average, ${short(worked.atPeak)} at the peak.`,
    `- *Owners*: ${short(task.owner)} µs a task run and a part of ${short(flowRun.owner)} µs for its flow run are ${short(owner)} µs, of which the event loop has ` +
      `${Math.round(service.owner.share * 100)} %. At the peak that keeps ${short((worked.atPeak * owner * service.owner.share) / 1e6)} of them busy; at ${limits.busy * 100} % each that is ${worked.owners}.`,
    `- *Workers*: ${worked.workers} processes, nearly all for the bodies.`,
    `- *Servers*: ${short(worked.serverCores)} cores of all three together, ${short(worked.networkMBps)} MB/s, ${short(worked.writtenMBps)} MB/s to disks.`,
    `- *What is kept*: ${short(worked.kept / 1e6)} million flow runs, ${short(worked.diskGB)} GB on all disks, ${short(worked.memoryGB)} GB of memory of all servers.`,
    `- *What waits*: ${short(waiting / 1e6)} million, suspended: ${short(bytesOf('owner') / 1e9)} GB of memory of all owners, ${short((3 * bytesOf('server')) / 1e9)} GB of all servers. A process of Node has 4 GB by default, so it is this that asks for ${Math.ceil(bytesOf('owner') / limits.listHeap)} owners or more, not the CPU.`,
    `- *Namespaces*: ${worked.namespaces}${worked.because === '' ? '' : `, for \`${worked.because}\``}.`,
  ]
  return lines.join('\n')
}
