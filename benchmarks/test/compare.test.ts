import { describe, expect, it } from 'vitest'
import { benchmarks } from '../src/benchmarks.ts'
import type { Case } from '../src/lib/benchmark.ts'
import { compare, judge, storedBound } from '../src/lib/compare.ts'
import { measureInChild } from '../src/lib/in-child.ts'
import { readOptions } from '../src/lib/options.ts'
import { groupsOf } from '../src/lib/plan.ts'
import { readResults, type Results } from '../src/lib/results.ts'
import { boundOf, toleranceFactor } from '../src/lib/tolerance.ts'
import { ratios } from '../src/ratios.ts'

const [group] = groupsOf(ratios, readOptions([]))
if (group === undefined) throw new Error('no ratios')

/** Results in which the first case cost so much in each round. */
function storedCosts(one: Case, costs: readonly number[]): Results {
  const rounds = costs.map((cost) => ({ readings: { cost } }))
  const cases = [{ label: one.label, params: one.params, readings: {}, rounds }]
  return { groups: [{ title: 'ratios', shown: [], cases, figures: [] }] } as unknown as Results
}

describe('the bound of a cost', () => {
  it('is as many standard deviations away as tables of tolerance factors say', () => {
    // One-sided, 99 % of the population with 95 % confidence: 3.98, 3.06, 2.33.
    expect(toleranceFactor(10)).toBeCloseTo(3.98, 0)
    expect(toleranceFactor(30)).toBeCloseTo(3.06, 1)
    expect(toleranceFactor(100_000)).toBeCloseTo(2.33, 1)
    expect(toleranceFactor(2)).toBe(Infinity)
  })

  it('follows from the spread of what is stored, and is none where there are too few', () => {
    const narrow = boundOf([2, 2.02, 1.98, 2.01, 1.99, 2.02, 1.98, 2])
    const wide = boundOf([2, 2.2, 1.8, 2.1, 1.9, 2.2, 1.8, 2])
    expect(narrow.stored).toBeCloseTo(2, 1)
    expect(narrow.factor).toBeLessThan(1.1)
    expect(wide.factor).toBeGreaterThan(1.3)
    expect(boundOf([2]).factor).toBe(Infinity)
  })

  it.each([
    [2.6, 'worse'],
    [2.4, 'as before'],
    [1.7, 'as before'],
    [1.5, 'better'],
  ])('judges a cost of %f beside 2, where 1.25 times it is noise: %s', (cost, verdict) => {
    expect(judge(cost, { stored: 2, factor: 1.25 })).toBe(verdict)
    expect(judge(cost, undefined)).toBe('nothing stored')
  })
})

describe('what is stored in the repository', () => {
  it('has each cost that is compared, measured often enough to know its spread', () => {
    const stored = readResults('ratios', '20')
    const factors = group.figures.map(({ label, formula }) => {
      const bounds = group.cases.flatMap((one) => storedBound({ label, formula }, one, stored) ?? [])
      return [label, bounds.map(({ factor }) => factor)] as const
    })
    // A bound that nothing short of a disaster is beyond would be none.
    const useless = factors.filter(([, [factor = Infinity, ...more]]) => factor > 2 || more.length > 0)
    expect(useless).toEqual([])
  })
})

describe('a slowdown', () => {
  it('is found: what costs three times as much as before is worse, each of three times', async () => {
    const [chain] = group.cases
    if (chain === undefined) throw new Error('no case')
    const [now] = await compare(chain, group, undefined)
    expect(now).toMatchObject({ verdict: 'nothing stored', cost: expect.any(Number) })
    const { cost = NaN } = now ?? {}
    const before = storedCosts(
      chain,
      [0.9, 0.95, 1, 1, 1, 1.05, 1.1].map((noise) => noise * cost),
    )
    const slowed = { ...chain, params: { ...chain.params, burn: 2 } }
    const [found] = await compare(slowed, group, before)
    expect(found).toMatchObject({ verdict: 'worse' })
  }, 240_000)

  it('is none where a cost is far below what is stored, which is told', async () => {
    const [chain] = group.cases
    if (chain === undefined) throw new Error('no case')
    const [found] = await compare(chain, group, storedCosts(chain, [1e6, 1.1e6, 1.2e6, 1.3e6, 1.1e6]))
    expect(found).toMatchObject({ verdict: 'better' })
  }, 120_000)

  it('is no verdict of a measurement that failed', async () => {
    const [chain] = group.cases
    if (chain === undefined) throw new Error('no case')
    const broken = { ...chain, measure: 'ratios/no-such-one' } as const
    expect(await compare(broken, group, undefined)).toMatchObject([{ verdict: 'failed' }])
  })
})

describe('a child', () => {
  it('that fails is reported instead of thrown', async () => {
    const [one] = group.cases
    const outcome = one && (await measureInChild({ ...one, measure: 'bare/no-such-loop' }))
    expect(outcome).toEqual({ failure: expect.stringContaining('no measurement "bare/no-such-loop"') })
  })
})

describe('every case', () => {
  it('says what it takes to lose what it did', () => {
    const cases = benchmarks.flatMap((one) => groupsOf(one, readOptions([])).flatMap((each) => each.cases))
    expect(cases.length).toBeGreaterThan(100)
    expect(cases.filter(({ durability }) => durability === undefined)).toEqual([])
  })
})
