import { max, median, medianAbsoluteDeviation, min } from 'simple-statistics'

/** The middle and the spread of a few rounds. */
export interface Summary {
  readonly median: number
  /** Median absolute deviation. */
  readonly mad: number
  readonly min: number
  readonly max: number
}

/** Summarises the rounds that gave a figure; all NaN where none did. */
export function summarise(values: readonly number[]): Summary {
  const known = values.filter((value) => !Number.isNaN(value))
  if (known.length === 0) return { median: NaN, mad: NaN, min: NaN, max: NaN }
  return { median: median(known), mad: medianAbsoluteDeviation(known), min: min(known), max: max(known) }
}
