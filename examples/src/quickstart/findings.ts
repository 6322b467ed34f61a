/** What the report says: a summary turned into averages, percentiles and rankings, with names to the codes. */
import { type Airport, placeOf } from './airports.ts'
import {
  FIRST_MINUTE,
  LAST_MINUTE,
  type Spread,
  type Summary,
  type Tally,
  addTally,
  emptyTally,
} from './summary.ts'

/** What has fewer flights than this is left out of rankings and charts: a few bad days would decide its place. */
export const MINIMUM = {
  day: 1_000,
  month: 10_000,
  hourOfDay: 20_000,
  /** Arrivals of an airport to be ranked, and to be on the map. */
  airport: 5_000,
  mappedAirport: 300,
  route: 1_000,
}

/** How the delays of some flights are spread, in minutes. */
export interface Profile extends Tally {
  mean: number
  p10: number
  p25: number
  median: number
  p75: number
  p90: number
}

export interface AirportFinding extends Airport {
  place: string
  arrivals: Tally
  departures: Tally
}

export interface RouteFinding extends Tally {
  /** `BOS–JFK` */
  codes: string
  from: string
  to: string
}

export interface Findings {
  firstDeparture: number
  lastDeparture: number
  miles: number
  incomplete: number
  smallestDelay: number
  largestDelay: number
  all: Profile & { p95: number; hourLate: number; early: number; byMinute: Uint32Array }
  months: (Profile & { month: string })[]
  /** In order of the airlines' day, which begins at five in the morning. */
  hours: (Profile & { hour: number })[]
  week: (Tally & { weekday: number; hour: number })[]
  days: (Tally & { date: string })[]
  /** Every airport with a flight, the one with most arrivals first. */
  airports: AirportFinding[]
  /** Codes that airports.csv doesn't know. */
  unknownAirports: string[]
  routeCount: number
  /** Routes with the minimum of flights, the busiest first. */
  routes: RouteFinding[]
}

/** Joins what was counted with the airports' names, and works out every figure of the report. */
export function findingsOf(summary: Summary, airports: ReadonlyMap<string, Airport>): Findings {
  const { arrivals, departures } = airportTallies(summary.routes)
  const codes = [...new Set([...arrivals.keys(), ...departures.keys()])]
  const routes = [...summary.routes].flatMap(([origin, others]) =>
    [...others].map(([destination, tally]) => routeOf(origin, destination, tally, airports)),
  )
  return {
    firstDeparture: summary.firstDeparture,
    lastDeparture: summary.lastDeparture,
    miles: summary.miles,
    incomplete: summary.incomplete,
    smallestDelay: summary.smallestDelay,
    largestDelay: summary.largestDelay,
    all: {
      ...profileOf(summary.all),
      p95: percentile(summary.all, 0.95),
      hourLate: flightsBetween(summary.all, 60, LAST_MINUTE),
      early: flightsBetween(summary.all, FIRST_MINUTE, -1),
      byMinute: summary.all.byMinute,
    },
    months: [...summary.months].map(([month, spread]) => ({ month, ...profileOf(spread) })).sort(by('month')),
    hours: [...summary.hours]
      .map(([hour, spread]) => ({ hour, ...profileOf(spread) }))
      .sort((a, b) => sinceFive(a.hour) - sinceFive(b.hour)),
    week: [...summary.week]
      .map(([key, tally]) => ({ weekday: Math.floor(key / 24), hour: key % 24, ...tally }))
      .sort((a, b) => a.weekday - b.weekday || sinceFive(a.hour) - sinceFive(b.hour)),
    days: [...summary.days].map(([date, tally]) => ({ date, ...tally })).sort(by('date')),
    airports: codes
      .map((code) => {
        const airport = airports.get(code) ?? nowhere(code)
        return {
          ...airport,
          place: placeOf(airport),
          arrivals: arrivals.get(code) ?? emptyTally(),
          departures: departures.get(code) ?? emptyTally(),
        }
      })
      .sort((a, b) => b.arrivals.flights - a.arrivals.flights || a.iata.localeCompare(b.iata)),
    unknownAirports: codes.filter((code) => !airports.has(code)).sort(),
    routeCount: routes.length,
    routes: routes
      .filter((route) => route.flights >= MINIMUM.route)
      .sort((a, b) => b.flights - a.flights || a.codes.localeCompare(b.codes)),
  }
}

/** The share of late flights, 0 to 1. */
export const lateShare = (tally: Tally): number => tally.late / tally.flights

/** Mean delay in minutes. */
export const meanDelay = (tally: Tally): number => tally.minutes / tally.flights

/** The airports with enough arrivals to be ranked, those with the largest share of late arrivals first. */
export function rankedAirports(findings: Findings): AirportFinding[] {
  return findings.airports
    .filter((airport) => airport.arrivals.flights >= MINIMUM.airport)
    .sort((a, b) => lateShare(b.arrivals) - lateShare(a.arrivals))
}

/** The routes with enough flights to be ranked, those with the largest share of late flights first. */
export function rankedRoutes(findings: Findings): RouteFinding[] {
  return [...findings.routes].sort((a, b) => lateShare(b) - lateShare(a))
}

/** The hour's place in a day that begins at five in the morning. */
export const sinceFive = (hour: number): number => (hour + 19) % 24

/** The smallest delay that at least this share of the flights does not exceed (nearest rank). */
export function percentile(spread: Spread, share: number): number {
  let left = Math.ceil(share * spread.flights)
  for (let bin = 0; bin < spread.byMinute.length; bin++) {
    left -= spread.byMinute[bin] ?? 0
    if (left <= 0) return FIRST_MINUTE + bin
  }
  return LAST_MINUTE
}

function profileOf(spread: Spread): Profile {
  const { flights, late, minutes } = spread
  return {
    flights,
    late,
    minutes,
    mean: meanDelay(spread),
    p10: percentile(spread, 0.1),
    p25: percentile(spread, 0.25),
    median: percentile(spread, 0.5),
    p75: percentile(spread, 0.75),
    p90: percentile(spread, 0.9),
  }
}

function flightsBetween(spread: Spread, from: number, to: number): number {
  return spread.byMinute
    .subarray(from - FIRST_MINUTE, to - FIRST_MINUTE + 1)
    .reduce((sum, flights) => sum + flights, 0)
}

function airportTallies(routes: Summary['routes']): Record<'arrivals' | 'departures', Map<string, Tally>> {
  const arrivals = new Map<string, Tally>()
  const departures = new Map<string, Tally>()
  const add = (table: Map<string, Tally>, code: string, tally: Tally): void => {
    const sum = table.get(code) ?? emptyTally()
    addTally(sum, tally)
    table.set(code, sum)
  }
  for (const [origin, destinations] of routes) {
    for (const [destination, tally] of destinations) {
      add(departures, origin, tally)
      add(arrivals, destination, tally)
    }
  }
  return { arrivals, departures }
}

function routeOf(
  from: string,
  to: string,
  tally: Tally,
  airports: ReadonlyMap<string, Airport>,
): RouteFinding {
  const name = (code: string): string => placeOf(airports.get(code) ?? nowhere(code))
  return { codes: `${from}–${to}`, from: name(from), to: name(to), ...tally }
}

// A code without an airport still counts: it is named by its code and left off the map.
const nowhere = (iata: string): Airport => ({
  iata,
  name: iata,
  city: '',
  state: '',
  latitude: NaN,
  longitude: NaN,
})

const by =
  <K extends string>(key: K) =>
  (a: Record<K, string>, b: Record<K, string>): number =>
    a[key].localeCompare(b[key])
