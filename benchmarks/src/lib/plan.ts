import type { Benchmark, Case, Group } from './benchmark.ts'
import type { GroupResult } from './evaluate.ts'
import type { Options } from './options.ts'
import { readResults } from './results.ts'
import { dirty, unknownCommit } from './surroundings.ts'

/** Fewer say too little of the spread for results that are kept. */
const fewestRounds = 5

/** What a child needs besides warm-up and window, by and large: to start, to make what it measures, to end. */
const besidesMs = 1_500

/** Rounds of a benchmark: what the command line says, else what the benchmark says. */
export const roundsOf = ({ rounds }: Benchmark, options: Options): number =>
  options.rounds ?? rounds ?? fewestRounds

/** Whether less is measured than what is kept in the repository. */
const isPartial = (benchmark: Benchmark, options: Options): boolean =>
  options.quick ||
  options.only !== '' ||
  options.burn > 0 ||
  roundsOf(benchmark, options) < (benchmark.rounds ?? fewestRounds)

/**
 * Why results of a run are no results to keep, in words; undefined where they are. Figures of a checkout with changes that no
 * commit has can't be measured again by anybody.
 */
export function whyDraft(benchmark: Benchmark, options: Options, commit: string): string | undefined {
  if (isPartial(benchmark, options)) return 'less is measured than what is kept'
  if (commit === unknownCommit) return 'this is no checkout of a commit'
  return commit.endsWith(dirty) ? 'the checkout has changes that are not committed' : undefined
}

/** Why what was measured is no result to keep: one with holes would take rows out of the tables. Undefined where all was measured. */
export function whyDraftAfter(results: Measured): string | undefined {
  if (isThere('failure', results)) return 'a measurement failed'
  return isThere('absent', results) ? 'what some of it needs is not on this machine' : undefined
}

/** Whether a round of a case ended so. */
export const isThere = (outcome: 'failure' | 'absent', results: Measured): boolean =>
  results.some(({ cases }) => cases.some(({ rounds }) => rounds.some((round) => outcome in round)))

type Measured = readonly { readonly cases: readonly Pick<GroupResult['cases'][number], 'rounds'>[] }[]

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
    .reduce((sum, one) => sum + partMs(one) * (one.parts ?? 1) + besidesMs, 0)
  return (ofOne * rounds) / 1e3
}

/** Warm-up and window of one part: CPU time, or time by the clock where that is what ends them. */
const partMs = ({ params: { warmupMs, windowMs, wallMs } }: Case): number =>
  wallMs === undefined ? warmupMs + windowMs : 2 * wallMs

/** A duration in words. */
export const inWords = (seconds: number): string =>
  seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`
