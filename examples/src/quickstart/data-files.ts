/** The files the flow reads: they come with the npm package vega-datasets. */
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

export interface DataFiles {
  /** Parquet: three million flights of 2001. */
  flights: string
  /** CSV: where the airports are. */
  airports: string
  /** TopoJSON: the outlines of the states. */
  states: string
}

/** Where npm put them. */
export function dataFiles(): DataFiles {
  const entry = createRequire(import.meta.url).resolve('vega-datasets')
  const data = (name: string): string => join(dirname(entry), '..', 'data', name)
  return { flights: data('flights-3m.parquet'), airports: data('airports.csv'), states: data('us-10m.json') }
}
