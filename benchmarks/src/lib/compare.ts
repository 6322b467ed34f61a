import Table from 'cli-table3'
import type { Benchmark, Case, Figure, Group, Read } from './benchmark.ts'
import { measureInChild, type Outcome } from './in-child.ts'
import type { Options } from './options.ts'
import { groupsOf } from './plan.ts'
import { readResults, type Results } from './results.ts'
import { progress } from './rounds.ts'
import { number } from './table.ts'
import { boundOf, type Bound } from './tolerance.ts'

/** A figure that is beyond its bound is measured again, and is an alarm where it is so each time. */
const tries = 3

/** A figure beside what is stored in the repository. */
export interface Compared {
  readonly label: string
  readonly bound: Bound | undefined
  /** The best of the tries; NaN where none gave one. */
  readonly cost: number
  readonly verdict: 'as before' | 'better' | 'worse' | 'nothing stored' | 'failed' | 'not measured'
}

/** Of one round of one case: readings of other cases are not there. */
const reader =
  ({ label }: Pick<Case, 'label'>, outcome: Outcome): Read =>
  (of, reading) =>
    of === label && 'readings' in outcome ? (outcome.readings[reading] ?? NaN) : NaN

/** The figures of a group that are computed of this case. */
const figuresOf = ({ figures }: Group, one: Case): readonly Figure[] =>
  figures.filter(({ formula }) => {
    let isOf = false
    formula((label) => {
      isOf ||= label === one.label
      return NaN
    })
    return isOf
  })

/** The bound of a figure, from the rounds of its case that are stored. */
export function storedBound(figure: Figure, one: Case, stored: Results | undefined): Bound | undefined {
  const rounds = stored?.groups.flatMap(({ cases }) => cases).find(({ label }) => label === one.label)?.rounds
  const costs = (rounds ?? [])
    .map((outcome) => figure.formula(reader(one, outcome)))
    .filter((cost) => !Number.isNaN(cost))
  return costs.length > 0 ? boundOf(costs) : undefined
}

/** Judges a cost, the less the better. */
export function judge(
  cost: number,
  bound: Bound | undefined,
): 'as before' | 'better' | 'worse' | 'nothing stored' {
  if (bound === undefined) return 'nothing stored'
  if (cost > bound.stored * bound.factor) return 'worse'
  return cost < bound.stored / bound.factor ? 'better' : 'as before'
}

/** Measures a case until none of its figures is beyond its bound, three times at most. */
export async function compare(
  one: Case,
  group: Group,
  stored: Results | undefined,
): Promise<readonly Compared[]> {
  const figures = figuresOf(group, one).map((figure) => ({ figure, bound: storedBound(figure, one, stored) }))
  const best = figures.map(() => NaN)
  for (let round = 1; round <= tries; round++) {
    const outcome = await measureInChild(one)
    progress(`${one.label}${round > 1 ? ', again' : ''}`, outcome)
    if (!('readings' in outcome)) {
      const verdict = 'absent' in outcome ? 'not measured' : 'failed'
      return figures.map(({ figure: { label }, bound }) => ({ label, bound, cost: NaN, verdict }))
    }
    for (const [i, { figure }] of figures.entries()) {
      const cost = figure.formula(reader(one, outcome))
      best[i] = best[i] === undefined || Number.isNaN(best[i]) ? cost : Math.min(best[i], cost)
    }
    if (figures.every(({ bound }, i) => judge(best[i] ?? NaN, bound) !== 'worse')) break
  }
  return figures.map(({ figure: { label }, bound }, i) => {
    const cost = best[i] ?? NaN
    return { label, bound, cost, verdict: Number.isNaN(cost) ? 'failed' : judge(cost, bound) }
  })
}

/** Measures what is stored in the repository again, prints it, and gives whether nothing got worse. */
export async function compareWithStored(benchmark: Benchmark, options: Options): Promise<boolean> {
  const stored = readResults(benchmark.name)
  const all: Compared[] = []
  for (const group of groupsOf(benchmark, options)) {
    for (const one of group.cases) all.push(...(await compare(one, group, stored)))
  }
  process.stdout.write(`\n${comparison(all, stored)}\n`)
  return all.every(({ verdict }) => verdict !== 'worse' && verdict !== 'failed')
}

function comparison(all: readonly Compared[], stored: Results | undefined): string {
  const head = ['cost', 'stored', 'now', 'now / stored', 'may be', '']
  const table = new Table({ head, style: { head: [], border: [], compact: true } })
  for (const { label, bound, cost, verdict } of all) {
    const { stored: before = NaN, factor = NaN } = bound ?? {}
    table.push([label, number(before), number(cost), number(cost / before), `≤ ${number(factor)}`, verdict])
  }
  const from = stored
    ? `stored: ${stored.options.rounds} rounds of ${stored.at.slice(0, 10)}, ${stored.surroundings.cpu}, ${stored.surroundings.node}`
    : `nothing is stored for Node ${process.versions.node}`
  return `${table.toString()}\n${from}`
}
