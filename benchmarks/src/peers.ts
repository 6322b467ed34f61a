import type { Benchmark, Case, Durability, Figure, Group, Read } from './lib/benchmark.ts'
import { shapeReadings } from './cases/shapes.ts'
import type { MeasureName } from './lib/catalogue.ts'
import type { Options } from './lib/options.ts'
import { prepareFor } from './peers/needs.ts'

/**
 * Task runs in a sequence and in a fan-out, and flow runs; said in the label, for each peer has as many as it does in about a
 * second, and Troupe has a case with as many for each.
 */
interface Size {
  readonly n: number
  readonly flows?: number
  /** What is to be known of the case, in a few words; said in the label, too. */
  readonly note?: string
}

const perSecond = [
  shapeReadings.sequence,
  shapeReadings.fanOut,
  shapeReadings.empty,
  shapeReadings.single,
  shapeReadings.subflows,
] as const
const alone = `${shapeReadings.alone} p50 µs`

/** What of an engine is measured. */
interface Asked extends Size {
  readonly measure: MeasureName
  readonly durability: Durability
  /** It mostly waits, for a disk or for others: no CPU time of this process says how long it takes. */
  readonly waits?: boolean
}

/** Every shape is warmed up anew, in a process in which much is warm already. */
const withOptions =
  ({ warmupMs, windowMs }: Options) =>
  (name: string, { measure, durability, waits = false, n, flows, note }: Asked): Case => {
    const sizes = { n, ...(flows !== undefined && { flows }) }
    const told = Object.entries(sizes).map(([key, count]) => `${key} ${count.toLocaleString('en')}`)
    return {
      label: `${name} (${note === undefined ? '' : `${note}; `}${told.join(', ')})`,
      measure,
      params: {
        ...sizes,
        subscribers: 0,
        warmupMs: warmupMs / 2,
        windowMs: 2 * windowMs,
        ...(waits && { wallMs: 2_000 }),
      },
      durability,
      parts: flows === undefined ? 2 : perSecond.length,
      ...(measure === 'peers/openworkflow' && { node24: true }),
    }
  }

const nameOf = ({ label }: Case): string => label.replace(/ \(.*/, '')

/**
 * Each reading of Troupe over that of each peer; times the other way round, so that more is better. Of Troupe's cases the one
 * counts that does as many as the peer: more at once would cost less each. Beside a peer that does task runs alone it may do flow
 * runs, too, which are measured apart.
 */
function group(title: string, cases: readonly Case[]): Group {
  const isOurs = (one: Case): boolean => nameOf(one).startsWith('troupe')
  const besideOf = ({ params: { n, flows } }: Case): Case | undefined =>
    cases.find(
      (one) => isOurs(one) && one.params.n === n && (flows === undefined || one.params.flows === flows),
    )
  const ratios = cases.flatMap((other): Figure[] => {
    const ours = isOurs(other) ? undefined : besideOf(other)
    if (ours === undefined) return []
    return [
      ...perSecond.map((reading) => ({
        label: `${reading.replace(/:.*/, '')}: ${nameOf(ours)} / ${nameOf(other)}`,
        formula: (read: Read) => read(ours.label, reading) / read(other.label, reading),
      })),
      {
        label: `${shapeReadings.alone}: time of ${nameOf(other)} / of ${nameOf(ours)}`,
        formula: (read) => read(other.label, alone) / read(ours.label, alone),
      },
    ]
  })
  return { title, cases, shown: [...perSecond, alone], figures: ratios }
}

/** Trivial flows of trivial tasks, beside what people would take instead; each row says what its runs survive. */
export const peers: Benchmark = {
  name: 'peers',
  about: 'trivial flows on one machine, beside other engines at the durability that comes nearest',
  prepare: prepareFor,
  groups: (options) => {
    const one = withOptions(options)
    /** By way of a disk or of another process. */
    const waiting = (durability: Durability) => (name: string, measure: MeasureName, size: Size) =>
      one(name, { measure, durability, waits: true, ...size })
    const [atProcess, atPower, atMemory] = [waiting('process'), waiting('power'), waiting('memory')]
    const limited = one('troupe', { measure: 'trivial/limited', durability: 'memory', n: 10_000 })
    const pQueue = one('p-queue', { measure: 'peers/p-queue', durability: 'none', n: 10_000 })
    const effect = { n: 2_000, flows: 1_000, durability: 'memory' } as const
    const prefect = { n: 100, flows: 20 }
    const toldLater = { ...prefect, note: 'told of task runs later' }
    const dask = { n: 20 }
    const temporal = { n: 200, flows: 100 }
    const recordedAtTheEnd = { ...temporal, note: 'recorded together at the end' }
    const steps = { n: 500, flows: 200 }
    return [
      group('memory: one process', [
        one('troupe', { measure: 'trivial/memory', ...effect }),
        one('Effect Workflow', { measure: 'peers/effect', ...effect, note: 'its engine in memory' }),
      ]),
      {
        title: 'memory: async functions, 100 at once; p-queue has no runs, states or journal',
        cases: [limited, pQueue],
        shown: ['runs/s', 'cpu µs/run'],
        figures: [
          {
            label: 'troupe / p-queue',
            formula: (read) => read(limited.label, 'runs/s') / read(pQueue.label, 'runs/s'),
          },
        ],
      },
      group('process: SQLite; Prefect has a server, which is told of task runs later', [
        atProcess('troupe', 'trivial/process', prefect),
        atProcess('troupe', 'trivial/process', dask),
        atProcess('Prefect, server', 'peers/prefect-server', toldLater),
        atProcess('Prefect, server and threads, its default task runner', 'peers/prefect-threads', {
          n: prefect.n,
          note: toldLater.note,
        }),
        atProcess('Prefect on PostgreSQL', 'peers/prefect-postgres', toldLater),
        atProcess('Prefect, ephemeral server', 'peers/prefect-ephemeral', toldLater),
        atProcess('Prefect, server and Dask, a process for each core', 'peers/prefect-dask', {
          ...dask,
          note: toldLater.note,
        }),
      ]),
      group('process: Temporal, its development server on SQLite', [
        atProcess('troupe', 'trivial/process', temporal),
        atProcess('Temporal, activities', 'peers/temporal-process', temporal),
        atProcess('Temporal, local activities', 'peers/temporal-process-local', recordedAtTheEnd),
      ]),
      group('power: SQLite and PostgreSQL', [
        atPower('troupe', 'trivial/power', steps),
        atPower('DBOS, PostgreSQL', 'peers/dbos', steps),
        atPower('openworkflow', 'peers/openworkflow', { ...steps, note: 'Node 24' }),
      ]),
      group('power: Temporal, its development server on SQLite', [
        atPower('troupe', 'trivial/power', temporal),
        atPower('Temporal, activities', 'peers/temporal-power', temporal),
        atPower('Temporal, local activities', 'peers/temporal-power-local', recordedAtTheEnd),
      ]),
      group('server: one node, and a server that keeps all in memory', [
        atMemory('troupe, NATS', 'trivial/nats-memory', temporal),
        atMemory('Temporal, activities', 'peers/temporal-memory', temporal),
        atMemory('Temporal, local activities', 'peers/temporal-memory-local', recordedAtTheEnd),
      ]),
      group('server: tasks on another process', [
        atProcess('troupe, NATS', 'nats/troupe-shapes', { n: 1_000 }),
        atProcess('BullMQ, Redis with AOF', 'peers/bullmq-process-shapes', { n: 1_000 }),
        atMemory('BullMQ, Redis in memory', 'peers/bullmq-memory-shapes', { n: 1_000 }),
      ]),
    ]
  },
}
