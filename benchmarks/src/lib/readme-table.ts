import type { Benchmark, Durability, Target } from './benchmark.ts'
import { durabilities } from './benchmark.ts'
import { figureOfStored, type FigureResult, type GroupResult } from './evaluate.ts'
import { readOptions } from './options.ts'
import { groupsOf } from './plan.ts'
import type { Beside, Row } from './readme-rows.ts'
import type { Results } from './results.ts'
import { number } from './table.ts'

const end = '<!-- end of what is made -->'

/** What a table is made of, said before it. */
export const madeFrom = {
  results: 'benchmarks/results',
  rows: 'the rows of the README',
  targets: 'all benchmarks, and benchmarks/results',
} as const

/** Puts a table where a page has its markers. */
export function withTable(page: string, table: string, from: keyof typeof madeFrom = 'results'): string {
  const begin = `<!-- made by \`pnpm --filter @troupe/benchmarks readme\` from ${madeFrom[from]}: do not edit -->`
  const at = page.indexOf(begin)
  const to = page.indexOf(end, at)
  if (at === -1 || to === -1) throw new Error(`the page lacks its markers, "${begin}" and "${end}"`)
  return `${page.slice(0, at + begin.length)}\n\n${table}\n${page.slice(to)}`
}

/** What the table is made of. */
export interface Sources {
  readonly benchmarks: readonly Benchmark[]
  readonly read: (benchmark: string) => Results | undefined
}

/** The table, and with what it was measured. What was not measured says so. */
export function speedTable(all: readonly Row[], sources: Sources): string {
  // Other engines are measured by a benchmark that not every checkout has.
  const rows = all.filter(({ benchmark }) => benchmark !== 'peers' || sources.benchmarks.some(isPeers))
  const names = [...new Set(rows.map(({ benchmark }) => benchmark))]
  return [
    [
      '| | Troupe | beside it | ratio | kept |',
      '|---|---|---|---|---|',
      ...rows.map((row) => line(row, sources)),
    ].join('\n'),
    wrapped(notes(rows, sources)),
    ...measuredWith(names, sources).map(wrapped),
  ].join('\n\n')
}

const width = 125

/** Prose in lines as the rest of the page has them. */
export function wrapped(text: string): string {
  const lines: string[] = ['']
  for (const word of text.split(' ')) {
    const longer = `${lines.at(-1)} ${word}`.trimStart()
    if (longer.length <= width) lines[lines.length - 1] = longer
    else lines.push(word)
  }
  return lines.join('\n')
}

const isPeers = ({ name }: Benchmark): boolean => name === 'peers'

/** Sizes stand in brackets after a label. */
const isCalled =
  (wanted: string) =>
  ({ label }: { readonly label: string }): boolean =>
    label === wanted || label.startsWith(`${wanted} (`)

function line(row: Row, sources: Sources): string {
  const group = sources.read(row.benchmark)?.groups.find(({ title }) => title === row.group)
  const kept = keptOf(row, row.ours, sources)
  const beside = row.beside.map(({ name, cases }) => {
    const own = keptOf(row, cases[0] ?? '', sources)
    const each = cases.map((label) => shown(group?.cases.find(isCalled(label)), row)).join(' and ')
    return `${name}: ${each}${own === kept ? '' : ` (${own})`}`
  })
  const figureOf = (label: string): FigureResult | undefined => storedFigure(row, group, { label, sources })
  const ratios = row.beside.map(({ figure }: Beside) => ratio(figureOf(figure)))
  const own = row.figure === undefined ? [] : [verdict(figureOf(row.figure))]
  const cells = [
    row.what,
    oursOf(row, group).join('<br>'),
    beside.join('<br>'),
    [...ratios, ...own].filter(Boolean).join('<br>'),
    kept,
  ]
  return `| ${cells.join(' | ')} |`
}

/** As it was computed when it was measured; where the figure is newer than that, from the rounds that are stored. */
function storedFigure(
  { benchmark, group: title }: Row,
  group: GroupResult | undefined,
  { label, sources }: { readonly label: string; readonly sources: Sources },
): FigureResult | undefined {
  const stored = group?.figures.find((figure) => figure.label === label)
  if (group === undefined || stored !== undefined) return stored
  const figure = sources.benchmarks
    .find(({ name }) => name === benchmark)
    ?.groups(readOptions([]))
    .find((one) => one.title === title)
    ?.figures.find((one) => one.label === label)
  if (figure === undefined) throw new Error(`the README's table names a figure "${label}" that is not there`)
  return figureOfStored(figure, group)
}

type CaseResult = GroupResult['cases'][number]

/** The median of each case of ours that is divided in this row: the one that does as many as what stands beside it. */
function oursOf({ ours, beside, ...row }: Row, group: GroupResult | undefined): readonly string[] {
  const all = group?.cases.filter(isCalled(ours)) ?? []
  const nOf = ({ params }: CaseResult): unknown => (params as { readonly n?: unknown }).n
  const divided = beside.map(({ cases: [label = ''] }) => {
    const other = group?.cases.find(isCalled(label))
    return all.find((one) => other !== undefined && nOf(one) === nOf(other)) ?? all[0]
  })
  const distinct = new Set(divided.length > 0 ? divided : [all[0]])
  return [...distinct].map((one) => shown(one, row))
}

