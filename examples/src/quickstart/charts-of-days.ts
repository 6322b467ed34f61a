/** Charts of how late flights are: minute by minute, day by day, month by month. */
import type { TopLevelSpec } from 'vega-lite'

import { COLOUR, SAID, SHARE_STEPS, coloured, colouredOn, minuteAxis, sized, weekdayAxis } from './chart.ts'
import { type Findings, MINIMUM, type Profile, lateShare } from './findings.ts'
import { FIRST_MINUTE, LATE_FROM } from './summary.ts'
import { counted, dayName, exact, landed, minute, monthName, percent } from './words.ts'

const DAY = 86_400_000

/** The minutes of delay shown by the histogram; the page says how many flights lie beyond. */
export const SHOWN = { from: -60, to: 150 }

/** How many flights landed how many minutes early or late. */
export function delayHistogram({ all }: Findings): TopLevelSpec {
  const values = [...all.byMinute]
    .map((flights, bin) => ({ minute: bin + FIRST_MINUTE, flights }))
    .filter((bar) => bar.minute >= SHOWN.from && bar.minute <= SHOWN.to)
    .map((bar) => ({
      ...bar,
      end: bar.minute + 1,
      kind: bar.minute < 0 ? 'early' : bar.minute < LATE_FROM ? 'onTime' : 'late',
      said: `${landed(bar.minute)}: ${counted(bar.flights, 'flight')}`,
    }))
  return {
    ...sized('whole', 260, { top: 8, right: 20, bottom: 34, left: 50 }),
    data: { values },
    encoding: {
      x: {
        field: 'minute',
        type: 'quantitative',
        bin: 'binned',
        axis: {
          title: null,
          grid: false,
          labelFlush: false,
          values: [-60, -45, -30, -15, 0, 15, 30, 45, 60, 75, 90, 105, 120, 135, 150],
          labelExpr:
            "datum.value < 0 ? '−' + abs(datum.value) : datum.value == 60 ? '60 min late' : datum.value",
        },
        scale: { domain: [SHOWN.from, SHOWN.to + 1], nice: false },
      },
    },
    layer: [
      {
        mark: { type: 'bar', binSpacing: 0.8 },
        encoding: {
          x2: { field: 'end' },
          y: { field: 'flights', type: 'quantitative', axis: { title: null, format: '~s', tickCount: 4 } },
          fill: {
            field: 'kind',
            type: 'nominal',
            scale: { domain: ['early', 'onTime', 'late'], range: [COLOUR.early, COLOUR.onTime, COLOUR.late] },
            legend: null,
          },
          description: SAID,
        },
      },
    ],
  }
}

/** Each day of the year's part in the file, a column a week. */
export function calendar({ days }: Findings): TopLevelSpec {
  const first = Date.parse(days[0]?.date ?? '')
  const monday = first - weekdayOf(first) * DAY
  const values = days
    .filter((day) => day.flights >= MINIMUM.day)
    .map((day) => {
      const time = Date.parse(day.date)
      return {
        week: Math.floor((time - monday) / (7 * DAY)),
        weekday: weekdayOf(time),
        date: Number(day.date.slice(8)),
        month: monthName(day.date.slice(0, 7)),
        share: lateShare(day),
        said: `${dayName(day.date)}: ${percent(lateShare(day))} late, ${exact(day.late)} of ${exact(day.flights)} flights`,
      }
    })
  return {
    ...sized('whole', 7 * 32, { top: 28, right: 0, bottom: 4, left: 42 }),
    // Cells and their numbers take different colours from the same steps.
    resolve: { scale: { fill: 'independent' } },
    data: { values },
    encoding: {
      x: { field: 'week', type: 'ordinal', axis: null },
      y: { field: 'weekday', type: 'ordinal', axis: weekdayAxis },
    },
    layer: [
      {
        mark: { type: 'rect', cornerRadius: 4, stroke: COLOUR.page, strokeWidth: 3 },
        encoding: { fill: coloured('share', SHARE_STEPS), description: SAID },
      },
      {
        mark: { type: 'text', fontSize: 11, aria: false },
        encoding: { text: { field: 'date' }, fill: colouredOn('share', SHARE_STEPS) },
      },
      {
        transform: [{ filter: 'datum.date === 1' }],
        mark: { type: 'text', align: 'left', dx: -14, fontSize: 13, aria: false },
        encoding: { text: { field: 'month' }, y: { value: -12 }, fill: { value: COLOUR.muted } },
      },
    ],
  }
}

/** The share of late flights in each month. */
export function monthShares(findings: Findings): TopLevelSpec {
  const values = months(findings)
  const most = Math.max(...values.map((month) => month.share))
  return {
    ...sized('half', 46 * values.length, { top: 0, right: 0, bottom: 34, left: 80 }),
    data: { values },
    encoding: {
      y: monthAxis,
      // Room is left for the number.
      x: { field: 'share', type: 'quantitative', axis: null, scale: { domain: [0, most * 1.15] } },
    },
    layer: [
      {
        mark: { type: 'bar', height: 24, cornerRadiusEnd: 4 },
        encoding: {
          fill: { condition: { test: `datum.share === ${most}`, value: COLOUR.late }, value: COLOUR.onTime },
          description: SAID,
        },
      },
      {
        mark: { type: 'text', align: 'left', dx: 8, fontWeight: 600, aria: false },
        encoding: { text: { field: 'shown' } },
      },
    ],
  }
}

/** The spread of delays in each month: eight in ten flights, the middle half, the median. */
export function monthSpreads(findings: Findings): TopLevelSpec {
  const values = months(findings)
  const from = Math.min(...values.map((month) => month.p10))
  const to = Math.max(...values.map((month) => month.p90))
  const x = (field: string) => ({
    field,
    type: 'quantitative' as const,
    axis: minuteAxis,
    scale: { domain: [from - 3, to + 3], nice: false },
  })
  return {
    ...sized('half', 46 * values.length, { top: 0, right: 14, bottom: 34, left: 80 }),
    data: { values },
    encoding: { y: monthAxis },
    layer: [
      {
        mark: { type: 'bar', height: 6, cornerRadius: 3, fill: COLOUR.early },
        encoding: { x: x('p10'), x2: { field: 'p90' }, description: SAID },
      },
      {
        mark: { type: 'bar', height: 18, cornerRadius: 4, fill: COLOUR.onTime },
        encoding: { x: x('p25'), x2: { field: 'p75' }, description: SAID },
      },
      {
        mark: { type: 'tick', thickness: 4, size: 28, color: COLOUR.late, opacity: 1 },
        encoding: { x: x('median'), description: SAID },
      },
    ],
  }
}

const monthAxis = {
  field: 'name',
  type: 'ordinal',
  sort: null,
  axis: { title: null, labelFontSize: 14 },
} as const

function months(
  findings: Findings,
): (Profile & Record<'name' | 'shown' | 'said', string> & { share: number })[] {
  return findings.months
    .filter((month) => month.flights >= MINIMUM.month)
    .map((month) => ({
      ...month,
      name: monthName(month.month),
      share: lateShare(month),
      shown: percent(lateShare(month)),
      said:
        `${monthName(month.month)}: ${percent(lateShare(month))} late, ${exact(month.late)} of ${exact(month.flights)}` +
        ` flights; median ${minute(month.median)}, eight in ten from ${minute(month.p10)} to ${minute(month.p90)} minutes`,
    }))
}

const weekdayOf = (time: number): number => (Math.floor(time / DAY) + 3) % 7
