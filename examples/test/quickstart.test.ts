/** The quickstart's figures against a second reading of the file that shares no code with the first. */
import { readFile } from 'node:fs/promises'

import { Parser } from 'htmlparser2'
import { beforeAll, describe, expect, it } from 'vitest'

import { parseAirports } from '../src/quickstart/airports.ts'
import { dataFiles } from '../src/quickstart/data-files.ts'
import { type Findings, findingsOf, rankedAirports, rankedRoutes } from '../src/quickstart/findings.ts'
import { readRowGroup, rowGroupsOf } from '../src/quickstart/read-flights.ts'
import { renderReport } from '../src/quickstart/report.ts'
import { type Summary, addRows, emptySummary, mergeSummaries } from '../src/quickstart/summary.ts'
import { type Direct, readDirectly, sum } from './quickstart-direct.ts'

const files = dataFiles()
const { signal } = new AbortController()

let groups: Summary[]
let direct: Direct
let findings: Findings

beforeAll(async () => {
  direct = await readDirectly(files.flights)
  groups = []
  for (const group of await rowGroupsOf(files.flights)) groups.push(await summaryOf(group))
  findings = findingsOf(mergeSummaries(groups), parseAirports(await readFile(files.airports, 'utf8')))
}, 120_000)

describe('the summary of a row group', () => {
  it('counts every row of it', () => {
    expect(groups.map((group) => group.all.flights)).toEqual(direct.rows)
    expect(groups.every((group) => group.incomplete === 0)).toBe(true)
  })

  it('sums up delays and miles', () => {
    expect(groups.map((group) => group.all.minutes)).toEqual(direct.delays)
    expect(groups.map((group) => group.miles)).toEqual(direct.miles)
  })
})

describe('the findings', () => {
  it('count three million flights, all of them', () => {
    expect(findings.all.flights).toBe(3_000_000)
    expect(findings.all.flights).toBe(direct.metadataRows)
    expect(findings.all).toMatchObject({
      late: direct.late,
      minutes: sum(direct.delays),
      early: direct.early,
    })
    expect(findings.all.hourLate).toBe(direct.hourLate)
    expect([findings.smallestDelay, findings.largestDelay]).toEqual([direct.smallest, direct.largest])
  })

  it('have exact percentiles', () => {
    expect([findings.all.p10, findings.all.median, findings.all.p90, findings.all.p95]).toEqual(
      [0.1, 0.5, 0.9, 0.95].map((share) => direct.sortedDelays[Math.ceil(share * 3_000_000) - 1]),
    )
  })

  it('count flights by month and by hour', () => {
    expect(findings.months.map(({ month, flights }) => [month, flights])).toEqual(sorted(direct.months))
    const hours = new Map(findings.hours.map(({ hour, flights }) => [String(hour).padStart(2, '0'), flights]))
    expect(sorted(hours)).toEqual(sorted(direct.hours))
  })

  it('count flights by weekday', () => {
    const weekdays = Array.from({ length: 7 }, (_, weekday) =>
      sum(findings.week.filter((cell) => cell.weekday === weekday).map((cell) => cell.flights)),
    )
    // Sunday comes first where Date counts.
    expect([...weekdays.slice(6), ...weekdays.slice(0, 6)]).toEqual(direct.weekdays)
  })

  it('rank the busiest routes and airports', () => {
    expect(findings.routes.slice(0, 3).map(({ codes, flights }) => [codes, flights])).toEqual(
      top(direct.routes),
    )
    expect(findings.airports.slice(0, 3).map(({ iata, arrivals }) => [iata, arrivals.flights])).toEqual(
      top(direct.arrivals),
    )
    expect(findings.routeCount).toBe(direct.routes.size)
    expect(findings.unknownAirports).toEqual([])
  })
})

describe('the report', () => {
  let html: string

  beforeAll(async () => {
    html = await renderReport(findings, JSON.parse(await readFile(files.states, 'utf8')), signal)
  })

  it('is well-formed and at most 2 MB', () => {
    expect(unclosed(html)).toEqual([])
    expect(Buffer.byteLength(html)).toBeLessThan(2_000_000)
  })

  it('shows exact counts', () => {
    const [worst] = rankedAirports(findings)
    const [slowest] = rankedRoutes(findings)
    const shown = textOf(html)
    expect(shown).toContain('3,000,000 flights')
    expect(shown).toContain(`${direct.late.toLocaleString('en-US')} flights`)
    expect(shown).toContain(
      `${worst?.arrivals.late.toLocaleString('en-US')} of ${worst?.arrivals.flights.toLocaleString('en-US')}`,
    )
    expect(shown).toContain(slowest?.codes)
    for (const [codes, flights] of top(direct.routes)) {
      expect(shown).toMatch(new RegExp(`${codes}.*?${flights.toLocaleString('en-US')}`))
    }
  })

  it('draws its charts without a script, and asks nothing of the network', () => {
    const withoutFonts = html.replaceAll(/url\(data:font[^)]*\)/g, '')
    expect(withoutFonts.match(/<svg /g)).toHaveLength(10)
    expect(withoutFonts.match(/(src|href)\s*=|@import|url\([^#]|NaN|Infinity|undefined/g)).toBeNull()
  })

  it('stops when the signal fires', async () => {
    const states = JSON.parse(await readFile(files.states, 'utf8'))
    await expect(renderReport(findings, states, AbortSignal.abort(new Error('enough')))).rejects.toThrow(
      'enough',
    )
  })
})

describe('readRowGroup', () => {
  it('stops when the signal fires', async () => {
    const controller = new AbortController()
    let pieces = 0
    await expect(async () => {
      for await (const rows of readRowGroup(files.flights, 0, controller.signal)) {
        pieces += Math.sign(rows.delay.length)
        controller.abort(new Error('enough'))
      }
    }).rejects.toThrow('enough')
    expect(pieces).toBe(1)
  })

  it('says which row groups there are when asked for another', async () => {
    await expect(readRowGroup(files.flights, 11, signal).next()).rejects.toThrow('no row group 11, it has 11')
  })
})

async function summaryOf(group: number): Promise<Summary> {
  const summary = emptySummary()
  for await (const rows of readRowGroup(files.flights, group, signal)) addRows(summary, rows)
  return summary
}

const sorted = (counts: Map<string, number>): [string, number][] =>
  [...counts].sort(([a], [b]) => a.localeCompare(b))

const top = (counts: Map<string, number>): [string, number][] =>
  [...counts].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0])).slice(0, 3)

/** Elements that the page leaves open or closes wrongly. */
function unclosed(html: string): string[] {
  const wrong: string[] = []
  const open: string[] = []
  const parser = new Parser({
    onopentag: (name) => open.push(name),
    onclosetag: (name, isImplied) => {
      const closesItself = name === 'meta' || html.slice(0, parser.endIndex + 1).endsWith('/>')
      if (open.pop() !== name || (isImplied && !closesItself)) wrong.push(name)
    },
  })
  parser.end(html)
  return [...wrong, ...open]
}

/** What one reads on the page. */
function textOf(html: string): string {
  let text = ''
  const parser = new Parser({
    ontext: (more) => {
      text += more
    },
  })
  parser.end(html)
  return text.replace(/\s+/g, ' ')
}
