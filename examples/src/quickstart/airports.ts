/** The airports of `airports.csv`: where they are and what they are called. */
import { parse } from 'csv-parse/sync'

export interface Airport {
  /** Three-letter code, as in the flights. */
  iata: string
  name: string
  /** Empty where the file has none. */
  city: string
  /** Two-letter code; empty where the file has none. */
  state: string
  latitude: number
  longitude: number
}

/** Reads the text of the file. Every airport is kept, whether any flight uses it or not. */
export function parseAirports(csv: string): Map<string, Airport> {
  const rows: Record<string, string>[] = parse(csv, { columns: true, skip_empty_lines: true, trim: true })
  return new Map(
    rows.map((row) => {
      const airport: Airport = {
        iata: text(row['iata']),
        name: text(row['name']),
        city: text(row['city']),
        state: text(row['state']),
        latitude: Number(row['latitude']),
        longitude: Number(row['longitude']),
      }
      return [airport.iata, airport]
    }),
  )
}

/** `Seattle, WA`, or the airport's own name where the file knows no city. */
export function placeOf(airport: Airport): string {
  return airport.city === '' ? airport.name : `${airport.city}, ${airport.state}`
}

// The file writes an unknown city or state as NA.
const text = (value: string | undefined): string => (value === undefined || value === 'NA' ? '' : value)
