import { describe, expect, it } from 'vitest'
import { benchmarks } from '../src/benchmarks.ts'
import type { Case } from '../src/lib/benchmark.ts'
import { measureInChild } from '../src/lib/in-child.ts'
import { readOptions } from '../src/lib/options.ts'
import { hashOfBare } from '../src/lib/surroundings.ts'

/** Each measurement once, as small as it gets; not the peers, which only the benchmark itself installs. */
const cases = new Map<string, Case>()
for (const { groups } of benchmarks) {
  for (const one of groups(readOptions(['--quick'])).flatMap((group) => group.cases)) {
    if (one.measure.startsWith('peers/')) continue
    const { subscribers, inFlight = 1 } = one.params
    const params = { n: 100, subscribers: Math.min(subscribers, 1), warmupMs: 0, windowMs: 0, inFlight }
    cases.set(one.measure, { ...one, params })
  }
}

describe('every measurement', () => {
  it.each([...cases.values()])(
    '$measure does in a child process what it counts',
    async (one) => {
      const outcome = await measureInChild(one)
      expect(outcome).toEqual({ readings: expect.anything() })
      // Those that compute on two threads have one core, where other tests have the others.
    },
    120_000,
  )

  it('reports a child that fails instead of throwing', async () => {
    const [one] = cases.values()
    const outcome = one && (await measureInChild({ ...one, measure: 'bare/no-such-loop' }))
    expect(outcome).toEqual({ failure: expect.stringContaining('no measurement "bare/no-such-loop"') })
  })
})

describe('the ceiling', () => {
  it('is frozen: see src/bare/README.md before you change this hash', () => {
    expect(hashOfBare()).toBe('9153be838e177100')
  })
})
