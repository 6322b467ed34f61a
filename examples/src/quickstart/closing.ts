/** The last lines on the terminal: what was found, where the report is, how long it took. */
import { relative } from 'node:path'

import { type Findings, lateShare, meanDelay } from './findings.ts'
import type { TaskTime } from './progress-board.ts'
import { LATE_FROM } from './summary.ts'
import { exact, lasting, minutes, percent, wrapped } from './words.ts'

/** Rows of the table. */
const BUSIEST = 5

export interface Closing {
  findings: Findings
  report: { path: string; bytes: number }
  times: TaskTime[]
  /** What is to be known about the task runner. */
  note: string
  /** Columns of the terminal, which the note is wrapped to. */
  width: number
}

/** The lines, ready to be written. */
export function closingLines({ findings, report, times, note, width }: Closing): string {
  const { all, airports } = findings
  return [
    '',
    `${exact(all.flights)} flights, ${exact(all.late)} of them ${LATE_FROM} minutes late or more (${percent(lateShare(all))}).`,
    '',
    `  The ${BUSIEST} airports with most arrivals`,
    '',
    ...columns(
      [
        ['', '', 'arrivals', 'late', 'share', 'mean delay'],
        ...airports
          .slice(0, BUSIEST)
          .map(({ iata, place, arrivals }) => [
            iata,
            place,
            exact(arrivals.flights),
            exact(arrivals.late),
            percent(lateShare(arrivals)),
            minutes(meanDelay(arrivals)),
          ]),
      ],
      2,
    ),
    '',
    ...columns(
      [
        ['Task', 'runs', 'first start to last end', 'longest run'],
        ...times.map(({ task, runs, elapsed, longest }) => [
          task,
          exact(runs),
          lasting(elapsed),
          lasting(longest),
        ]),
      ],
      1,
    ),
    ...(note === '' ? [] : ['', ...wrapped(note, width - 2).map((line) => `  ${line}`)]),
    '',
    `Report: ${shortest(report.path)} (${exact(Math.round(report.bytes / 1024))} kB)`,
    '',
  ].join('\n')
}

/** Lines with their columns under each other: the first few to the left, numbers to the right. */
function columns(rows: readonly (readonly string[])[], left: number): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map(
    (row) =>
      '  ' +
      row
        .map((cell, column) =>
          column < left ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
        )
        .join('  '),
  )
}

/** The path as one would type it here: relative, unless that leads out of the folder. */
function shortest(path: string): string {
  const fromHere = relative('', path)
  return fromHere.startsWith('..') ? path : fromHere
}
