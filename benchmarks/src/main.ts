import { fileURLToPath } from 'node:url'
import { benchmarks } from './benchmarks.ts'
import { rerunOnNode24 } from './lib/node24.ts'
import { readOptions } from './lib/options.ts'
import { runBenchmark } from './lib/run.ts'

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args)
  const unknown = options.names.filter((name) => !benchmarks.some((benchmark) => benchmark.name === name))
  if (unknown.length > 0) throw new RangeError(`no benchmark ${unknown.join(', ')}`)
  if (options.node24) return rerunOnNode24(fileURLToPath(import.meta.url), args)
  let complete = true
  for (const benchmark of benchmarks) {
    if (options.names.length > 0 && !options.names.includes(benchmark.name)) continue
    complete = (await runBenchmark(benchmark, options)) && complete
  }
  return complete ? 0 : 1
}

process.exitCode = await main(process.argv.slice(2))
