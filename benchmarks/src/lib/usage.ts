import type { Benchmark } from './benchmark.ts'
import { UsageError, type Options } from './options.ts'
import { groupsOf } from './plan.ts'

/** Whether the command line asks what it may be. */
export const asksForHelp = (args: readonly string[]): boolean =>
  args.some((arg) => arg === '--help' || arg === '-h')

/** What may be typed. */
export const usage = (benchmarks: readonly Benchmark[]): string => `bench [benchmark …] [option …]

${benchmarks.map(({ name, byNameOnly = false, about }) => `  ${name.padEnd(9)} ${about}${byNameOnly ? '; only by name' : ''}`).join('\n')}

  --only <word>        only groups whose title has this word; results are a draft
  --rounds <number>    5 by default; with fewer, results are a draft
  --quick              each measurement once, as small as it gets, and costs beside those stored; nothing is written
  --node24             on Node 24, which is fetched
  --against <commit>   the other commit of \`commits\`
  --burn <share>       of \`ratios\`: burns so much CPU time besides, which has to be found

Results go to benchmarks/results, when a benchmark has ended. benchmarks/README.md says how all is measured.
`

/**
 * The benchmarks that the command line asks for: those named, or all but those that are only run by name. With `--only`, those
 * that have such a group.
 *
 * @throws {@link UsageError} Where there is no such benchmark, or no such group.
 */
export function chosenOf(benchmarks: readonly Benchmark[], options: Options): readonly Benchmark[] {
  const { names, only } = options
  const unknown = names.filter((name) => !benchmarks.some((benchmark) => benchmark.name === name))
  if (unknown.length > 0) {
    const all = benchmarks.map(({ name }) => name).join(', ')
    throw new UsageError(`no benchmark ${unknown.join(', ')}; there are ${all}`)
  }
  const named = benchmarks.filter(({ name, byNameOnly = false }) =>
    names.length === 0 ? !byNameOnly : names.includes(name),
  )
  const asked = named.map((benchmark) => ({
    benchmark,
    titles: groupsOf(benchmark, { ...options, only: '' }).map(({ title }) => title),
  }))
  const without = asked.find(({ titles }) => titles.length === 0)
  if (without !== undefined) throw new UsageError(`${without.benchmark.name} takes --against <commit>`)
  const chosen = asked.filter(({ titles }) => titles.some((title) => title.includes(only)))
  if (chosen.length > 0) return chosen.map(({ benchmark }) => benchmark)
  const all = asked.flatMap(({ titles }) => titles).join('\n  ')
  throw new UsageError(`no group has "${only}" in its title; there are\n  ${all}`)
}
