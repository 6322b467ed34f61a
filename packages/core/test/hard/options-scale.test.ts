import { flow, inputs, task, withTags } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { counts } from '../behaviour/limit-support.ts'
import { quiet, testEngine } from '../behaviour/support.ts'
import { abandoned, forever, later, or, silent } from './support.ts'

// Nothing here looks at a clock: a step that costs time in proportion to all the others, quadratic in the whole, does not
// come to its end within the time that a test has.

describe('very many runs', () => {
  const n = 10_000
  const list = Array.from({ length: n }, (_, i) => i)

  const cancelled = async (many: number): Promise<void> => {
    await using engine = testEngine({
      strictValues: false,
      logger: silent,
      limits: [
        { task: 'limited', concurrency: 1 },
        { tag: 'x', concurrency: 1 },
      ],
    })
    const limited = task({ name: 'limited', tags: ['x'], grace: 0, waitTimeout: '1h' }, (_n: number) =>
      forever(),
    )
    const crowd = flow({ name: 'crowd', grace: 0 }, () => limited.map(list.slice(0, many)))
    const run = abandoned(engine.run(crowd))
    await quiet(200)
    expect(counts(engine)).toBe(`1/${many - 1} 1/${many - 1}`)
    await or(engine.clock, run.cancel())
    expect(run.state.name).toBe('Cancelled')
    expect(counts(engine)).toBe('0/0 0/0')
    expect(engine.clock.waiting).toBeLessThan(3)
  }
  it('that wait for a slot are cancelled all at once', async () => {
    await expect(cancelled(n)).resolves.toBeUndefined()
  })

  const followed = async (many: number, inside: boolean): Promise<void> => {
    await using engine = testEngine({ strictValues: false, logger: silent })
    let calls = 0
    const same = task({ name: 'same', cache: inputs() }, async () => {
      calls++
      await quiet(50)
      return 'same'
    })
    const each = (): unknown => Promise.all(Array.from({ length: many }, () => same()))
    const leads = task({ name: 'leads', cache: inputs() }, each)
    const crowd = flow('crowd', (): unknown => (inside ? leads() : each()))
    await engine.settle(engine.run(crowd))
    expect(calls).toBe(1)
  }
  it.each([false, true])(
    'that wait for one result get it (from within a cached task: %s)',
    async (inside) => {
      await expect(followed(n, inside)).resolves.toBeUndefined()
    },
  )

  it('that each release a slot for the next do not use up the stack', async () => {
    await using engine = testEngine({ strictValues: false, limits: [{ task: 'step', concurrency: 1 }] })
    const step = task('step', (i: number) => i)
    const chain = flow('chain', () => step.map(list))
    expect(await engine.settle(engine.run(chain))).toHaveLength(n)
    expect(counts(engine)).toBe('0/0')
  })

  it('that are refused one after the other do not use up the stack', async () => {
    await using engine = testEngine({ strictValues: false, limits: [{ tag: 't', concurrency: 1 }] })
    const child = task('child', () => 1)
    const parent = task({ name: 'parent', tags: ['t'] }, async () => {
      const ends = await Promise.allSettled(Array.from({ length: n }, () => child()))
      return ends.filter(({ status }) => status === 'rejected').length
    })
    expect(await engine.settle(engine.run(flow('refused', () => parent())))).toBe(n)
    expect(counts(engine)).toBe('0/0')
  })

  const nested = async (depth: number): Promise<void> => {
    await using engine = testEngine({ strictValues: false, limits: [{ tag: 'none', concurrency: 1 }] })
    const deeper = task('deeper', async (left: number): Promise<number> => {
      if (left === 0) return 0
      return 1 + Number(await withTags([`t${left % 3}`], () => deeper(left - 1) as PromiseLike<number>))
    })
    expect(await engine.settle(engine.run(flow('nested', () => deeper(depth))))).toBe(depth)
  }
  it('that are nested deeply have their tags', async () => {
    await expect(nested(1500)).resolves.toBeUndefined()
  })
})

describe('the search for deadlocks', () => {
  const children = async (many: number, cancels: boolean): Promise<void> => {
    await using engine = testEngine({
      strictValues: false,
      logger: silent,
      limits: [{ tag: 'db', concurrency: 10, rate: { count: 5, per: '1s' } }],
    })
    const child = task('child', (n: number) => n)
    const parent = task({ name: 'parent', tags: ['db'] }, () =>
      Promise.all(Array.from({ length: many }, (_, i) => child(i))),
    )
    const run = abandoned(engine.run(flow('family', () => parent())))
    if (cancels) {
      await quiet(100)
      await or(engine.clock, run.cancel())
    }
    const end = await engine.settle(run.wait())
    expect(end.name).toBe(cancels ? 'Cancelled' : 'Completed')
    expect(counts(engine)).toBe('0/0')
  }
  it.each([false, true])('costs the many children of one run little (cancelled: %s)', async (cancels) => {
    await expect(children(20_000, cancels)).resolves.toBeUndefined()
  })

  it('costs little where two runs have all slots, and both have many children', async () => {
    const siblings = async (many: number): Promise<void> => {
      await using engine = testEngine({
        strictValues: false,
        logger: silent,
        limits: [{ tag: 'db', concurrency: 2 }],
      })
      const child = task('child', () => 1)
      const parent = task({ name: 'parent', tags: ['db'] }, async () => {
        const ends = await Promise.allSettled(Array.from({ length: many }, () => child()))
        return ends.filter(({ status }) => status === 'fulfilled').length
      })
      const run = engine.run(flow('both', () => [parent(), parent()]))
      expect(await engine.settle(run)).toEqual([many, 0])
    }
    await expect(siblings(15_000)).resolves.toBeUndefined()
  })

  it('costs those who wait for a result little, while its maker waits for a slot', async () => {
    const followed = async (many: number): Promise<void> => {
      await using engine = testEngine({ strictValues: false, limits: [{ task: 'slow', concurrency: 1 }] })
      const slow = task('slow', () => later(engine.clock, 100))
      const same = task({ name: 'same', cache: inputs() }, () => slow())
      const leads = task({ name: 'leads', cache: inputs() }, () =>
        Promise.all(Array.from({ length: many }, () => same())),
      )
      const crowd = flow('crowd', async () => {
        const before = slow()
        await Promise.all([leads(), before])
      })
      await engine.settle(engine.run(crowd))
    }
    await expect(followed(20_000)).resolves.toBeUndefined()
  })
})
