import type { Benchmark, Case, Durability, Figure, Group } from './lib/benchmark.ts'
import { shapeReadings } from './cases/shapes.ts'
import type { MeasureName } from './lib/catalogue.ts'
import type { Options } from './lib/options.ts'
import { natsServerVersion } from './nats/server.ts'
import { installPeers, peerVersions } from './peers/install.ts'
import { postgresVersion } from './peers/postgres.ts'
import { installPrefect, prefectVersions } from './peers/prefect.ts'
import { fetchRedis, redisVersion } from './peers/redis.ts'
import { buildTemporalServer, temporalServer } from './peers/temporal.ts'

/** Task runs in a sequence and in a fan-out, and flow runs; said in the label, for each has as many as it does in about a second. */
interface Size {
  readonly n: number
  readonly flows?: number
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
  (name: string, { measure, durability, waits = false, n, flows }: Asked): Case => {
    const sizes = { n, ...(flows !== undefined && { flows }) }
    const told = Object.entries(sizes).map(([key, count]) => `${key} ${count.toLocaleString('en')}`)
    return {
      label: `${name} (${told.join(', ')})`,
      measure,
      params: {
        ...sizes,
        subscribers: 0,
        warmupMs: warmupMs / 2,
        windowMs: 2 * windowMs,
        ...(waits && { wallMs: 3_000 }),
      },
      durability,
      ...(measure === 'peers/openworkflow' && { node24: true }),
    }
  }

/** Each reading of the first case over that of each other one; times the other way round, so that more is better. */
function group(title: string, [ours, ...others]: readonly [Case, ...Case[]]): Group {
  const nameOf = ({ label }: Case): string => label.replace(/ \(.*/, '')
  const ratios = others.flatMap((other): Figure[] => [
    ...perSecond.map((reading) => ({
      label: `${reading.replace(/:.*/, '')}: ${nameOf(ours)} / ${nameOf(other)}`,
      formula: (read: (label: string, name: string) => number) =>
        read(ours.label, reading) / read(other.label, reading),
    })),
    {
      label: `${shapeReadings.alone}: time of ${nameOf(other)} / of ${nameOf(ours)}`,
      formula: (read) => read(other.label, alone) / read(ours.label, alone),
    },
  ])
  return { title, cases: [ours, ...others], shown: [...perSecond, alone], figures: ratios }
}

/** Trivial flows of trivial tasks, beside what people would take instead; each row says what its runs survive. */
export const peers: Benchmark = {
  name: 'peers',
  about: 'trivial flows on one machine, beside other engines at the same durability',
  prepare: async () => {
    installPeers('common')
    installPeers('temporal')
    installPrefect()
    buildTemporalServer()
    fetchRedis()
    return {
      ...peerVersions('common'),
      ...peerVersions('temporal'),
      'temporal-server': temporalServer,
      ...prefectVersions(),
      postgres: postgresVersion() ?? 'none',
      redis: redisVersion() ?? 'none',
      'nats-server': (await natsServerVersion()) ?? 'none',
    }
  },
  groups: (options) => {
    const one = withOptions(options)
    /** By way of a disk or of another process. */
    const waiting = (durability: Durability) => (name: string, measure: MeasureName, size: Size) =>
      one(name, { measure, durability, waits: true, ...size })
    const [atProcess, atPower, atMemory] = [waiting('process'), waiting('power'), waiting('memory')]
    const limited = one('troupe', { measure: 'trivial/limited', durability: 'memory', n: 10_000 })
    const pQueue = one('p-queue', { measure: 'peers/p-queue', durability: 'none', n: 10_000 })
    const prefect = { n: 50, flows: 20 }
    const temporal = { n: 200, flows: 100 }
    return [
      group('memory: one process', [
        one('troupe', { measure: 'trivial/memory', durability: 'memory', n: 5_000, flows: 2_000 }),
        one('Effect Workflow', { measure: 'peers/effect', durability: 'memory', n: 2_000, flows: 1_000 }),
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
        atProcess('troupe', 'trivial/process', { n: 2_000, flows: 1_000 }),
        atProcess('Prefect, server', 'peers/prefect-server', prefect),
        atProcess('Prefect, ephemeral server', 'peers/prefect-ephemeral', prefect),
        atProcess('Prefect, server and Dask, a process for each core', 'peers/prefect-dask', { n: 50 }),
        atProcess('Temporal, activities', 'peers/temporal-process', temporal),
        atProcess('Temporal, local activities', 'peers/temporal-process-local', temporal),
      ]),
      group('power: SQLite and PostgreSQL', [
        atPower('troupe', 'trivial/power', { n: 500, flows: 500 }),
        atPower('DBOS, PostgreSQL', 'peers/dbos', { n: 500, flows: 200 }),
        atPower('openworkflow', 'peers/openworkflow', { n: 500, flows: 200 }),
        atPower('Temporal, activities', 'peers/temporal-power', temporal),
        atPower('Temporal, local activities', 'peers/temporal-power-local', temporal),
      ]),
      group('server: one node, and a server that keeps all in memory', [
        atMemory('troupe, NATS', 'trivial/nats-memory', { n: 1_000, flows: 500 }),
        atMemory('Temporal, activities', 'peers/temporal-memory', temporal),
        atMemory('Temporal, local activities', 'peers/temporal-memory-local', temporal),
      ]),
      group('server: tasks on another process', [
        atProcess('troupe, NATS', 'nats/troupe-shapes', { n: 1_000 }),
        atMemory('BullMQ, Redis', 'peers/bullmq-shapes', { n: 1_000 }),
      ]),
    ]
  },
}
