import { relative } from 'node:path'
import { durabilities, type Benchmark, type Group } from './benchmark.ts'
import { evaluate } from './evaluate.ts'
import type { GroupResult } from './evaluate.ts'
import type { Options } from './options.ts'
import { groupsOf, inWords, isThere, roundsOf, whyDraft, whyDraftAfter } from './plan.ts'
import { writeResults } from './results.ts'
import { interleave } from './rounds.ts'
import { load, readSurroundings } from './surroundings.ts'
import { tables } from './table.ts'

const print = (text: string): boolean => process.stdout.write(`${text}\n`)

/** Runs a benchmark, prints it, writes its results file and gives whether no child failed. */
export async function runBenchmark(benchmark: Benchmark, options: Options): Promise<boolean> {
  const { name, about } = benchmark
  const startedAt = performance.now()
  const groups = groupsOf(benchmark, options)
  const surroundings = { ...readSurroundings(), ...(await benchmark.prepare?.(groups)) }
  const rounds = roundsOf(benchmark, options)
  const expected = whyDraft(benchmark, options, surroundings.commit)
  // Said before it takes its time, and once more at the end.
  if (expected !== undefined) process.stderr.write(`${name}: its results will be a draft: ${expected}\n`)
  const loadBefore = load()
  print(`\n# ${name}: ${about}\n`)
  for (const [key, value] of Object.entries(surroundings)) {
    print(`${key}: ${typeof value === 'object' ? JSON.stringify(value) : value}`)
  }
  print(`rounds: ${rounds}, in turns\nload of the machine before: ${loadBefore}`)
  printDurabilities(groups)
  const results: GroupResult[] = []
  for (const group of groups) {
    const result = evaluate(group, await interleave(group, rounds, benchmark.load))
    print(tables(result))
    results.push(result)
  }
  const draft = expected ?? whyDraftAfter(results)
  const loads = { before: loadBefore, after: load() }
  const tookSeconds = Math.round((performance.now() - startedAt) / 1e3)
  print(`load before and after: ${loads.before}, ${loads.after}; took ${inWords(tookSeconds)}`)
  const file = writeResults(
    {
      name,
      about,
      at: new Date(),
      tookSeconds,
      options: { ...options, rounds },
      surroundings,
      loads,
      groups: results,
    },
    draft !== undefined,
  )
  print(`results: ${relative('', file)}`)
  if (draft !== undefined) print(`a draft, at which neither git nor the table of README.md looks: ${draft}`)
  return !isThere('failure', results)
}

/** What the words in the column `kept` mean, as far as they are there. */
function printDurabilities(groups: readonly Group[]): void {
  const used = new Set(groups.flatMap(({ cases }) => cases.map(({ durability }) => durability)))
  for (const durability of used) {
    if (durability) print(`kept: ${durability} = ${durabilities[durability]}`)
  }
}
