import type { Benchmark, Group } from './benchmark.ts'
import type { Options } from './options.ts'
import { readResults } from './results.ts'

/** Fewer say too little of the spread for results that are kept. */
const fewestRounds = 5

/** What a child needs besides warm-up and window, by and large: to start, to make what it measures, to end. */
const besidesMs = 1_500

/** Rounds of a benchmark: what the command line says, else what the benchmark says. */
export const roundsOf = ({ rounds }: Benchmark, options: Options): number =>
  options.rounds ?? rounds ?? fewestRounds

/** Whether less is measured than what is kept in the repository. */
export const isPartial = (benchmark: Benchmark, options: Options): boolean =>
  options.quick ||
  options.only !== '' ||
  options.burn > 0 ||
  roundsOf(benchmark, options) < (benchmark.rounds ?? fewestRounds)

/** The groups that the command line asks for. */
export const groupsOf = (benchmark: Benchmark, options: Options): readonly Group[] =>
  benchmark
    .groups(options)
    .filter((group) => group.title.includes(options.only))
    .map((group) => ({ ...group, cases: group.cases.map((one) => ({ ...kept(benchmark), ...one })) }))

const kept = ({ durability }: Benchmark): Pick<Benchmark, 'durability'> =>
  durability === undefined ? {} : { durability }

/**
 * About how long a benchmark takes, in seconds: as long as it took when its results were kept, or where that was never done, the
 * CPU time that it asks for. On a busy machine it takes longer.
 */
export function estimate(benchmark: Benchmark, options: Options): number {
  const rounds = roundsOf(benchmark, options)
  const before = options.only === '' ? readResults(benchmark.name) : undefined
  if (before?.tookSeconds !== undefined) return (before.tookSeconds * rounds) / before.options.rounds
  const ofOne = groupsOf(benchmark, options)
    .flatMap(({ cases }) => cases)
    .reduce((sum, { params }) => sum + params.warmupMs + params.windowMs + besidesMs, 0)
  return (ofOne * rounds) / 1e3
}

/** A duration in words. */
export const inWords = (seconds: number): string =>
  seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`
