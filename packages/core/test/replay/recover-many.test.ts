import { flow, memoryJournal, task, type Journal } from '@troupe/core'
import { createTestEngine, virtualClock } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'

const one = task('recover-many-one', (n: number) => n)
const held = flow('recover-many', async (n: number) => [await one(n), await new Promise(() => undefined)])

describe('recover', () => {
  it('reads many journals at once: a slow journal keeps nobody waiting for each', async () => {
    const under = memoryJournal()
    const clock = virtualClock()
    const first = createTestEngine({ journal: under, clock, seed: 1, node: 'first' })
    const started = Array.from({ length: 100 }, (_, n) => first.run(held, n))
    await first.close()

    const readMs = 10
    const read: Journal['read'] = async (...range) => {
      await new Promise<void>((resolve) => void clock.at(clock.now() + readMs, resolve))
      return under.read(...range)
    }
    const journal = new Proxy(under, {
      get: (target, name) => {
        if (name === 'read') return read
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    await using second = createTestEngine({ journal, clock, seed: 2, node: 'second' })
    const before = clock.now()
    const recovered = await clock.run(second.recover())
    // In the order in which they were started.
    expect(recovered.map(({ id }) => id)).toEqual(started.map(({ id }) => id))
    expect(clock.now() - before).toBeLessThanOrEqual(10 * readMs)
  })
})
