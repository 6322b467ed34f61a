import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { benchmarks } from '../src/benchmarks.ts'
import { checkTable, targetsTable } from '../src/lib/check-tables.ts'
import { evaluate, type GroupResult } from '../src/lib/evaluate.ts'
import { readOptions } from '../src/lib/options.ts'
import { groupsOf } from '../src/lib/plan.ts'
import type { Row } from '../src/lib/readme-rows.ts'
import { rows } from '../src/lib/readme-rows.ts'
import { speedTable, withTable } from '../src/lib/readme-table.ts'
import { readResults, type Results } from '../src/lib/results.ts'

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
const read = (name: string) => readResults(name, '20')

const durableRow = rows.find(({ benchmark }) => benchmark === 'durable') as Row

/** The results that are kept, with another value and verdict for a ratio. */
function durableWith(value: number, verdict: 'reached' | 'missed') {
  const results = read('durable')
  if (results === undefined) throw new Error('durable was never measured')
  const groups = results.groups.map((group) => ({
    ...group,
    figures: group.figures.map((figure) => ({ ...figure, value, verdict })),
  }))
  return { benchmarks, read: () => ({ ...results, groups }) }
}

/** The results that are kept, as they would be where DBOS could not be measured. */
function withoutPostgres() {
  const stored = durableWith(NaN, 'missed').read()
  const rounds = [{ absent: 'PostgreSQL is not installed' }]
  const groups = stored.groups.map((group) => ({
    ...group,
    cases: group.cases.map((one) => (one.label === 'DBOS' ? { ...one, readings: {}, rounds } : one)),
  }))
  return { benchmarks, read: () => ({ ...stored, groups }) }
}

/** As if each case of `peers` did ten times as many a second as it has task runs. */
const measuredPeers = {
  benchmarks,
  read: (name: string): Results | undefined => {
    const results = read('durable')
    if (results === undefined || name !== 'peers') return undefined
    const benchmark = benchmarks.find((one) => one.name === 'peers')
    const groups: readonly GroupResult[] = groupsOf(benchmark ?? fail(), readOptions([])).map((group) =>
      evaluate(
        group,
        group.cases.map((measured) => {
          const readings = Object.fromEntries(group.shown.map((shown) => [shown, 10 * measured.params.n]))
          return { measured, outcomes: [{ readings }, { readings }] }
        }),
      ),
    )
    return { ...results, name, groups }
  },
}

function fail(): never {
  throw new Error('there is no benchmark peers')
}

