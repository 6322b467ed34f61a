import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Benchmark } from './benchmark.ts'
import { evaluate } from './evaluate.ts'
import type { GroupResult } from './evaluate.ts'
import type { Options } from './options.ts'
import { interleave } from './rounds.ts'
import { load, readSurroundings } from './surroundings.ts'
import { tables } from './table.ts'

const print = (text: string): boolean => process.stdout.write(`${text}\n`)

/** Runs a benchmark, prints it, writes its results file and gives whether no child failed. */
export async function runBenchmark(benchmark: Benchmark, options: Options): Promise<boolean> {
  const surroundings = { ...readSurroundings(), ...(await benchmark.prepare?.()) }
  const loadBefore = load()
  print(`\n# ${benchmark.name}: ${benchmark.about}\n`)
  for (const [name, value] of Object.entries(surroundings)) {
    print(`${name}: ${typeof value === 'object' ? JSON.stringify(value) : value}`)
  }
  print(`rounds: ${options.rounds}`)
  const groups: GroupResult[] = []
  for (const group of benchmark.groups(options)) {
    if (!group.title.includes(options.only)) continue
    const result = evaluate(group, await interleave(group, options.rounds))
    print(tables(result))
    groups.push(result)
  }
  const loads = { before: loadBefore, after: load() }
  print(`load before and after: ${loads.before}, ${loads.after}`)
  const { name, about } = benchmark
  save(fileName(name, options), { name, about, at: new Date(), options, surroundings, loads, groups })
  return groups.every(({ cases }) => cases.every((one) => one.rounds.every((round) => !('failure' in round))))
}

/** A quick or partial run must not take the place of real results. */
function fileName(name: string, { quick, only }: Options): string {
  const [major] = process.versions.node.split('.')
  return `${name}${quick || only !== '' ? '.draft' : ''}.node${major}.json`
}

function save(name: string, results: object): void {
  const folder = new URL('../../results/', import.meta.url)
  mkdirSync(folder, { recursive: true })
  const file = fileURLToPath(new URL(name, folder))
  // Where another commit was built is nobody's business.
  const shown = (key: string, value: unknown): unknown => (key === 'checkout' ? undefined : value)
  writeFileSync(file, `${JSON.stringify(results, shown, 2)}\n`)
  print(`results: ${file}`)
}
