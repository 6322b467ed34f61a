import type { Benchmark, Case } from './lib/benchmark.ts'
import type { MeasureName } from './lib/catalogue.ts'
import { loopDelay } from './lib/loop-delay.ts'
import type { Options } from './lib/options.ts'
import { prepareFor } from './peers/needs.ts'

/** Twice the usual CPU time to measure, since much of what is measured waits for the disk. */
const measured =
  (options: Options) =>
  (label: string, measure: MeasureName, n: number): Case => {
    const params = { n, subscribers: 0, warmupMs: options.warmupMs, windowMs: 2 * options.windowMs }
    const [, less] = /-(process|memory)$/.exec(measure) ?? []
    const durability = less === 'process' || less === 'memory' ? less : 'power'
    // Little but waiting: nothing to warm up, and much CPU time would take long.
    if (measure.startsWith('sqlite/')) {
      return {
        label,
        measure,
        params: { ...params, warmupMs: 100, windowMs: options.windowMs / 2 },
        durability,
      }
    }
    return {
      label,
      measure,
      params,
      durability,
      ...(measure.startsWith('peers/openworkflow') && { node24: true }),
    }
  }

/** Task runs of a flow run in a sequence, and of 100 flow runs at once; openworkflow takes no more than 1,000 in one. */
const inSequence = 500
const atOnce = 5_000

/** Durable task runs beside DBOS, openworkflow and bare SQLite, all safe against power loss unless the label says less. */
export const durable: Benchmark = {
  name: 'durable',
  durability: 'power',
  about: 'durable task runs, beside DBOS on PostgreSQL, openworkflow on SQLite, and bare commits of SQLite',
  prepare: prepareFor,
  groups: (options) => {
    const one = measured(options)
    return [
      {
        title: 'sequential: one flow run, one task run after the other',
        cases: [
          one('file, write and sync', 'sqlite/file', inSequence),
          one('bare SQLite, 1 row a commit', 'sqlite/rows-1', inSequence),
          one('troupe', 'durable/sequential-power', inSequence),
          one('troupe, no thread', 'durable/sequential-inline-power', inSequence),
          one('troupe, process', 'durable/sequential-process', inSequence),
          one('troupe, no thread, process', 'durable/sequential-inline-process', inSequence),
          one('troupe, memory', 'durable/sequential-memory', inSequence),
          one('DBOS', 'peers/dbos-sequential', inSequence),
          one('openworkflow', 'peers/openworkflow-sequential', inSequence),
        ],
        shown: ['runs/s', 'cpu µs/run', 'commits/run', 'B/run', loopDelay],
        figures: [
          {
            label: 'troupe / DBOS',
            formula: (read) => read('troupe', 'runs/s') / read('DBOS', 'runs/s'),
            target: { atLeast: 5 },
          },
          {
            label: 'troupe, no thread / DBOS',
            formula: (read) => read('troupe, no thread', 'runs/s') / read('DBOS', 'runs/s'),
          },
          {
            label: 'troupe / openworkflow',
            formula: (read) => read('troupe', 'runs/s') / read('openworkflow', 'runs/s'),
          },
          {
            label: 'troupe, no thread / openworkflow',
            formula: (read) => read('troupe, no thread', 'runs/s') / read('openworkflow', 'runs/s'),
          },
          {
            label: 'troupe / bare SQLite',
            formula: (read) => read('troupe', 'runs/s') / read('bare SQLite, 1 row a commit', 'runs/s'),
          },
          {
            label: 'commits per task run',
            formula: (read) => read('troupe', 'commits/run'),
            target: { atMost: 1.02 },
          },
        ],
      },
      {
        title: 'parallel: 100 flow runs at once, 50 task runs each',
        cases: [
          one('bare SQLite, 100 rows a commit', 'sqlite/rows-100', atOnce),
          one('bare SQLite, 1000 rows a commit', 'sqlite/rows-1000', atOnce),
          one('troupe', 'durable/fan-outs-power', atOnce),
          one('troupe, one after the other in each', 'durable/chains-power', atOnce),
          one('troupe, process', 'durable/fan-outs-process', atOnce),
          one('troupe, memory', 'durable/fan-outs-memory', atOnce),
          one('DBOS', 'peers/dbos-fan-outs', atOnce),
          one('DBOS, one after the other in each', 'peers/dbos-chains', atOnce),
          one('openworkflow, one after the other in each', 'peers/openworkflow-chains', atOnce),
        ],
        shown: ['runs/s', 'cpu µs/run', 'commits/run', 'B/run', loopDelay],
        figures: [
          {
            label: 'troupe / DBOS',
            formula: (read) => read('troupe', 'runs/s') / read('DBOS', 'runs/s'),
          },
          {
            label: 'troupe / the better of DBOS',
            formula: (read) =>
              read('troupe', 'runs/s') /
              Math.max(read('DBOS', 'runs/s'), read('DBOS, one after the other in each', 'runs/s')),
            target: { atLeast: 30 },
          },
          {
            label: 'one after the other in each: troupe / DBOS',
            formula: (read) =>
              read('troupe, one after the other in each', 'runs/s') /
              read('DBOS, one after the other in each', 'runs/s'),
          },
          {
            label: 'one after the other in each: troupe / openworkflow',
            formula: (read) =>
              read('troupe, one after the other in each', 'runs/s') /
              read('openworkflow, one after the other in each', 'runs/s'),
          },
          {
            label: 'troupe / bare SQLite, 1000 rows a commit',
            formula: (read) => read('troupe', 'runs/s') / read('bare SQLite, 1000 rows a commit', 'runs/s'),
          },
        ],
      },
      {
        title: 'recovery: a journal of 100,000 entries',
        cases: [
          one('troupe', 'durable/recovery-power', 100_000),
          one('troupe, memory', 'durable/recovery-memory', 100_000),
        ],
        shown: ['entries/s', 'entries/s, first', 'entries/s with replay', 'entries/s with replay, first'],
        figures: [
          {
            label: 'entries read and folded per second',
            formula: (read) => read('troupe', 'entries/s'),
            target: { atLeast: 100_000 },
          },
        ],
      },
      {
        title: 'restart: 10,000 finished flow runs, 1,000 that wait',
        cases: [
          one('troupe', 'durable/restart-power', 10_000),
          one('troupe, memory', 'durable/restart-memory', 10_000),
        ],
        shown: [
          'ms until all are back',
          'ms until all are found',
          'ms until all are back, first',
          'µs per live run',
        ],
        figures: [],
      },
      {
        title: 'flatness: a task run at entry 10,000 beside one at entry 10',
        cases: [
          one('troupe', 'durable/flatness-power', 10_000),
          one('troupe, process', 'durable/flatness-process', 10_000),
          one('troupe, memory', 'durable/flatness-memory', 10_000),
        ],
        shown: ['µs early', 'µs late'],
        figures: [
          {
            label: 'at 10,000 / at 10',
            formula: (read) => read('troupe', 'µs late') / read('troupe', 'µs early'),
            target: { atMost: 1.2 },
          },
          {
            label: 'at 10,000 / at 10, process',
            formula: (read) => read('troupe, process', 'µs late') / read('troupe, process', 'µs early'),
          },
        ],
      },
    ]
  },
}