describe("the README's table of speed", () => {
  it('is what the results in the repository give', () => {
    const made = withTable(readme, speedTable(rows, { benchmarks, read }))
    expect(readme, 'run `npx -y pnpm@12 --filter @troupe/benchmarks run readme`').toBe(made)
  })

  it('says as plainly that an aim was missed as that it was reached', () => {
    expect(speedTable([durableRow], durableWith(4.9, 'missed'))).toMatch(/4\.9 \(.*, aim ≥ 5: \*\*missed\*\*/)
    expect(speedTable([durableRow], durableWith(5.1, 'reached'))).toMatch(/5\.1 \(.*, aim ≥ 5: reached/)
  })

  it('says what was not measured', () => {
    const [, , line] = speedTable([durableRow], { benchmarks, read: () => undefined }).split('\n')
    expect(line).toContain('DBOS on PostgreSQL, a server: not measured')
    expect(line).not.toMatch(/\d\/s/)
  })

  it('says why it was not, where the results have the reason', () => {
    const [, , line] = speedTable([durableRow], withoutPostgres()).split('\n')
    expect(line).toContain('DBOS on PostgreSQL, a server: not measured: PostgreSQL is not installed<br>')
  })

  it('shows how many each did, and of ours the one that did as many as what stands beside it', () => {
    const rowOf = (group: string) => rows.find((row) => row.group.startsWith(group)) as Row
    const [, , prefect] = speedTable([rowOf('process: SQLite')], measuredPeers).split('\n')
    const cells = (prefect ?? '').split(' | ').slice(1, 4)
    expect(cells).toEqual([
      '1,000/s (n 100)<br>200/s (n 20)',
      expect.stringMatching(
        /: 1,000\/s \(n 100\)<br>.*threads.*: 1,000\/s \(n 100\)<br>.*: 1,000\/s \(n 100\)<br>.*Dask.*: 200\/s \(n 20\)$/,
      ),
      '1 (1 to 1)<br>1 (1 to 1)<br>1 (1 to 1)<br>1 (1 to 1)',
    ])
    const [, , effect] = speedTable([rowOf('memory: one process')], measuredPeers).split('\n')
    expect(effect).toContain('| 20,000/s (n 2,000) |')
  })

  it('has figures that are newer than the results, from the rounds that are stored', () => {
    const row = rows.find(({ what }) => what === 'the same, one after the other in each') as Row
    const older = durableWith(NaN, 'missed').read()
    const groups = older.groups.map((group) => ({ ...group, figures: [] }))
    const results = { ...older, groups }
    const ours = groups.flatMap(({ cases }) => cases).find(({ label }) => label === row.ours)
    expect(ours?.readings[row.reading]?.median).toBeGreaterThan(0)
    const [, , line] = speedTable([row], { benchmarks, read: () => results }).split('\n')
    expect(line).toMatch(/ \| [\d.]+ \([\d.]+ to [\d.]+\)<br>[\d.]+ \([\d.]+ to [\d.]+\) \| /)
  })

  it('says how busy the machine was before and after', () => {
    const results = { ...durableWith(5, 'reached').read(), loads: { before: 0.4, after: 15.8 } }
    const table = speedTable([durableRow], { benchmarks, read: () => results })
    expect(table.replaceAll('\n', ' ')).toContain('load of the machine 0.4 before and 15.8 after')
  })

  it.each([
    [{ benchmark: 'gone' }, 'a benchmark "gone" that is not there'],
    [{ ours: 'gone' }, '"gone" of "sequential: one flow run'],
    [{ group: 'gone' }, 'of "gone" in "durable", which is not there'],
    [{ beside: [{ name: 'x', cases: ['DBOS'], figure: 'gone' }] }, 'a figure "gone" that is not there'],
  ])('fails where it names what no benchmark has: %j', (change, message) => {
    expect(() => speedTable([{ ...durableRow, ...change }], { benchmarks, read })).toThrow(message)
  })

  it('is not written into a page that lacks the markers', () => {
    expect(() => withTable('# Troupe\n', '')).toThrow('lacks its markers')
  })
})

describe('the page of the benchmarks', () => {
  const page = readFileSync(new URL('../README.md', import.meta.url), 'utf8')

  it('says of each row how it is measured alone, and has all aims', () => {
    const checked = withTable(page, checkTable(rows, { benchmarks }), 'rows')
    const made = withTable(checked, targetsTable({ benchmarks, read }), 'targets')
    expect(page, 'run `npx -y pnpm@12 --filter @troupe/benchmarks run readme`').toBe(made)
  })

  it('has a command for each row that measures its group and no other, and sources that are there', () => {
    const lines = checkTable(rows, { benchmarks }).split('\n').slice(2)
    expect(lines).toHaveLength(rows.length)
    for (const [i, line] of lines.entries()) {
      const [, name = '', only = ''] = /\| `([\w-]+) --only "(.*?)"` \|/.exec(line) ?? []
      const benchmark = benchmarks.find((one) => one.name === name)
      const groups = groupsOf(benchmark ?? fail(), readOptions(['--only', only]))
      expect(groups.map(({ title }) => title)).toEqual([rows[i]?.group])
      const named = line.matchAll(/`((?:src|peers)\/[\w./-]+\.(?:ts|js|py))`/g)
      const sources = [...named].map(([, path = '']) => path)
      expect(sources.length).toBeGreaterThan(1)
      expect(sources.filter((path) => !existsSync(new URL(`../${path}`, import.meta.url)))).toEqual([])
    }
  })

  it('says why an aim was not measured, where the results have the reason', () => {
    const lines = targetsTable(withoutPostgres()).split('\n')
    const of = (figure: string) => lines.find((line) => line.startsWith(`| \`durable\` | ${figure} |`))
    expect(of('troupe / DBOS')).toMatch(/: not measured: PostgreSQL is not installed \|$/)
    expect(of('commits per task run')).toMatch(/: not measured \|$/)
  })

  it('lists each aim once, with its verdict', () => {
    const lines = targetsTable({ benchmarks, read: () => durableWith(4.9, 'missed').read() }).split('\n')
    const dbos = lines.filter((line) => line.startsWith('| `durable` | troupe / DBOS |'))
    expect(dbos).toEqual([expect.stringMatching(/≥ 5 \| sequential.*: 4\.9, \*\*missed\*\* \|$/)])
    expect(new Set(lines).size).toBe(lines.length)
  })
})