/** The median of a case, and how many it did where its label says so. */
function shown(one: CaseResult | undefined, { reading, unit }: Pick<Row, 'reading' | 'unit'>): string {
  const median = one?.readings[reading]?.median
  if (one === undefined || median === undefined || Number.isNaN(median))
    return notMeasured(one ? [one] : []).replaceAll('|', '\\|')
  const [, n] = /\(.*\bn (\d+(?:,\d+)*)/.exec(one.label) ?? []
  return `${number(median)}${unit}${n === undefined ? '' : ` (n ${n})`}`
}

/** Why not, where the results of these cases say it: what one needs was not there. */
export function notMeasured(cases: readonly CaseResult[]): string {
  const missed = cases.flatMap(({ rounds }) => rounds).find((round) => 'absent' in round)
  return missed === undefined ? 'not measured' : `not measured: ${missed.absent}`
}

/** A ratio with the span of its rounds, and whether it is what was aimed at. */
function ratio(figure: FigureResult | undefined): string {
  if (figure === undefined || Number.isNaN(figure.value)) return '–'
  const { min, max } = figure.rounds
  const aim = verdict(figure)
  return `${number(figure.value)} (${number(min)} to ${number(max)})${aim === '' ? '' : `, ${aim}`}`
}

function verdict(figure: FigureResult | undefined): string {
  if (figure?.target === undefined || Number.isNaN(figure.value)) return ''
  const aim = targetText(figure.target)
  return figure.verdict === 'reached' ? `aim ${aim}: reached` : `aim ${aim}: **missed**`
}

/** An aim, in short. */
export const targetText = (target: Target): string =>
  'atLeast' in target ? `≥ ${number(target.atLeast)}` : `≤ ${number(target.atMost)}`

/** As the benchmark says now; a row that names what no benchmark has is an error. */
function keptOf({ benchmark, group }: Row, label: string, { benchmarks }: Sources): Durability | '' {
  const found = benchmarks.find(({ name }) => name === benchmark)
  if (found === undefined)
    throw new Error(`the README's table names a benchmark "${benchmark}" that is not there`)
  const groups = groupsOf(found, readOptions([]))
  const one = groups.find(({ title }) => title === group)?.cases.find(isCalled(label))
  if (one === undefined) {
    throw new Error(`the README's table names "${label}" of "${group}" in "${benchmark}", which is not there`)
  }
  return one.durability ?? ''
}

function notes(rows: readonly Row[], sources: Sources): string {
  const used = new Set(
    rows.flatMap((row) =>
      [row.ours, ...row.beside.map(({ cases }) => cases[0] ?? '')].map((label) =>
        keptOf(row, label, sources),
      ),
    ),
  )
  const words = [...used].flatMap((word) => (word === '' ? [] : [`*${word}*: ${durabilities[word]}`]))
  const sizes = rows.some(({ benchmark }) => benchmark === 'peers')
    ? '*n* is the number of task runs of a flow run, the same for both that are divided. '
    : ''
  return (
    'A ratio is of medians, Troupe over the other: of runs a second the more the better, of times the less. In brackets is what ' +
    `the rounds gave; [the aims](benchmarks/README.md#targets) stand in one list. ${sizes}Kept: ${words.join('; ')}.`
  )
}

/** Date, machine and versions, once for all benchmarks that have them in common. */
function measuredWith(names: readonly string[], { read }: Sources): readonly string[] {
  const by = new Map<string, string[]>()
  const versions = new Map<string, string>()
  for (const name of names) {
    const results = read(name)
    if (results === undefined) continue
    const { at, surroundings, options, loads } = results
    const { cpu, cores, memoryGB, node, commit } = surroundings
    const where = `${cpu}, ${cores} cores, ${memoryGB} GB, Node ${node.replace('v', '')}`
    const how = `${options.rounds} rounds on ${at.slice(0, 10)}, commit ${commit}, load of the machine ${loads.before} before and ${loads.after} after`
    by.set(where, [...(by.get(where) ?? []), `${name}: ${how}`])
    for (const [key, value] of Object.entries({ ...surroundings.packages, ...surroundings })) {
      if (!ownNames.has(key) && typeof value === 'string') versions.set(key, value)
    }
  }
  const machines = [...by].map(([where, each]) => `Measured on ${where}. ${each.join('; ')}.`)
  const list = [...versions].map(([name, version]) => `${name} ${bare(version)}`)
  return list.length > 0 ? [...machines, `Versions: ${list.join(', ')}.`] : machines
}

/** What is said of a machine, and no version of something beside. */
const ownNames = new Set(['cpu', 'node', 'v8', 'commit', 'bare', 'disk', '@troupe/core'])

/** `Redis server v=7.0.15 sha=…` is 7.0.15. */
const bare = (version: string): string => /\d+(\.\d+)+/.exec(version)?.[0] ?? version
