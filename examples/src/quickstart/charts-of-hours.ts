/** Charts of how late flights are by the hour: of the day, and of the week. */
import type { TopLevelSpec } from 'vega-lite'

import { COLOUR, SAID, SHARE_STEPS, coloured, colouredOn, minuteAxis, sized, weekdayAxis } from './chart.ts'
import { type Findings, MINIMUM, type Profile, lateShare, sinceFive } from './findings.ts'
import { WEEKDAYS, counted, exact, hourName, minute, percent } from './words.ts'

/** How delays grow over the day: eight in ten flights, the middle half, the median. */
export function hoursOfDay(findings: Findings): TopLevelSpec {
  const values = hoursToDraw(findings)
  const y = (field: string) => ({
    field,
    type: 'quantitative' as const,
    axis: minuteAxis,
    scale: { domain: [-20, 130], nice: false },
  })
  return {
    ...sized('whole', 280, { top: 8, right: 0, bottom: 18, left: 50 }),
    data: { values },
    encoding: { x: { ...hourAxis(values), axis: null } },
    layer: [
      {
        mark: { type: 'area', fill: COLOUR.early, opacity: 0.5, interpolate: 'monotone', aria: false },
        encoding: { y: y('p10'), y2: { field: 'p90' } },
      },
      {
        mark: { type: 'area', fill: COLOUR.onTime, opacity: 0.75, interpolate: 'monotone', aria: false },
        encoding: { y: y('p25'), y2: { field: 'p75' } },
      },
      { mark: { type: 'line', interpolate: 'monotone', aria: false }, encoding: { y: y('median') } },
      {
        mark: { type: 'circle', size: 60, fill: COLOUR.late, opacity: 1 },
        encoding: { y: y('median'), description: SAID },
      },
    ],
  }
}

/** How many flights leave in each hour: drawn below the delays, hour under hour. */
export function flightsByHour(findings: Findings): TopLevelSpec {
  const values = hoursToDraw(findings)
  return {
    ...sized('whole', 64, { top: 8, right: 0, bottom: 34, left: 50 }),
    data: { values },
    mark: { type: 'bar', width: 32, fill: COLOUR.faint, cornerRadiusEnd: 3 },
    encoding: {
      x: hourAxis(values),
      y: {
        field: 'flights',
        type: 'quantitative',
        axis: { title: null, tickCount: 2, format: '~s', grid: false },
      },
      description: SAID,
    },
  }
}

/** The share of late flights in each hour of the week. */
export function hoursOfWeek(findings: Findings): TopLevelSpec {
  const shown = new Set(enough(findings.hours).map((hour) => hour.hour))
  const values = findings.week
    .filter((cell) => shown.has(cell.hour))
    .map((cell) => ({
      ...cell,
      place: sinceFive(cell.hour),
      share: lateShare(cell),
      rounded: Math.round(lateShare(cell) * 100),
      said: `${WEEKDAYS[cell.weekday]}, ${hourName(cell.hour)}: ${percent(lateShare(cell))} late, ${exact(cell.late)} of ${exact(cell.flights)} flights`,
    }))
  return {
    ...sized('whole', 7 * 38, { top: 4, right: 0, bottom: 34, left: 42 }),
    // Cells and their numbers take different colours from the same steps.
    resolve: { scale: { fill: 'independent' } },
    data: { values },
    encoding: {
      x: {
        field: 'place',
        type: 'ordinal',
        axis: { title: null, labelAngle: 0, labelExpr: namesOf(values), labelOverlap: 'parity' },
      },
      y: { field: 'weekday', type: 'ordinal', axis: weekdayAxis },
    },
    layer: [
      {
        mark: { type: 'rect', cornerRadius: 4, stroke: COLOUR.page, strokeWidth: 3 },
        encoding: { fill: coloured('share', SHARE_STEPS), description: SAID },
      },
      {
        mark: { type: 'text', fontSize: 12, aria: false },
        encoding: { text: { field: 'rounded' }, fill: colouredOn('share', SHARE_STEPS) },
      },
    ],
  }
}

const enough = (hours: Findings['hours']): Findings['hours'] =>
  hours.filter((hour) => hour.flights >= MINIMUM.hourOfDay)

interface Hour extends Profile {
  hour: number
  /** In a day that begins at five in the morning. */
  place: number
  said: string
}

function hoursToDraw(findings: Findings): Hour[] {
  return enough(findings.hours).map((hour) => ({
    ...hour,
    place: sinceFive(hour.hour),
    said:
      `${hourName(hour.hour)}: ${percent(lateShare(hour))} of ${counted(hour.flights, 'flight')} late;` +
      ` median ${minute(hour.median)} minutes, one in ten ${minute(hour.p90)} minutes or more`,
  }))
}

const hourAxis = (hours: readonly Hour[]) => ({
  field: 'place',
  type: 'quantitative' as const,
  scale: { domain: [-0.5, Math.max(...hours.map((hour) => hour.place)) + 0.5], nice: false },
  axis: {
    title: null,
    grid: false,
    labelFlush: false,
    values: hours.map((hour) => hour.place).filter((place) => place % 2 === 0),
    labelExpr: namesOf(hours),
  },
})

/** An expression for Vega that gives the name of the hour at a place of an axis. */
const namesOf = (hours: readonly { place: number; hour: number }[]): string =>
  `(${JSON.stringify(Object.fromEntries(hours.map((hour) => [hour.place, hourName(hour.hour)])))})[datum.value]`
