import type { Benchmark, Durability, Target } from './benchmark.ts'
import { durabilities } from './benchmark.ts'
import type { FigureResult, GroupResult } from './evaluate.ts'
import { readOptions } from './options.ts'
import { groupsOf } from './plan.ts'
import type { Beside, Row } from './readme-rows.ts'
import type { Results } from './results.ts'
import { number } from './table.ts'

const begin =
  '<!-- made by `pnpm --filter @troupe/benchmarks readme` from benchmarks/results: do not edit -->'
const end = '<!-- end of what is made -->'

/** Puts a table where the README has its markers. */
export function withTable(readme: string, table: string): string {
  const from = readme.indexOf(begin)
  const to = readme.indexOf(end)
  if (from === -1 || to < from) throw new Error(`README.md lacks its markers, "${begin}" and "${end}"`)
  return `${readme.slice(0, from + begin.length)}\n\n${table}\n${readme.slice(to)}`
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
  const ours = shown(group, row.ours, row)
  const beside = row.beside.map(({ name, cases }) => {
    const own = keptOf(row, cases[0] ?? '', sources)
    const each = cases.map((label) => shown(group, label, row)).join(' and ')
    return `${name}: ${each}${own === kept ? '' : ` (${own})`}`
  })
  const ratios = row.beside.map(({ figure }: Beside) => ratio(figureOf(group, figure)))
  const own = row.figure === undefined ? [] : [verdict(figureOf(group, row.figure))]
  const cells = [row.what, ours, beside.join('<br>'), [...ratios, ...own].filter(Boolean).join('<br>'), kept]
  return `| ${cells.join(' | ')} |`
}

const figureOf = (group: GroupResult | undefined, figure: string): FigureResult | undefined =>
  group?.figures.find(({ label }) => label === figure)

/** The median of a case. */
function shown(group: GroupResult | undefined, label: string, { reading, unit }: Row): string {
  const median = group?.cases.find(isCalled(label))?.readings[reading]?.median
  return median === undefined || Number.isNaN(median) ? 'not measured' : `${number(median)}${unit}`
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

const targetText = (target: Target): string =>
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
  return (
    'A ratio is of medians, Troupe over the other: of runs a second the more the better, of times the less. In brackets is what ' +
    `the rounds gave; an aim is that of the design. Kept: ${words.join('; ')}.`
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
    const how = `${options.rounds} rounds on ${at.slice(0, 10)}, commit ${commit}, load of the machine ${loads.before}`
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
