import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { validate, type Validation } from '../../src/capacity/check.ts'
import { withParts } from '../../src/capacity/marked.ts'
import { checkedAt, fitted, wideLoad } from '../../src/capacity/model.ts'
import { simulate } from '../../src/capacity/path.ts'
import { parts, stored } from '../../src/capacity/report.ts'
import { narrowAt, shapeLabel, wideAt } from '../../src/counts.ts'

const from = stored()
const service = fitted(from)
const checks = validate(from, service)
/** Made of the rounds in which everything took least, and most: what noise alone could have made of the simulation. */
const bounds = [fitted(from, 'min'), fitted(from, 'max')].map((one) => validate(from, one))

const find = (all: readonly Validation[], load: string, reading: string): Validation => {
  const found = all.find((one) => one.load === load && one.reading === reading)
  if (found === undefined) throw new Error(`nothing is simulated of ${reading}, ${load}`)
  return found
}

describe('the simulation beside what was measured', () => {
  it.each([1, 1_000])(
    'takes as long as was measured with %s in flight, which it was fitted to',
    (inFlight) => {
      const { simulated, measured } = find(checks, shapeLabel.wide(inFlight), 'task runs/s')
      expect(simulated / measured.median).toBeCloseTo(1, 1)
    },
  )

  it.each(
    checkedAt.flatMap((inFlight) => ['task runs/s', 'p50 ms'].map((reading) => ({ inFlight, reading }))),
  )(
    'gives $reading of $inFlight in flight, which it was not fitted to, as the rounds did',
    ({ inFlight, reading }) => {
      const label = shapeLabel.wide(inFlight)
      const { measured } = find(checks, label, reading)
      const simulated = bounds.map((all) => find(all, label, reading).simulated)
      // It can't know how long task runs take better than it knows their CPU time and their messages.
      const off = (name: string): number => Math.exp(Math.abs(Math.log(1 + find(checks, label, name).error)))
      const factor = off('CPU µs') * off('messages per task run')
      expect(factor).toBeLessThan(2)
      expect(Math.min(...simulated)).toBeLessThan(measured.max * factor)
      expect(Math.max(...simulated)).toBeGreaterThan(measured.min / factor)
    },
  )

  it.each(wideAt.filter((inFlight) => inFlight > 1))(
    'groups as much with %s in flight: with groups half or twice as large its messages would be further off',
    (inFlight) => {
      const { measured } = find(checks, shapeLabel.wide(inFlight), 'messages per task run')
      const load = wideLoad(inFlight, from.nats.cores)
      const off = (groups: number): number =>
        Math.abs(Math.log(simulate(service, { ...load, groups }).server.messages / measured.median))
      const right = off(1)
      for (const groups of [0.5, 2]) expect(right).toBeLessThan(off(groups))
    },
  )

  it.each([shapeLabel.wide(1), ...narrowAt.map(shapeLabel.narrow)])(
    'has all messages where nothing is grouped but a pull, and a request to empty the mailbox: %s',
    (label) => {
      const { measured, simulated } = find(checks, label, 'messages per task run')
      expect(measured.median).toBeGreaterThanOrEqual(simulated)
      expect(measured.median).toBeLessThanOrEqual(simulated + 3)
    },
  )
})

describe('docs/scale.md', () => {
  it('has what the stored results say: `pnpm --filter @troupe/benchmarks capacity --write` puts it there', () => {
    const page = readFileSync(new URL('../../../docs/scale.md', import.meta.url), 'utf8')
    expect(page).toBe(withParts(page, parts(from)))
  })

  it('is refused where a place is missing, or is one of nothing', () => {
    const page = 'a <!-- one -->\nold\n<!-- /one --> b'
    expect(withParts(page, { one: 'new' })).toBe('a <!-- one -->\n\nnew\n\n<!-- /one --> b')
    expect(() => withParts(page, { one: '', two: '' })).toThrow('no place for "two"')
    expect(() => withParts(page, {})).toThrow('nothing for "one"')
  })
})
