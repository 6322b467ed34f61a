import Table from 'cli-table3'
import type { Target } from './benchmark.ts'
import type { FigureResult, GroupResult } from './evaluate.ts'
import type { Summary } from './stats.ts'

/** How often the work was done in the window of a round, of each part. */
const isRepetitions = (name: string): boolean => /(^|: )repetitions$/.test(name)

const plain = { head: [], border: [], compact: true }

/** A figure for people. */
export const number = (value: number): string =>
  Number.isNaN(value)
    ? '–'
    : value.toLocaleString(
        'en',
        value >= 1000 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 },
      )

const spread = ({ mad, min, max }: Summary): readonly string[] => [
  `± ${number(mad)}`,
  `${number(min)} … ${number(max)}`,
]

const targetText = (target: Target): string =>
  'atLeast' in target ? `≥ ${number(target.atLeast)}` : `≤ ${number(target.atMost)}`

/** Tables of a group: the medians of its readings, then its figures beside their targets. */
export function tables(group: GroupResult): string {
  const head = ['case', 'kept', 'reading', 'median', 'mad', 'min … max']
  const readings = new Table({ head, style: plain })
  for (const { label, durability = '', readings: found, rounds } of group.cases) {
    const absent = rounds.find((round) => 'absent' in round)
    if (absent) readings.push([label, durability, `not measured: ${absent.absent}`, '', '', ''])
    for (const name of [...group.shown, ...Object.keys(found).filter(isRepetitions)]) {
      const summary = found[name]
      if (summary) readings.push([label, durability, name, number(summary.median), ...spread(summary)])
    }
  }
  return `\n## ${group.title}\n\n${readings.toString()}\n${figuresTable(group.figures)}`
}

function figuresTable(figures: readonly FigureResult[]): string {
  if (figures.length === 0) return ''
  const head = ['figure', 'of medians', 'mad of rounds', 'min … max of rounds', 'target', '']
  const table = new Table({ head, style: plain })
  for (const { label, value, rounds, target, verdict } of figures) {
    table.push([label, number(value), ...spread(rounds), target ? targetText(target) : '', verdict ?? ''])
  }
  return `\n${table.toString()}\n`
}
