import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { findingsOf, percentile } from '../src/quickstart/findings.ts'
import { type FlightRows, addRows, emptySummary, mergeSummaries } from '../src/quickstart/summary.ts'

interface Flight {
  departed: number
  delay: number
  distance: number
  origin: string
  destination: string
}

const code = fc.constantFrom('ATL', 'BOS', 'JFK', 'LAX', 'ORD')

const flight: fc.Arbitrary<Flight> = fc.record({
  departed: fc.integer({ min: Date.UTC(2001, 0, 1), max: Date.UTC(2001, 6, 1) }),
  delay: fc.integer({ min: -1_200, max: 1_700 }),
  distance: fc.integer({ min: 20, max: 5_000 }),
  origin: code,
  destination: code,
})

const groups = fc.array(fc.array(flight, { maxLength: 20 }), { maxLength: 6 })

function rowsOf(flights: readonly Flight[]): FlightRows {
  return {
    departed: Float64Array.from(flights, (one) => one.departed),
    delay: Float64Array.from(flights, (one) => one.delay),
    distance: Float64Array.from(flights, (one) => one.distance),
    origin: flights.map((one) => one.origin),
    destination: flights.map((one) => one.destination),
  }
}

function summaryOf(flights: readonly Flight[]) {
  const summary = emptySummary()
  addRows(summary, rowsOf(flights))
  return summary
}

describe('mergeSummaries', () => {
  it('gives the summary of all flights, however they were split', () => {
    fc.assert(
      fc.property(groups, (parts) => {
        expect(mergeSummaries(parts.map(summaryOf))).toEqual(summaryOf(parts.flat()))
      }),
    )
  })

  it('does not depend on the order of the parts', () => {
    fc.assert(
      fc.property(
        groups.chain((parts) => fc.tuple(fc.constant(parts), shuffled(parts))),
        ([parts, other]) => {
          expect(mergeSummaries(other.map(summaryOf))).toEqual(mergeSummaries(parts.map(summaryOf)))
        },
      ),
    )
  })

  it('does not depend on which parts are merged first', () => {
    fc.assert(
      fc.property(fc.array(flight), fc.array(flight), fc.array(flight), (...flights) => {
        const [a, b, c] = flights.map(summaryOf) as [Summary, Summary, Summary]
        expect(mergeSummaries([mergeSummaries([a, b]), c])).toEqual(
          mergeSummaries([a, mergeSummaries([b, c])]),
        )
      }),
    )
  })

  it('changes none of the parts', () => {
    fc.assert(
      fc.property(groups, (parts) => {
        const summaries = parts.map(summaryOf)
        mergeSummaries(summaries)
        expect(summaries).toEqual(parts.map(summaryOf))
      }),
    )
  })
})

describe('addRows', () => {
  const departed = Date.UTC(2001, 4, 25, 17, 59)
  const usual: Flight = { departed, delay: 14, distance: 187, origin: 'BOS', destination: 'JFK' }

  it('counts a flight as late from 15 minutes on', () => {
    const { all } = summaryOf([usual, { ...usual, delay: 15 }, { ...usual, delay: -3 }])
    expect(all).toMatchObject({ flights: 3, late: 1, minutes: 26 })
  })

  it('counts by the local time of departure', () => {
    const { months, days, hours, week } = summaryOf([usual])
    expect([...months.keys()]).toEqual(['2001-05'])
    expect([...days.keys()]).toEqual(['2001-05-25'])
    expect([...hours.keys()]).toEqual([17])
    // A Friday, where Monday is 0.
    expect([...week.keys()]).toEqual([4 * 24 + 17])
  })

  it('keeps the direction of a route', () => {
    const { routes } = summaryOf([usual, { ...usual, origin: 'JFK', destination: 'BOS', delay: 30 }])
    expect(routes.get('BOS')?.get('JFK')).toEqual({ flights: 1, late: 0, minutes: 14 })
    expect(routes.get('JFK')?.get('BOS')).toEqual({ flights: 1, late: 1, minutes: 30 })
  })

  it('leaves out a row with a missing value, and says so', () => {
    const summary = summaryOf([usual, { ...usual, delay: NaN }, { ...usual, origin: '' }])
    expect(summary).toMatchObject({ incomplete: 2, all: { flights: 1 } })
  })
})

describe('percentile', () => {
  it('is the value at the nearest rank', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -90, max: 360 }), { minLength: 1 }),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        (delays, share) => {
          const { all } = summaryOf(
            delays.map((delay) => ({ departed: 0, delay, distance: 1, origin: 'A', destination: 'B' })),
          )
          const sorted = [...delays].sort((a, b) => a - b)
          expect(percentile(all, share)).toBe(sorted[Math.ceil(share * delays.length) - 1])
        },
      ),
    )
  })
})

describe('findingsOf', () => {
  it('keeps an airport that airports.csv does not know, by its code', () => {
    const summary = summaryOf([{ departed: 0, delay: 1, distance: 9, origin: 'AAA', destination: 'BBB' }])
    const findings = findingsOf(summary, new Map())
    expect(findings.unknownAirports).toEqual(['AAA', 'BBB'])
    expect(findings.airports.map((airport) => [airport.place, airport.arrivals.flights])).toEqual([
      ['BBB', 1],
      ['AAA', 0],
    ])
  })
})

type Summary = ReturnType<typeof emptySummary>

const shuffled = <T>(values: T[]): fc.Arbitrary<T[]> =>
  fc.shuffledSubarray(values, { minLength: values.length, maxLength: values.length })
