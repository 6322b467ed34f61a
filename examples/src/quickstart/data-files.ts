/** The files the flow reads: they come with the npm package vega-datasets. */
import { fileURLToPath } from 'node:url'

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
  const entry = import.meta.resolve('vega-datasets')
  const data = (name: string): string => fileURLToPath(new URL(`../data/${name}`, entry))
  return { flights: data('flights-3m.parquet'), airports: data('airports.csv'), states: data('us-10m.json') }
}
