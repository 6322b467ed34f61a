import { createEngine, flow, task } from '@troupe/core'
import { expect, describe, it } from 'vitest'
import { append, claimed, create, note, opened, root } from '../support.ts'

const step = task({ name: 'step' }, async (index: number) => index)

describe('commits', () => {
  it('are shared by appends that are asked for in one turn, each of which is stored or refused on its own', async () => {
    const { journal, close } = await opened()
    try {
      for (let n = 0; n < 20; n++) await create(journal, `run ${n}`)
      const before = journal.stats()
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, n) => append(journal, `run ${n}`, n % 5 === 4 ? 7 : 2, [note('x')])),
      )
      expect(answers).toEqual(
        Array.from({ length: 20 }, (_, n) => (n % 5 === 4 ? { refused: true, position: 2 } : undefined)),
      )
      const after = journal.stats()
      expect({
        commits: after.commits - before.commits,
        appends: after.appends - before.appends,
        refused: after.refused - before.refused,
        entries: after.entries - before.entries,
      }).toEqual({ commits: 1, appends: 16, refused: 4, entries: 16 })
    } finally {
      await close()
    }
  })

  it('are one for each step of a flow that awaits one step after the other', async () => {
    const { journal, close } = await opened()
    const engine = createEngine({ journal })
    try {
      const run = flow({ name: 'steps' }, async (count: number) => {
        for (let index = 0; index < count; index++) await step(index)
      }).with({ engine })
      await run(1)
      const before = journal.stats().commits
      await run(101)
      const middle = journal.stats().commits
      await run(1)
      // 100 steps more than the short run.
      const short = journal.stats().commits - middle
      expect(middle - before - short).toBe(100)
    } finally {
      await engine.close()
      await close()
    }
  })

  it('are few for steps that are submitted at once', async () => {
    const { journal, close } = await opened()
    const engine = createEngine({ journal })
    try {
      const run = flow({ name: 'at once' }, async (count: number) => {
        await Promise.all(Array.from({ length: count }, (_, index) => step(index)))
      }).with({ engine })
      await run(2_000)
      const { commits, entries } = journal.stats()
      expect(entries).toBeGreaterThan(6_000)
      expect(commits).toBeLessThan(200)
    } finally {
      await engine.close()
      await close()
    }
  })

  it('store what is large once, and all of an append or nothing', async () => {
    const { journal, close } = await opened({ largeValue: 1_000 })
    try {
      const large = new Uint8Array(50_000).map((_, index) => index % 251)
      for (const id of ['a', 'b', 'c']) await create(journal, id, { inputs: large })
      const small = journal.stats().bytes
      // Bytes that went to the thread: the value goes each time, for only the thread knows what is stored.
      expect(small).toBeGreaterThan(150_000)
      await journal.compact()
      const [, submitted] = await journal.read('b', 1, 10)
      expect(submitted).toMatchObject({ kind: 'submitted' })
      expect(Buffer.compare((submitted as { inputs: Uint8Array }).inputs, large)).toBe(0)
      // None of a refused append.
      const answer = await journal.append({
        flowRunId: 'a',
        expected: 0,
        epoch: 1,
        entries: [claimed(), root('a', { inputs: large.map((byte) => byte ^ 1) })],
      })
      expect(answer).toEqual({ refused: true, position: 2 })
    } finally {
      await close()
    }
  })
})
