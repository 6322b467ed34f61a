import { narrowAt, shapeLabel, titles, valueLabel, valueSizes, wideAt } from '../counts.ts'
import type { Validation } from './check.ts'
import { costsOf, costsOfFlowRun, costsOfSize, readCosts, type Costs, type Stored } from './model.ts'
import type { Service } from './path.ts'
import { limits, serverBytes, type Ends, type Plan } from './plan.ts'
import type { Waits } from './waits.ts'

type Cell = string | number

/** Three digits, as many as are known at most. */
export const short = (value: number): string => {
  if (Number.isNaN(value)) return '–'
  if (Math.abs(value) >= 1_000) return Number(value.toPrecision(3)).toLocaleString('en')
  return Number(value.toPrecision(Math.abs(value) < 1 ? 2 : 3)).toString()
}

const cell = (value: Cell): string => (typeof value === 'number' ? short(value) : value)

/** A Markdown table; figures stand at the right. */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  const aligned = head.map((_, i) => (rows.some((row) => typeof row[i] === 'number') ? '---:' : '---'))
  return [line(head), `|${aligned.join('|')}|`, ...rows.map((row) => line(row.map(cell)))].join('\n')
}

const costHead = [
  'messages',
  'stored in journal, queue, mailbox',
  'bytes through servers',
  'bytes in journal',
  'CPU µs: owner',
  'worker',
  'server',
]

const costRow = (costs: Costs): readonly Cell[] => [
  costs.messages,
  `${short(costs.journalMessages)}, ${short(costs.queueMessages)}, ${short(costs.mailboxMessages)}`,
  costs.bytes,
  costs.journalBytes,
  costs.owner,
  costs.worker,
  costs.server,
]

/** What one task run costs, by how many are in flight. */
export function costTable({ counts }: Stored): string {
  const row = (label: string): readonly Cell[] => {
    const read = (name: string): number => counts.median(titles.shapes, label, `${name}/run`)
    return [label, ...costRow(readCosts(read))]
  }
  const labels = [...wideAt.map(shapeLabel.wide), ...narrowAt.map(shapeLabel.narrow)]
  return table(['', ...costHead], labels.map(row))
}

/** What one task run costs, by the size of its argument and its result. */
export function sizeTable(stored: Stored): string {
  const { counts } = stored
  const objects = (bytes: number, name: string): number =>
    counts.median(titles.values, valueLabel(bytes), `object ${name}/run`)
  return table(
    ['argument and result, each', ...costHead, 'object store: messages', 'bytes'],
    valueSizes.map((bytes) => [
      valueLabel(bytes),
      ...costRow(costsOfSize(stored, bytes)),
      objects(bytes, 'messages'),
      objects(bytes, 'B'),
    ]),
  )
}

/** What a flow run costs by itself, and with ten task runs. */
export function flowRunTable(stored: Stored): string {
  const ofTen = (name: string): number =>
    stored.counts.median(titles.flowRuns, 'ten task runs, one after the other', `${name}/flow run`)
  return table(
    ['a flow run, started by another node', ...costHead],
    [
      ['no task run', ...costRow(costsOfFlowRun(stored))],
      ['ten task runs, one after the other', ...costRow(readCosts(ofTen))],
    ],
  )
}

/** Messages that whoever awaits a flow run from another node costs, for each of its task runs. */
export function followed(stored: Stored): string {
  const ofTen = stored.counts.median(
    titles.flowRuns,
    'ten task runs, one after the other',
    'messages/flow run',
  )
  const more = (ofTen - costsOfFlowRun(stored).messages) / 10 - costsOf(stored, 'narrow').messages
  return `Whoever awaits or watches a flow run from another node follows its journal, which was ${short(more)} messages for each of these task runs.`
}

/** What flow runs take that nothing happens to. */
export function restTable({ nats, counts }: Stored): string {
  const kept = (reading: string): number => counts.median(titles.kept, 'one task run each', reading)
  const waiting = (label: string, reading: string): number => nats.median('waiting flow runs', label, reading)
  const idle = (runs: string): string =>
    short(counts.median(titles.waiting, `${runs} suspended`, 'messages/s'))
  const rows = table(
    ['a flow run', 'owner: bytes', 'server: bytes', 'journal: bytes'],
    [
      ['its body waits', waiting('bodies kept', 'owner B/run'), waiting('bodies kept', 'server B/run'), ''],
      ['suspended', waiting('suspended', 'owner B/run'), waiting('suspended', 'server B/run'), ''],
      [
        'has ended, is kept; one task run',
        `${short(kept('node B/flow run'))}, each node that has listed them`,
        `${short(serverBytes({ nats, counts }))}; ${short(kept('server B/flow run'))} at first`,
        kept('journal B/flow run'),
      ],
    ],
  )
  return `${rows}\n\nThe server had ${idle('1,000')} messages a second with 1,000 that wait, and ${idle('10,000')} with 10,000.`
}

