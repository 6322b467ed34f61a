import type { Benchmark, Case, Figure } from './lib/benchmark.ts'
import type { MeasureName } from './lib/catalogue.ts'
import type { Options } from './lib/options.ts'

const task = 'CPU time of a task run / of a bare'

/** Cases, and the figures that are computed of each: a label and the reading that it is. */
const compared: readonly (readonly [string, MeasureName, number, readonly (readonly [string, string])[]])[] =
  [
    ['chain', 'ratios/chain', 250, [[`chain: ${task} actor`, 'cost']]],
    ['fan-out', 'ratios/fan-out', 1_000, [[`fan-out of 1,000: ${task} actor`, 'cost']]],
    [
      'flow runs',
      'ratios/flow-runs',
      250,
      [['250 at once: CPU time of a flow run / of a bare actor', 'cost']],
    ],
    ['threads', 'ratios/threads', 1_000, [[`1,000 small tasks on two threads: ${task} actor`, 'cost']]],
    [
      'sequence',
      'ratios/sequence',
      50,
      [
        [`sequence in SQLite: ${task} commit`, 'cost'],
        ['sequence in SQLite: commits per task run', 'commits/run'],
      ],
    ],
    ['finished', 'ratios/finished-bytes', 20_000, [['bytes per finished task run', 'cost']]],
    ['waiting', 'ratios/waiting-bytes', 20_000, [['bytes per waiting task run', 'cost']]],
    ['messages', 'ratios/messages', 1_000, [['over NATS, 200 in flight: messages per task run', 'cost']]],
  ]

/** Short, for the minute that all may take: what is compared need not be as fast as it gets, only as fast as before. */
const cases = ({ burn }: Options): readonly Case[] =>
  compared.map(([label, measure, n]) => ({
    label,
    measure,
    params: { n, subscribers: 1, warmupMs: 500, windowMs: 20, burn, ...(label === 'messages' && loop) },
  }))

/** Seconds of many task runs at once, so that what is counted is not the beginning. */
const loop = { inFlight: 200, warmupMs: 300, windowMs: 300 }

const figures: readonly Figure[] = compared.flatMap(([label, , , readings]) =>
  readings.map(([figure, reading]) => ({ label: figure, formula: (read) => read(label, reading) })),
)

/**
 * What `bench:quick` compares. Each figure is a cost, the less the better. The rounds that are kept in the results are its
 * yardstick: their mean, and their spread with none, one, two or four cores' worth of other work on the machine.
 */
export const ratios: Benchmark = {
  name: 'ratios',
  about: 'costs as multiples of the least possible, and counts: what bench:quick compares with',
  rounds: 32,
  load: (round) => [0, 1, 2, 4][round % 4] ?? 0,
  byNameOnly: true,
  durability: 'memory',
  groups: (options) => [{ title: 'ratios', cases: cases(options), shown: ['cost', 'cpu µs/run'], figures }],
}
