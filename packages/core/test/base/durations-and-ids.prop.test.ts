import fc from 'fast-check'
import { seededRandom } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { toMilliseconds, type Duration } from '../../src/base/duration.ts'
import { flowRunIdOf, newRootId, newTaskRunId, taskRunPrefix, uuidV4 } from '../../src/base/ids.ts'

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

describe('toMilliseconds', () => {
  it('takes milliseconds as they are', () => {
    const milliseconds = fc.double({ min: 0, max: 1e15, noNaN: true })
    fc.assert(
      fc.property(milliseconds, (ms) => {
        expect(toMilliseconds(ms, 'delay')).toBe(ms)
      }),
    )
  })

  it('takes a number with a unit', () => {
    const units = fc.constantFrom(...(Object.keys(unitMs) as (keyof typeof unitMs)[]))
    fc.assert(
      fc.property(fc.nat(100_000), fc.nat(999), units, (whole, thousandths, unit) => {
        expect(toMilliseconds(`${whole}${unit}`, 'delay')).toBe(whole * unitMs[unit])
        const text = `${whole}.${String(thousandths).padStart(3, '0')}`
        expect(toMilliseconds(`${text}${unit}` as Duration, 'delay')).toBe(Number(text) * unitMs[unit])
      }),
    )
  })

  it('refuses anything else, and names the option', () => {
    const wrong = fc.oneof(
      fc.string().filter((text) => !/^\d+(\.\d+)?(ms|s|m|h|d)$/.test(text)),
      fc.constantFrom<unknown>(
        -1,
        Number.NaN,
        Number.POSITIVE_INFINITY,
        null,
        undefined,
        {},
        1n,
        '1 s',
        '1S',
        '-1s',
        '.5s',
        '1s\n',
      ),
    )
    fc.assert(
      fc.property(wrong, (duration) => {
        expect(() => toMilliseconds(duration as Duration, 'delay')).toThrow(
          expect.objectContaining({
            code: 'INVALID_DURATION',
            details: { option: 'delay' },
            message: expect.stringContaining('`delay`'),
          }),
        )
      }),
    )
  })
})

describe('ids', () => {
  it('of a root are 18 characters that may stand in a subject, a file name and a URL', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        expect(newRootId(seededRandom(seed))).toMatch(/^[0-9a-hjkmnp-tv-z]{18}$/)
      }),
    )
  })

  it('of a task run carry the id of its flow run, also where that was given', () => {
    const given = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/)
    fc.assert(
      fc.property(given, fc.integer(), (flowRunId, seed) => {
        const id = newTaskRunId(taskRunPrefix(flowRunId), seededRandom(seed))
        expect(id).toMatch(/^[A-Za-z0-9_-]+\.[0-9a-hjkmnp-tv-z]{12}$/)
        expect([flowRunIdOf(id), flowRunIdOf(flowRunId)]).toEqual([flowRunId, flowRunId])
      }),
    )
  })

  it('of 100,000 runs differ', () => {
    const random = seededRandom(1)
    expect(new Set(Array.from({ length: 100_000 }, () => newTaskRunId('a', random))).size).toBe(100_000)
  })

  it('use every bit that they are given', () => {
    for (let bit = 0; bit < 30; bit++) {
      const words = [0, 1 << bit].map((word) => newTaskRunId('a', { uint32: () => word, number: () => 0 }))
      expect(words[0]).not.toBe(words[1])
    }
  })

  it('that are UUIDs have version 4 and the variant of RFC 9562, and the rest is chance', () => {
    const form = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        expect(uuidV4(seededRandom(seed))).toMatch(form)
      }),
    )
    const ones = uuidV4({ uint32: () => 0xffffffff, number: () => 0 })
    const zeros = uuidV4({ uint32: () => 0, number: () => 0 })
    expect([zeros, ones]).toEqual([
      '00000000-0000-4000-8000-000000000000',
      'ffffffff-ffff-4fff-bfff-ffffffffffff',
    ])
    const random = seededRandom(2)
    expect(new Set(Array.from({ length: 10_000 }, () => uuidV4(random)[19])).size).toBe(4)
  })
})
