import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { benchmarks } from '../src/benchmarks.ts'
import type { Row } from '../src/lib/readme-rows.ts'
import { rows } from '../src/lib/readme-rows.ts'
import { speedTable, withTable } from '../src/lib/readme-table.ts'
import { readResults } from '../src/lib/results.ts'

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
    expect(line).toContain('DBOS on PostgreSQL: not measured')
    expect(line).not.toMatch(/\d/)
  })

  it.each([
    [{ benchmark: 'gone' }, 'a benchmark "gone" that is not there'],
    [{ ours: 'gone' }, '"gone" of "sequential: one flow run'],
    [{ group: 'gone' }, 'of "gone" in "durable", which is not there'],
  ])('fails where it names what no benchmark has: %j', (change, message) => {
    expect(() => speedTable([{ ...durableRow, ...change }], { benchmarks, read })).toThrow(message)
  })

  it('is not written into a page that lacks the markers', () => {
    expect(() => withTable('# Troupe\n', '')).toThrow('lacks its markers')
  })
})
