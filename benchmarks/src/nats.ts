import type { Benchmark, Case, Durability, Figure, Group } from './lib/benchmark.ts'
import type { MeasureName } from './lib/catalogue.ts'
import type { Params } from './lib/measure.ts'
import type { Options } from './lib/options.ts'
import { prepareFor } from './peers/needs.ts'

/** Of the cases that promise something else than Troupe does. */
const promised: Partial<Record<MeasureName, Durability>> = {
  // Without a journal: who asked and is gone has lost all.
  'nats/official': 'none',
  'nats/light': 'none',
  'peers/bullmq-memory': 'memory',
}

/** Code of an engine is warm only after several seconds of CPU time, and again a second after a collection; the same for all. */
const measured =
  ({ warmupMs, windowMs }: Options, where: Partial<Params> = {}) =>
  (label: string, measure: MeasureName, inFlight: number): Case => {
    const n = Math.max(200, 10 * inFlight)
    const params = {
      n,
      subscribers: 0,
      warmupMs: 1.5 * warmupMs,
      // One at a time is warm only after thousands that went so: those before it came in groups.
      ...(inFlight === 1 && { settlingMs: warmupMs / 2 }),
      windowMs: (inFlight === 1 ? 4 : 3) * windowMs,
      inFlight,
      ...where,
    }
    // Little but waiting: as much CPU time would take minutes.
    if (where.sync === true) {
      const durability = promised[measure] ?? 'power'
      return { label, measure, params: { ...params, warmupMs: 300, windowMs: 200 }, durability }
    }
    return { label, measure, params, durability: promised[measure] ?? 'process' }
  }

const perRun = ['cpu µs/run', 'worker cpu µs/run', 'server cpu µs/run', 'messages/run', 'B/run'] as const
const spans = ['submit → value p50 µs', 'submit → value p99 µs'] as const

const ratio = (over: string, reading: string, target?: Figure['target']): Figure => ({
  label: `troupe / ${over}, ${reading}`,
  formula: (read) => read('troupe', reading) / read(over, reading),
  ...(target && { target }),
})

const messages: Figure = {
  label: 'messages per task run',
  formula: (read) => read('troupe', 'messages/run'),
  target: { atMost: 1.5 },
}

const bullMq = { process: 'BullMQ, Redis with AOF', memory: 'BullMQ, Redis in memory' } as const

/** All side by side, so many task runs at the same time. The aim beside BullMQ is that beside a Redis that keeps nothing. */
function loops(options: Options, inFlight: number): Group {
  const one = measured(options)
  const several = [
    ratio(bullMq.process, 'runs/s'),
    ratio(bullMq.memory, 'runs/s', { atLeast: 2 }),
    ratio('bare loop', 'runs/s', { atLeast: 0.9 }),
    ratio('light bare loop', 'runs/s'),
    ...(inFlight === 200 ? [messages] : []),
  ]
  const single = [
    ratio('bare loop', spans[0], { atMost: 1.8 }),
    ratio(bullMq.process, spans[0]),
    ratio(bullMq.memory, spans[0], { atMost: 1.2 }),
    ratio('light bare loop', spans[0]),
  ]
  return {
    title: `loop: ${inFlight} in flight`,
    cases: [
      one('bare loop', 'nats/official', inFlight),
      one('light bare loop', 'nats/light', inFlight),
      one(bullMq.process, 'peers/bullmq-process', inFlight),
      one(bullMq.memory, 'peers/bullmq-memory', inFlight),
      one('troupe', 'nats/troupe', inFlight),
    ],
    shown: ['runs/s', ...perRun, ...spans],
    figures: inFlight === 1 ? single : several,
  }
}

/** Elsewhere: the same on three servers, and where every message is synced. */
function elsewhere(options: Options, title: string, where: Partial<Params>): Group {
  const one = measured(options, where)
  return {
    title,
    cases: [
      one('bare loop', 'nats/official', 200),
      one('light bare loop', 'nats/light', 200),
      one('troupe', 'nats/troupe', 200),
      one('bare loop, 1 in flight', 'nats/official', 1),
      one('troupe, 1 in flight', 'nats/troupe', 1),
    ],
    shown: ['runs/s', ...perRun, ...spans],
    figures: [
      ratio('bare loop', 'runs/s'),
      ratio('light bare loop', 'runs/s'),
      {
        label: `1 in flight: troupe / bare loop, ${spans[0]}`,
        formula: (read) => read('troupe, 1 in flight', spans[0]) / read('bare loop, 1 in flight', spans[0]),
      },
    ],
  }
}

function transitions(): Group {
  const names = ['call → Pending', 'return → Completed']
  return {
    title: 'transitions: to a subscriber on another process',
    cases: [
      {
        label: 'troupe',
        measure: 'nats-transitions/paced',
        params: { n: 1_000, subscribers: 1, warmupMs: 0, windowMs: 0 },
      },
    ],
    shown: names.flatMap((name) => [`${name} p50 µs`, `${name} p99 µs`]),
    figures: names.map((name) => ({
      label: `${name}, p99 µs`,
      formula: (read) => read('troupe', `${name} p99 µs`),
      target: { atMost: 10_000 },
    })),
  }
}

function waiting(): Group {
  const params = {
    n: 10_000,
    subscribers: 0,
    warmupMs: 0,
    windowMs: 10_000,
  }
  return {
    title: 'waiting flow runs',
    cases: [
      { label: 'bodies kept', measure: 'nats-waiting/held', params },
      { label: 'suspended', measure: 'nats-waiting/suspended', params },
    ],
    shown: [
      'messages/s',
      'owner B/run',
      'server B/run',
      'owner rss MB',
      'server MB',
      'owner cpu %',
      'server cpu %',
      'started/s',
    ],
    figures: [],
  }
}

/** Task runs and waiting flow runs on several processes that meet at nats-server, beside BullMQ on Redis. */
export const nats: Benchmark = {
  name: 'nats',
  durability: 'process',
  about:
    'task runs of one process on another by way of NATS, beside bare JetStream loops and BullMQ on Redis',
  prepare: prepareFor,
  groups: (options) => [
    ...[1, 20, 200, 1_000].map((inFlight) => loops(options, inFlight)),
    elsewhere(options, 'three servers, three replicas: 200 in flight', { servers: 3 }),
    elsewhere(options, 'sync_interval: always: 200 in flight', { sync: true }),
    transitions(),
    waiting(),
  ],
}
