import { flow, inputs, memoryCache, sleep } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { silent } from '../hard/support.ts'
import { histories, Lives, rest } from '../replay/lives.ts'
import { observed } from './caching-support.ts'

describe('after the death of a process', () => {
  const slow = observed({ name: 'slow', cache: inputs() }, async (n: number) => {
    await sleep('1m')
    return { n }
  })
  const asks = flow('asks-and-dies', async () => {
    const first = await slow.call(1)
    const second = await slow.call(1)
    const both = await Promise.all([slow.call(2), slow.call(2)])
    await sleep('1m')
    return [first, second, ...both].map(({ n }) => n)
  })

  it('replay gives the cached value again at every point of the journal, though the cache is gone', async () => {
    const whole = new Lives()
    await using probe = whole.start()
    const complete = probe.run(asks)
    await probe.settle(complete)
    await probe.close()
    const entries = (await whole.journal.summary(complete.id))?.position ?? 0
    expect(entries).toBeGreaterThan(12)
    for (let at = 2; at < entries; at++) {
      const lives = new Lives()
      const id = await lives.runUntilDeath(at, asks)
      const before = slow.ran.length
      await using engine = lives.start()
      const { run, state } = await lives.recoverToEnd(engine)
      expect([run.id, state.name]).toEqual([id, 'Completed'])
      expect(await run.result()).toEqual([1, 1, 2, 2])
      expect(slow.ran.length - before).toBeLessThanOrEqual(at < entries - 2 ? 4 : 0)
    }
  })

  it('a call that was Cached stays what it was, and looks nowhere again', async () => {
    const lives = new Lives()
    const { call, ran } = observed({ name: 'once', cache: inputs() }, (): { made: number } => ({
      made: ran.length,
    }))
    const twice = flow('asks-twice-and-dies', async () => {
      const values = [await call(), await call()]
      await sleep('1h')
      return values
    })
    await using first = lives.start()
    const cut = first.run(twice)
    void cut.wait().catch(() => undefined)
    await rest()
    await first.close()
    let asked = 0
    const memory = memoryCache()
    const cache = { ...memory, get: (key: string) => (asked++, memory.get(key)) }
    await using second = lives.start({ cache })
    const { run } = await lives.recoverToEnd(second)
    expect(await run.result()).toEqual([{ made: 1 }, { made: 1 }])
    expect([ran.length, asked]).toEqual([1, 0])
    expect(await histories(second, run.id)).toMatchObject({
      'once-1': 'Pending Running Completed',
      'once-2': 'Pending Cached',
    })
  })

  it('the result of a run that was recovered is kept for later calls, too', async () => {
    const lives = new Lives()
    const cache = memoryCache()
    const { call, ran } = observed({ name: 'recovered', cache: inputs() }, async (): Promise<number> => {
      await sleep('1m')
      return ran.length
    })
    const asking = flow('runs-and-dies', () => call())
    await using first = lives.start({ cache })
    const cut = first.run(asking)
    void cut.wait().catch(() => undefined)
    await rest()
    await first.close()
    await using second = lives.start({ cache })
    const { run } = await lives.recoverToEnd(second)
    expect(await run.result()).toBe(2)
    expect(await second.settle(second.run(asking))).toBe(2)
  })

  it('the result of a run that was tried again after it is kept for later calls, too', async () => {
    const lives = new Lives()
    const cache = memoryCache()
    const { call, ran } = observed(
      { name: 'tries', cache: inputs(), retries: 1, retryDelay: '1h' },
      (): number => {
        if (ran.length === 1) throw new Error('no')
        return ran.length
      },
    )
    const tries = flow('tries-and-dies', () => call())
    await using first = lives.start({ cache })
    const cut = first.run(tries)
    void cut.wait().catch(() => undefined)
    await rest()
    await first.close()
    await using second = lives.start({ cache })
    const { run } = await lives.recoverToEnd(second)
    expect(await run.result()).toBe(2)
    expect(await second.settle(second.run(tries))).toBe(2)
  })

  it('a call that had not begun takes what was made meanwhile', async () => {
    const lives = new Lives()
    const cache = memoryCache()
    const { call, ran } = observed({ name: 'late', cache: inputs() }, async (n: number) => {
      await sleep('1m')
      return n
    })
    const asksLate = flow('asks-late', () => call(1))
    const hung = { ...cache, get: () => new Promise<never>(() => undefined) }
    await using first = lives.start({ cache: hung, logger: silent })
    const cut = first.run(asksLate)
    void cut.wait().catch(() => undefined)
    await rest()
    await first.close()
    await using second = lives.start({ cache })
    expect(await second.settle(second.run(flow('asks-other', () => call(1))))).toBe(1)
    const { run } = await lives.recoverToEnd(second)
    expect(await run.result()).toBe(1)
    expect(ran).toHaveLength(1)
    expect(await histories(second, run.id)).toMatchObject({ 'late-1': 'Pending Cached' })
  })

  it('a call that waited for a slot does, too', async () => {
    const lives = new Lives()
    const cache = memoryCache()
    const { call, ran } = observed({ name: 'queued', cache: inputs() }, async (n: number) => {
      await sleep('1m')
      return n
    })
    const asksQueued = flow('asks-queued', () => call(1))
    const holdsSlot = flow('holds-slot', () => call(2))
    await using first = lives.start({ cache, limits: [{ task: 'queued', concurrency: 1 }] })
    for (const run of [first.run(holdsSlot), first.run(asksQueued)]) void run.wait().catch(() => undefined)
    await rest()
    await first.close()
    await using second = lives.start({ cache })
    expect(await second.settle(second.run(flow('asks-besides', () => call(1))))).toBe(1)
    const recovered = await second.settle(second.recover())
    const states = await second.settle(Promise.all(recovered.map((run) => run.wait())))
    expect(states.map(({ name }) => name)).toEqual(['Completed', 'Completed'])
    const waited = recovered.find(({ name }) => name === 'asks-queued')
    expect(await histories(second, waited?.id ?? '')).toMatchObject({
      'queued-1': 'Pending AwaitingConcurrencySlot Cached',
    })
    expect(ran).toEqual([[2], [1], [2]])
  })
})
