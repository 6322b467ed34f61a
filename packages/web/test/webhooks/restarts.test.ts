/** What is sent although processes end: nothing is lost that was committed, and nothing is started twice. */
import { flow, memoryJournal, receive, task, type Journal } from '@troupe/core'
import { webhooks, type WebhookOptions, type Webhooks } from '@troupe/web'
import { crashingJournal, type TestEngine } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { rest, testEngine } from '../support.ts'
import { receiver, secret } from './support.ts'

const pay = task('pay', (n: number) => n)
const order = flow({ name: 'order', runName: 'order {0}' }, (n: number) => pay(n))
const slow = flow('slow', () => receive('go'))

const endpoint = {
  id: 'shop',
  url: 'https://shop.example/',
  states: ['RUNNING', 'COMPLETED'],
  secret,
} as const

interface Life {
  readonly engine: TestEngine
  readonly hooks: Webhooks
}

function live(
  journal: Journal,
  node: string,
  fetch: typeof globalThis.fetch,
  options: WebhookOptions = {},
): Life {
  const engine = testEngine({ journal, node, recover: true })
  const quiet = (): void => undefined
  const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet }
  return { engine, hooks: webhooks(engine, [endpoint], { clock: engine.clock, logger, fetch, ...options }) }
}

async function passes(engine: TestEngine, what: () => boolean): Promise<void> {
  await engine.settle(
    (async () => {
      while (!what()) await new Promise((resolve) => setTimeout(resolve, 1))
    })(),
  )
}

/** Until it has seen so many deliveries end. */
async function sent({ hooks }: Life, count: number): Promise<void> {
  while (hooks.status()[0]?.delivered !== count) await new Promise((resolve) => setTimeout(resolve, 1))
}

describe('webhooks', () => {
  it('send what was committed while nobody sent any', async () => {
    const journal = memoryJournal()
    const { fetch, taken } = receiver()
    const first = live(journal, 'a', fetch)
    await first.engine.settle(order.with({ engine: first.engine })(1))
    await passes(first.engine, () => taken.length === 2)
    await first.engine.close()
    const without = testEngine({ journal, node: 'b' })
    await without.settle(order.with({ engine: without })(2))
    await without.close()
    const second = live(journal, 'c', fetch)
    await passes(second.engine, () => taken.length === 4)
    await rest(100)
    await second.engine.close()
    expect(taken).toEqual(['order 1 Running', 'order 1 Completed', 'order 2 Running', 'order 2 Completed'])
  })

  it('send nothing of what was before the endpoint was first there', async () => {
    const journal = memoryJournal()
    const { fetch, taken } = receiver()
    const without = testEngine({ journal, node: 'a' })
    await without.settle(order.with({ engine: without })(1))
    const waits = slow.with({ engine: without })()
    await rest()
    without.clock.advance(1_000)
    await without.close()
    const later = live(journal, 'b', fetch)
    await rest(50)
    const run = await later.engine.get(waits.id)
    if (run?.kind === 'flow') await run.signal('go')
    await passes(later.engine, () => taken.includes('slow Completed'))
    await later.engine.close()
    expect(taken.filter((one) => one.startsWith('order'))).toEqual([])
    expect(taken.at(-1)).toBe('slow Completed')
  })

  it('leave out what is too old', async () => {
    const journal = memoryJournal()
    const { fetch, taken } = receiver()
    const first = live(journal, 'a', fetch)
    await rest(50)
    await first.hooks.close()
    await first.engine.settle(order.with({ engine: first.engine })(1))
    first.engine.clock.advance(3_600_000)
    await first.engine.settle(order.with({ engine: first.engine })(2))
    await first.engine.close()
    const second = live(journal, 'b', fetch, { maxAge: '30m' })
    await passes(second.engine, () => taken.length === 2)
    await rest(100)
    await second.engine.close()
    expect(taken).toEqual(['order 2 Running', 'order 2 Completed'])
  })

  it('go on with a delivery whose process died, wherever it died', async () => {
    let tries = 0
    for (let after = 1; ; after++) {
      const beneath = memoryJournal()
      const journal = crashingJournal(beneath, { afterEntries: after })
      const { fetch, received, taken } = receiver()
      const first = live(journal, 'a', fetch)
      void first.engine.run(order.with({ id: 'order-1' }), 1).wait()
      const all = new Promise<void>((resolve) => void sent(first, 2).then(resolve))
      await first.engine.settle(Promise.race([journal.death, all]))
      await rest(100)
      if (!journal.crashed) {
        await first.engine.close()
        break
      }
      const before = taken.length
      const second = live(beneath, 'b', fetch)
      const run = second.engine.run(order.with({ id: 'order-1' }), 1)
      await second.engine.settle(run.wait())
      await passes(second.engine, () => new Set(taken).size === 2)
      await rest(100)
      await second.engine.close()
      expect([...new Set(taken)]).toEqual(['order 1 Running', 'order 1 Completed'])
      // A body that was lost is Running twice. Each transition has an id of its own, and they come in order.
      const ids = new Map(received.map(({ id, event }) => [id, event.data.seq]))
      expect(new Set(ids.values()).size).toBe(ids.size)
      expect([...ids.values()]).toEqual([...ids.values()].sort((a, b) => a - b))
      expect(taken.length).toBeLessThanOrEqual(before + ids.size)
      tries++
    }
    expect(tries).toBeGreaterThan(20)
  })

  it('of several engines over one journal send each once', async () => {
    const journal = memoryJournal()
    const append = journal.append.bind(journal)
    // It answers late, as those do that write to a disk: what begins before the answer would be sent by all.
    journal.append = async (request) => {
      await rest(3)
      return append(request)
    }
    const { fetch, taken, received } = receiver()
    const lives = ['a', 'b', 'c'].map((node) => live(journal, node, fetch))
    const [{ engine }] = lives as [Life]
    for (let n = 0; n < 10; n++) await engine.settle(order.with({ engine })(n))
    await passes(engine, () => lives.every(({ hooks }) => hooks.status()[0]?.delivered === 20))
    await rest(100)
    for (const one of lives) await one.engine.close()
    expect(received).toHaveLength(20)
    for (let n = 0; n < 10; n++)
      expect(taken.filter((one) => one.startsWith(`order ${n} `))).toEqual([
        `order ${n} Running`,
        `order ${n} Completed`,
      ])
  })
})
