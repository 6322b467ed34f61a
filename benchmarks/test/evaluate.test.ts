import { describe, expect, it } from 'vitest'
import type { Figure, Group } from '../src/lib/benchmark.ts'
import { evaluate } from '../src/lib/evaluate.ts'
import type { CaseOutcomes } from '../src/lib/rounds.ts'

const params = { n: 1, subscribers: 0, warmupMs: 0, windowMs: 0 }

function aCase(label: string, rates: readonly (number | 'failed')[]): CaseOutcomes {
  const outcomes = rates.map((rate) =>
    rate === 'failed' ? { failure: 'out of memory' } : { readings: { 'runs/s': rate } },
  )
  return { measured: { label, measure: 'bare/chain', params }, outcomes }
}

function evaluateRatio(all: readonly CaseOutcomes[], target: Figure['target']) {
  const ratio: Figure = {
    label: 'ratio',
    formula: (read) => read('troupe', 'runs/s') / read('bare', 'runs/s'),
    ...(target && { target }),
  }
  const group: Group = { title: 'group', cases: [], shown: [], figures: [ratio] }
  return evaluate(group, all).figures[0]
}

describe('evaluate', () => {
  it('divides medians and keeps the spread of the ratios of the rounds', () => {
    const all = [aCase('bare', [100, 200, 400]), aCase('troupe', [50, 60, 400])]
    expect(evaluateRatio(all, { atLeast: 0.3 })).toMatchObject({
      value: 0.3,
      rounds: { median: 0.5, min: 0.3, max: 1 },
      verdict: 'reached',
    })
  })

  it('says when a target is missed, from above and from below', () => {
    const all = [aCase('bare', [100]), aCase('troupe', [50])]
    expect(evaluateRatio(all, { atLeast: 0.6 })?.verdict).toBe('missed')
    expect(evaluateRatio(all, { atMost: 0.4 })?.verdict).toBe('missed')
    expect(evaluateRatio(all, { atMost: 0.5 })?.verdict).toBe('reached')
  })

  it('leaves failed rounds out, and has no figure where all failed', () => {
    const bare = aCase('bare', [100, 100])
    expect(evaluateRatio([bare, aCase('troupe', ['failed', 70])], { atLeast: 0.5 })?.value).toBe(0.7)
    expect(evaluateRatio([bare, aCase('troupe', ['failed', 'failed'])], { atLeast: 0.5 })?.verdict).toBe(
      'no figure',
    )
  })
})
