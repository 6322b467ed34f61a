/** Charts of where flights are late: the map of airports, and the airports at the ends of the ranking. */
import { feature, mesh } from 'topojson-client'
import type { GeometryCollection, Topology } from 'topojson-specification'
import type { TopLevelSpec } from 'vega-lite'

import { COLOUR, MINUTE_STEPS, SAID, coloured, sized } from './chart.ts'
import {
  type AirportFinding,
  type Findings,
  MINIMUM,
  lateShare,
  meanDelay,
  rankedAirports,
} from './findings.ts'
import { exact, minutes, percent } from './words.ts'

/** The outlines of the states, as TopoJSON (`us-10m.json`). */
export type StatesMap = Topology<{ states: GeometryCollection }>

/** Airports on each side of the ranking. */
const RANKED = 12

/** The map says the code of airports with so many arrivals that have no bigger one within some degrees. */
const NAMED = { arrivals: 20_000, apart: 2 }

/** Area of the circles on the map, in square pixels: of none, and of the most arrivals. */
const AREA = { least: 14, most: 1_900 }

/** Outside the fifty states, which the projection has no place for, or of unknown place. */
export const isOffMap = (airport: AirportFinding): boolean =>
  ['PR', 'VI'].includes(airport.state) || Number.isNaN(airport.latitude)

/** Where planes arrive: the size is the number of arrivals, the colour their mean delay. */
export function airportMap(findings: Findings, map: StatesMap): TopLevelSpec {
  const most = Math.max(...findings.airports.map((airport) => airport.arrivals.flights))
  // The biggest first, so that small ones near them stay in sight.
  const airports = findings.airports
    .filter((airport) => airport.arrivals.flights >= MINIMUM.mappedAirport && !isOffMap(airport))
    .map(({ iata, place, latitude, longitude, arrivals }) => {
      const area = AREA.least + (AREA.most - AREA.least) * (arrivals.flights / most)
      return {
        iata,
        latitude,
        longitude,
        flights: arrivals.flights,
        mean: meanDelay(arrivals),
        area,
        lift: -Math.sqrt(area / Math.PI) - 8,
        said:
          `${place} (${iata}): ${exact(arrivals.flights)} arrivals, mean delay ${minutes(meanDelay(arrivals))},` +
          ` ${percent(lateShare(arrivals))} late`,
      }
    })
  const named = airports.filter(
    (airport, rank) =>
      airport.flights >= NAMED.arrivals &&
      !airports.slice(0, rank).some((bigger) => degreesApart(airport, bigger) < NAMED.apart),
  )
  const code = {
    type: 'text',
    fontSize: 11,
    fontWeight: 600,
    dy: { expr: 'datum.lift' },
    aria: false,
  } as const
  const position = {
    longitude: { field: 'longitude', type: 'quantitative' },
    latitude: { field: 'latitude', type: 'quantitative' },
  } as const
  return {
    ...sized('whole', 600, { top: 0, right: 0, bottom: 14, left: 0 }),
    projection: { type: 'albersUsa' },
    layer: [
      {
        data: { values: feature(map, map.objects.states).features },
        mark: { type: 'geoshape', fill: COLOUR.land, stroke: COLOUR.land, aria: false },
      },
      {
        // Borders between states only: along coasts they would hide small islands.
        data: { values: [mesh(map, map.objects.states, (one, other) => one !== other)] },
        mark: { type: 'geoshape', filled: false, stroke: COLOUR.page, aria: false },
      },
      {
        data: { values: airports },
        mark: { type: 'circle', opacity: 0.94, stroke: COLOUR.muted, strokeWidth: 0.6, strokeOpacity: 0.7 },
        encoding: {
          ...position,
          size: { field: 'area', type: 'quantitative', scale: null, legend: null },
          fill: coloured('mean', MINUTE_STEPS),
          description: SAID,
        },
      },
      {
        data: { values: named },
        mark: { ...code, stroke: COLOUR.land, strokeWidth: 3, strokeJoin: 'round' },
        encoding: { ...position, text: { field: 'iata' } },
      },
      {
        data: { values: named },
        mark: code,
        encoding: { ...position, text: { field: 'iata' } },
      },
    ],
  }
}

/** The airports at one end of the ranking by late arrivals. */
export function airportEnd(findings: Findings, end: 'most' | 'fewest'): TopLevelSpec {
  const ranked = rankedAirports(findings)
  const most = Math.max(...ranked.map((airport) => lateShare(airport.arrivals)))
  const airports = end === 'most' ? ranked.slice(0, RANKED) : ranked.slice(-RANKED).reverse()
  const fill = end === 'most' ? COLOUR.late : COLOUR.onTime
  return {
    ...sized('half', 32 * airports.length, { top: 0, right: 0, bottom: 0, left: 176 }),
    data: {
      values: airports.map(({ iata, place, arrivals }) => ({
        name: `${place}  ${iata}`,
        share: lateShare(arrivals),
        shown: percent(lateShare(arrivals)),
        said: `${place} (${iata}): ${exact(arrivals.late)} of ${exact(arrivals.flights)} arrivals late`,
      })),
    },
    encoding: {
      y: {
        field: 'name',
        type: 'nominal',
        sort: null,
        axis: { title: null, labelColor: COLOUR.ink, labelLimit: 400, labelFontSize: 14 },
      },
      // Both ends share one scale, so that their bars compare; room is left for the number.
      x: { field: 'share', type: 'quantitative', axis: null, scale: { domain: [0, most * 1.25] } },
    },
    layer: [
      { mark: { type: 'bar', height: 5, fill }, encoding: { description: SAID } },
      { mark: { type: 'circle', size: 130, opacity: 1, fill }, encoding: { description: SAID } },
      {
        mark: { type: 'text', align: 'left', dx: 13, fontSize: 14, fontWeight: 600, aria: false },
        encoding: { text: { field: 'shown' } },
      },
    ],
  }
}

interface Place {
  latitude: number
  longitude: number
}

const degreesApart = (a: Place, b: Place): number =>
  Math.hypot(a.latitude - b.latitude, a.longitude - b.longitude)
