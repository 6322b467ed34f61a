import type { Benchmark, Case, Figure, Group } from './lib/benchmark.ts'
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

const cases = ({ warmupMs, windowMs }: Options) => {
  /** Every shape is warmed up anew, in a process in which much is warm already. */
  const shape = { subscribers: 0, warmupMs: warmupMs / 2, windowMs: 2 * windowMs }
  const one = (name: string, measure: MeasureName, size: Size): Case => {
    const sizes = Object.entries({ n, ...flows }).map(
      ([key, count]) => `${key} ${count.toLocaleString('en')}`,
    )
    return { label: `${name} (${sizes.join(', ')})`, measure, params: { ...shape, n, ...flows } }
  }
  return {
    one,
    /** What mostly waits, for a disk or for others: no CPU time of this process says how long it takes. */
    waiting: (name: string, measure: MeasureName, size: Size): Case => {
      const made = one(name, measure, size)
      return { ...made, params: { ...made.params, wallMs: 3_000 } }
    },
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
    const { one, waiting } = cases(options)
    const bounded = { shown: ['runs/s', 'cpu µs/run'] }
    const [limited, pQueue] = [
      one('troupe', 'trivial/limited', { n: 10_000 }),
      one('p-queue', 'peers/p-queue', { n: 10_000 }),
    ]
    const prefect = { n: 50, flows: 20 }
    const temporal = { n: 200, flows: 100 }
    return [
      group('memory: one process, nothing survives', [
        one('troupe', 'trivial/memory', { n: 5_000, flows: 2_000 }),
        one('Effect Workflow', 'peers/effect', { n: 2_000, flows: 1_000 }),
      ]),
      {
        title: 'memory: async functions, at most 100 at once; p-queue has no runs, states or journal',
        cases: [limited, pQueue],
        ...bounded,
        figures: [
          {
            label: 'troupe / p-queue',
            formula: (read) => read(limited.label, 'runs/s') / read(pQueue.label, 'runs/s'),
          },
        ],
      },
      group('process: what is recorded survives the death of a process; SQLite', [
        waiting('troupe', 'trivial/process', { n: 2_000, flows: 1_000 }),
        waiting('Prefect, server, task runs told later', 'peers/prefect-server', prefect),
        waiting('Prefect, ephemeral server, task runs told later', 'peers/prefect-ephemeral', prefect),
        waiting('Prefect, server, Dask, 1 process a core', 'peers/prefect-dask', prefect),
        waiting('Temporal, activities', 'peers/temporal-process', temporal),
        waiting('Temporal, local activities', 'peers/temporal-process-local', temporal),
      ]),
      group('power: what is recorded survives the loss of power; SQLite and PostgreSQL', [
        waiting('troupe', 'trivial/power', { n: 500, flows: 500 }),
        waiting('DBOS, PostgreSQL', 'peers/dbos', { n: 500, flows: 200 }),
        { ...waiting('openworkflow', 'peers/openworkflow', { n: 500, flows: 200 }), node24: true },
        waiting('Temporal, activities', 'peers/temporal-power', temporal),
        waiting('Temporal, local activities', 'peers/temporal-power-local', temporal),
      ]),
      group('server, one node: recorded in the memory of a server, survives the death of the node', [
        waiting('troupe, NATS', 'trivial/nats-memory', { n: 1_000, flows: 500 }),
        waiting('Temporal, activities', 'peers/temporal-memory', temporal),
        waiting('Temporal, local activities', 'peers/temporal-memory-local', temporal),
      ]),
      group('server, tasks on another process: NATS with files, Redis in memory', [
        waiting('troupe, NATS', 'nats/troupe-shapes', { n: 1_000 }),
        waiting('BullMQ, Redis', 'peers/bullmq-shapes', { n: 1_000 }),
      ]),
    ]
  },
}
