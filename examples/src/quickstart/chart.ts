/** Draws charts as SVG text that takes its colours from the page, so that one drawing fits light and dark. */
import { View, parse } from 'vega'
import { type Config, type TopLevelSpec, compile } from 'vega-lite'

import { WEEKDAYS } from './words.ts'

/** Colours are CSS variables of `page-style.ts`. No script is needed to show the drawing. */
export const COLOUR = {
  ink: 'var(--ink)',
  muted: 'var(--muted)',
  faint: 'var(--faint)',
  page: 'var(--page)',
  land: 'var(--land)',
  early: 'var(--early)',
  onTime: 'var(--on-time)',
  late: 'var(--late)',
} as const

/** Steps from pale to strong, for a value that has to be read off a colour. */
export interface Steps {
  /** Where one step ends and the next begins; one fewer than the colours. */
  limits: readonly number[]
  colours: readonly string[]
}

export const SHARE_STEPS: Steps = stepsOf([0.1, 0.15, 0.2, 0.25, 0.3, 0.4])
export const MINUTE_STEPS: Steps = stepsOf([0, 2, 4, 6, 8, 10])

/** Width in pixels of a drawing that fills the page's column, and of one of two side by side. */
const WIDTHS = { whole: 1040, half: 492 } as const

/** Room around a plot, for its axes. */
interface Room {
  top: number
  right: number
  bottom: number
  left: number
}

/**
 * Size of a plot within a drawing of known width.
 *
 * Vega would make room for axes by measuring their text, but without a browser it can only guess the width of
 * letters. So the room is given.
 */
export function sized(width: keyof typeof WIDTHS, height: number, room: Room): Size {
  return { width: WIDTHS[width] - room.left - room.right, height, padding: room, autosize: { type: 'none' } }
}

interface Size {
  width: number
  height: number
  padding: Room
  autosize: { type: 'none' }
}

/** A line of text for each mark is shown by the page when one points at it. */
export const SAID = { field: 'said', type: 'nominal' } as const

/** Colours a mark by a field, in steps. The page shows what the steps stand for: `scale` in `page.ts`. */
export const coloured = (field: string, steps: Steps): Coloured => fillBy(field, steps, steps.colours)

/** Colours a text that lies on a mark coloured by the same field and steps. */
export const colouredOn = (field: string, steps: Steps): Coloured =>
  fillBy(
    field,
    steps,
    steps.colours.map((_, step) => `var(--on-step-${step})`),
  )

interface Coloured {
  field: string
  type: 'quantitative'
  scale: { type: 'threshold'; domain: number[]; range: string[] }
  legend: null
}

const fillBy = (field: string, steps: Steps, colours: readonly string[]): Coloured => ({
  field,
  type: 'quantitative',
  scale: { type: 'threshold', domain: [...steps.limits], range: [...colours] },
  legend: null,
})

/** An axis of minutes late, with a true minus sign. */
export const minuteAxis = {
  title: null,
  tickCount: 6,
  labelFlush: false,
  labelExpr: "datum.value < 0 ? '−' + abs(datum.value) : datum.value",
} as const

/** An axis of weekdays, where Monday is 0. */
export const weekdayAxis = {
  title: null,
  labelExpr: `(${JSON.stringify(WEEKDAYS.map((name) => name.slice(0, 3)))})[datum.value]`,
} as const

/** Draws a Vega-Lite chart. */
export async function drawing(spec: TopLevelSpec): Promise<string> {
  const view = new View(parse(compile({ ...spec, background: 'transparent' }, { config: theme }).spec), {
    renderer: 'none',
  })
  try {
    return short(await view.toSVG())
  } finally {
    view.finalize()
  }
}

const sans = '"Inter Variable", system-ui, sans-serif'

const theme: Config = {
  font: sans,
  view: { stroke: null },
  axis: {
    domain: false,
    ticks: false,
    gridColor: COLOUR.faint,
    labelColor: COLOUR.muted,
    labelFontSize: 13,
    labelPadding: 8,
    titleColor: COLOUR.muted,
    titleFontSize: 13,
    titleFontWeight: 'normal',
    titlePadding: 12,
  },
  axisBand: { grid: false },
  text: { fill: COLOUR.ink, fontSize: 13 },
  bar: { fill: COLOUR.late },
  line: { stroke: COLOUR.late, strokeWidth: 2.5 },
  rule: { stroke: COLOUR.muted },
}

function stepsOf(limits: readonly number[]): Steps {
  return { limits, colours: Array.from({ length: limits.length + 1 }, (_, step) => `var(--step-${step})`) }
}

// Coordinates come with 15 digits; a hundredth of a pixel is enough, and the page a third of the size.
const short = (svg: string): string =>
  svg.replace(/\d+\.\d{3,}/g, (number) => String(Number(Number(number).toFixed(2))))
