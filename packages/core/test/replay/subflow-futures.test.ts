import { flow, memoryJournal, sleep, task } from '@troupe/core'
import { crashingJournal, createTestEngine } from '@troupe/core/testing'
import { expect, it } from 'vitest'

let used = 0
const sub = flow('sub of a future', async (n: number) => {
  await sleep(1)
  return n * 2
})
const use = task('use of a future', (n: number) => {
  used++
  return n + 1
})
const outer = flow('outer of a future', async () => {
  const [first, second] = [sub(1), sub(1)]
  const result = await use(first)
  await second
  await sleep(10)
  return result
})

it.each([true, false])(
  'a replayed body finds the call again that took a future of a subflow; strictValues %s',
  async (strictValues) => {
    used = 0
    const journal = memoryJournal()
    // The process dies while the flow sleeps at its end.
    const probe = createTestEngine({ journal: memoryJournal(), strictValues })
    const whole = probe.run(outer)
    await probe.settle(whole.wait())
    const sum = (await probe.journal.list({ limit: 10 })).reduce(
      (entries, { position }) => entries + position,
      0,
    )
    await probe.close()
    expect(used).toBe(1)
    const dying = crashingJournal(journal, { afterEntries: sum - 2 })
    const first = createTestEngine({ journal: dying, strictValues })
    void first.run(outer)
    await first.settle(dying.death)
    void first.close()
    const second = createTestEngine({ journal, strictValues })
    const [run] = await second.recover()
    await second.settle(run?.wait() ?? Promise.reject(new RangeError('there was nothing to recover')))
    expect([await run?.result(), used]).toEqual([3, 2])
    await second.close()
  },
)