/** Messages of clusters that do nothing. */
export function idleTable({ counts }: Stored): string {
  const read = (name: string) => (title: string) => counts.median(titles.idle, 'all', `${name}, ${title}`)
  const messages = read('messages/s')
  const row = (title: string, clusters: readonly string[]): readonly Cell[] => [
    title,
    ...clusters.map((cluster) => (cluster === '' ? '' : messages(cluster))),
  ]
  return table(
    ['messages per second, in and out of the server', '1 node', '2 nodes', '4 nodes', '8 nodes'],
    [
      row('nodes that serve nothing', ['1 nodes', '2 nodes', '4 nodes', '8 nodes']),
      row('each in one of two namespaces', ['', '', '4 nodes, 2 namespaces', '']),
      row('each in a namespace of its own', ['', '', '4 nodes, 4 namespaces', '']),
      row('nodes that serve a flow', ['1 owners', '', '4 owners', '']),
      row('nodes that serve a queue', ['1 workers', '', '4 workers', '']),
    ],
  )
}

/** What the simulation was made of. */
export function serviceTable(service: Service): string {
  const row = (name: 'owner' | 'worker' | 'server'): readonly Cell[] => {
    const { run, message, wake, share } = service[name]
    return [name, run, message, wake, `${Math.round(share * 100)} %`]
  }
  const head = ['CPU µs', 'a task run', 'a message', 'to begin', 'on the way of task runs']
  return table(head, [row('owner'), row('worker'), row('server')])
}

/** The simulation beside what was measured. */
export function checkTable(checks: readonly Validation[]): string {
  return table(
    ['', '', 'measured', 'of rounds', 'simulated', 'error'],
    checks.map(({ load, reading, measured, simulated, error, fittedTo }) => [
      load,
      reading,
      measured.median,
      `${short(measured.min)} … ${short(measured.max)}`,
      simulated,
      fittedTo ? 'fitted' : `${error >= 0 ? '+' : ''}${Math.round(error * 100)} %`,
    ]),
  )
}

/** How long task runs take by how busy the owner is. */
export function waitTable(waits: readonly Waits[]): string {
  return table(
    ['load', 'task runs/s', 'owner busy', 'p50 ms', 'p99 ms'],
    waits.map(({ title, perSecond, busy, p50, p99 }) => [
      title,
      perSecond,
      `${Math.round(busy * 100)} %`,
      p50 / 1e3,
      p99 / 1e3,
    ]),
  )
}

/** Where each part of a cluster ends. */
export function endTable(ends: readonly (readonly [title: string, ends: Ends])[]): string {
  return table(
    [
      'task runs per second',
      'one owner',
      'one worker, bodies that cost nothing',
      'one core of a server',
      'one stream',
    ],
    ends.map(([title, { owner, worker, serverCore, stream }]) => [title, owner, worker, serverCore, stream]),
  )
}

/** What so many task runs a day take. */
export function planTable(plans: readonly (readonly [title: string, plan: Plan])[]): string {
  const row = (title: string, of: (plan: Plan) => Cell): readonly Cell[] => [
    title,
    ...plans.map(([, one]) => of(one)),
  ]
  return table(
    ['', ...plans.map(([title]) => title)],
    [
      row('task runs per second, on average', ({ perSecond }) => perSecond),
      row('at the peak', ({ atPeak }) => atPeak),
      row(`owner processes, ${limits.busy * 100} % busy`, ({ owners }) => owners),
      row('worker processes, for bodies that cost nothing', ({ workers }) => workers),
      row('cores of servers', ({ serverCores }) => serverCores),
      row('messages per second', ({ messagesPerSecond }) => messagesPerSecond),
      row('of the busiest stream, stored', ({ storedPerSecond }) => storedPerSecond),
      row('MB/s through servers', ({ networkMBps }) => networkMBps),
      row('MB/s written to disks, for journals', ({ writtenMBps }) => writtenMBps),
      row('flow runs that are kept', ({ kept }) => kept),
      row('GB on disks, for journals that are kept', ({ diskGB }) => diskGB),
      row('GB of memory of servers, for them', ({ memoryGB }) => memoryGB),
      row('namespaces', ({ namespaces, because }) =>
        because === '' ? short(namespaces) : `${short(namespaces)}, \`${because}\``,
      ),
    ],
  )
}
