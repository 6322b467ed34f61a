import { neededBy, needs } from '../peers/needs.ts'
import type { Benchmark, Figure, Group } from './benchmark.ts'
import type { GroupResult } from './evaluate.ts'
import { readOptions } from './options.ts'
import { estimate, groupsOf } from './plan.ts'
import { notMeasured, targetText, type Sources } from './readme-table.ts'
import type { Row } from './readme-rows.ts'
import { sourcesOfMeasure } from './set-ups.ts'
import { number } from './table.ts'

const cell = (texts: readonly string[]): string =>
  texts.map((text) => text.replaceAll('|', '\\|')).join('<br>')

const code = (text: string): string => `\`${text}\``

const defaults = readOptions([])

/** How each row of the README's table is measured alone: the command, the lines to look at, and what it takes. */
export function checkTable(rows: readonly Row[], { benchmarks }: Pick<Sources, 'benchmarks'>): string {
  return [
    '| row | `npx -y pnpm@12 bench …` | ours, and the ratios | minutes | needs | source |',
    '|---|---|---|---|---|---|',
    ...rows.map((row) => checkLine(row, benchmarks)),
  ].join('\n')
}

function checkLine(row: Row, benchmarks: readonly Benchmark[]): string {
  const benchmark = benchmarks.find(({ name }) => name === row.benchmark)
  const group = benchmark?.groups(defaults).find(({ title }) => title === row.group)
  if (benchmark === undefined || group === undefined) {
    throw new Error(`no group "${row.group}" in a benchmark "${row.benchmark}"`)
  }
  const only = shortest(group, benchmark)
  const minutes = Math.ceil(estimate(benchmark, { ...defaults, only }) / 60)
  const ratios = [
    ...row.beside.map(({ figure }) => figure),
    ...(row.figure === undefined ? [] : [row.figure]),
  ]
  const sources = new Set([
    sourceOf(benchmark),
    ...group.cases.flatMap(({ measure }) => sourcesOfMeasure(measure)),
  ])
  const cells = [
    row.what,
    code(`${benchmark.name} --only "${only}"`),
    cell([`${code(row.ours)}, ${code(row.reading)}`, ...ratios.map(code)]),
    String(minutes),
    neededBy([group])
      .map((name) => needs[name].words)
      .join('; '),
    cell([...sources].map(code)),
  ]
  return `| ${cells.join(' | ')} |`
}

/** Where its groups are. */
const sourceOf = ({ name }: Benchmark): string => `src/${name}.ts`

/** As few words of a title as name no other group. */
function shortest({ title }: Group, benchmark: Benchmark): string {
  const words = title.split(' ')
  const prefixes = words.map((_, i) => words.slice(0, i + 1).join(' '))
  const shorter = prefixes.flatMap((prefix) => [prefix.replace(/[,;:]$/, ''), prefix])
  return shorter.find((only) => groupsOf(benchmark, { ...defaults, only }).length === 1) ?? title
}

/** All aims, once, with what is stored. */
export function targetsTable({ benchmarks, read }: Sources): string {
  const lines = benchmarks.flatMap((benchmark) => {
    const stored = read(benchmark.name)
    const byFigure = new Map<string, { readonly aim: string; readonly each: string[] }>()
    for (const { title, figures } of groupsOf(benchmark, defaults)) {
      const found = stored?.groups.find((one) => one.title === title)
      for (const figure of figures) {
        const { label, target } = figure
        if (target === undefined) continue
        const row = byFigure.get(label) ?? { aim: targetText(target), each: [] }
        row.each.push(`${title}: ${outcome(figure, found)}`)
        byFigure.set(label, row)
      }
    }
    return [...byFigure].map(
      ([label, { aim, each }]) => `| ${code(benchmark.name)} | ${label} | ${aim} | ${cell(each)} |`,
    )
  })
  return ['| benchmark | figure | aim | stored |', '|---|---|---|---|', ...lines].join('\n')
}

/** The verdict of when it was measured. */
function outcome(figure: Figure, group: GroupResult | undefined): string {
  const found = group?.figures.find(({ label }) => label === figure.label)
  if (found === undefined || Number.isNaN(found.value)) return notMeasured(casesOf(figure, group))
  const { value, verdict } = found
  return `${number(value)}, ${verdict === 'reached' ? 'reached' : '**missed**'}`
}

/** The cases that a figure is computed of. */
function casesOf({ formula }: Figure, group: GroupResult | undefined): GroupResult['cases'] {
  const labels = new Set<string>()
  formula((label) => {
    labels.add(label)
    return NaN
  })
  return group?.cases.filter(({ label }) => labels.has(label)) ?? []
}
