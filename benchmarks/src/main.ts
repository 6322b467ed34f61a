import { fileURLToPath } from 'node:url'
import { benchmarks } from './benchmarks.ts'
import type { Benchmark } from './lib/benchmark.ts'
import { compareWithStored } from './lib/compare.ts'
import { rerunOnNode24 } from './lib/node24.ts'
import { readOptions, UsageError, type Options } from './lib/options.ts'
import { estimate, inWords } from './lib/plan.ts'
import { runBenchmark } from './lib/run.ts'
import { endOnSignals } from './lib/signals.ts'
import { runSmallest, smallestCases } from './lib/smallest.ts'
import { asksForHelp, chosenOf, usage } from './lib/usage.ts'
import { ratios } from './ratios.ts'

async function main(args: readonly string[]): Promise<number> {
  if (asksForHelp(args)) {
    process.stdout.write(usage(benchmarks))
    return 0
  }
  try {
    const options = readOptions(args)
    if (options.node24) return rerunOnNode24(fileURLToPath(import.meta.url), args)
    const chosen = chosenOf(benchmarks, options)
    return (await (options.quick ? runQuick(chosen, options) : runWhole(chosen, options))) ? 0 : 1
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    process.stderr.write(`${error.message}\n(bench --help says what there is)\n`)
    return 1
  }
}

async function runWhole(chosen: readonly Benchmark[], options: Options): Promise<boolean> {
  announce(chosen, options)
  let complete = true
  for (const benchmark of chosen) complete = (await runBenchmark(benchmark, options)) && complete
  return complete
}

/** Says how long it takes, before it does. */
function announce(chosen: readonly Benchmark[], options: Options): void {
  const each = chosen.map((benchmark) => [benchmark.name, estimate(benchmark, options)] as const)
  const total = each.reduce((sum, [, seconds]) => sum + seconds, 0)
  const list = each.map(([name, seconds]) => `${name} ${inWords(seconds)}`).join(', ')
  process.stdout.write(`this takes about ${inWords(total)} on a machine that does nothing else: ${list}\n`)
}

/** The ratios of the repository, where no other benchmark is named, then each measurement once. */
async function runQuick(chosen: readonly Benchmark[], options: Options): Promise<boolean> {
  const startedAt = performance.now()
  const isAsBefore =
    options.names.length > 0 && !options.names.includes(ratios.name)
      ? true
      : await compareWithStored(ratios, options)
  const others = chosen.filter((benchmark) => benchmark !== ratios)
  const cases = smallestCases(others, options)
  const worked = await runSmallest(cases)
  const took = inWords((performance.now() - startedAt) / 1e3)
  process.stdout.write(
    `${cases.length} measurements done once each: ${worked ? 'all worked' : 'SOME FAILED, see above'}\n` +
      `costs beside those stored: ${isAsBefore ? 'none is beyond its bound' : 'SOME GOT WORSE, see the table'}\n` +
      `took ${took}\n`,
  )
  return isAsBefore && worked
}

endOnSignals()
process.exitCode = await main(process.argv.slice(2))
