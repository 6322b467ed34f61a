import { describe, expect, it } from 'vitest'
import { loopDelay, withLoopDelay } from '../src/lib/loop-delay.ts'

const stood = 60

describe('the delay of the event loop', () => {
  it('is as long as the loop stands still, to the end of what is measured', async () => {
    const readings = await withLoopDelay(async () => {
      const startedAt = performance.now()
      while (performance.now() - startedAt < stood);
      return { 'runs/s': 1 }
    })
    expect(readings['runs/s']).toBe(1)
    expect(readings[loopDelay]).toBeGreaterThan(0.9 * stood)
  })
})
