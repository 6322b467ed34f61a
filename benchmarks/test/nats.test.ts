import { describe, expect, it } from 'vitest'
import { measureInChild } from '../src/lib/in-child.ts'

describe('task runs over NATS', () => {
  it('take at most 1.5 messages each, with 200 in flight', async () => {
    const params = { n: 4_000, subscribers: 0, warmupMs: 0, windowMs: 0, inFlight: 200 }
    const outcome = await measureInChild({ label: 'troupe', measure: 'nats/troupe', params })
    expect(outcome).toEqual({ readings: expect.anything() })
    const messages = 'readings' in outcome ? outcome.readings['messages/run'] : undefined
    expect(messages).toBeLessThanOrEqual(1.5)
    // As many as a grouped protocol can't do without: what is counted is there.
    expect(messages).toBeGreaterThan(0.05)
  })
})
