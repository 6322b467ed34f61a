import type { Benchmark, Case } from './benchmark.ts'
import { measureInFewChildren } from './in-child.ts'
import type { Options } from './options.ts'
import { groupsOf } from './plan.ts'
import { progress } from './rounds.ts'

/** So many children at the same time: nothing is compared. Modules with many measurements come first. */
const atOnce = 2

/** A case as small as it gets: nothing is warmed up, and the work is done once. */
function smallest({
  servers: _servers,
  sync: _sync,
  warmupN: _warmupN,
  ...params
}: Case['params']): Case['params'] {
  const { n, flows, subscribers } = params
  const few = (count: number): number => Math.min(100, Math.ceil(count / 10))
  return {
    ...params,
    n: few(n),
    ...(flows !== undefined && { flows: few(flows) }),
    subscribers: Math.min(subscribers, 1),
    warmupMs: 0,
    windowMs: 0,
  }
}

/**
 * Each measurement of the benchmarks once, as small as it gets, in the fewest cases. Those of peers
 * only where their benchmark is named, and what is not installed is absent: only whole runs install.
 */
export function smallestCases(benchmarks: readonly Benchmark[], options: Options): readonly Case[] {
  const cases = new Map<string, Case>()
  for (const benchmark of benchmarks) {
    if (benchmark.needsRegistry === true) continue
    for (const one of groupsOf(benchmark, options).flatMap((group) => group.cases)) {
      if (one.measure.startsWith('peers/') && !options.names.includes(benchmark.name)) continue
      cases.set(one.measure, { ...one, params: smallest(one.params) })
    }
  }
  return [...cases.values()]
}

/** Runs them, to see that they work, each module of them in a process of its own; gives whether all did. */
export async function runSmallest(cases: readonly Case[]): Promise<boolean> {
  const modules = new Map<string, Case[]>()
  for (const one of cases) {
    const name = one.measure.replace(/\/.*/, '')
    modules.set(name, [...(modules.get(name) ?? []), one])
  }
  const left = [...modules.values()].toSorted((a, b) => b.length - a.length)
  let worked = true
  const lane = async (): Promise<void> => {
    for (let some = left.shift(); some !== undefined; some = left.shift()) {
      let startedAt = performance.now()
      await measureInFewChildren(some, (one, outcome) => {
        worked = worked && !('failure' in outcome)
        const now = performance.now()
        progress(`${one.measure}, once, in ${Math.round(now - startedAt)} ms`, outcome)
        startedAt = now
      })
    }
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
  return worked
}
