/** Webhooks of several processes: nodes of a cluster, and one after another over a folder. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createEngine, flow, memoryTransport, type Engine } from '@troupe/core'
import { virtualClock } from '@troupe/core/testing'
import { sqliteJournal } from '@troupe/sqlite-journal'
import { webhookFlows, webhooks, type WebhookEndpoint, type WebhookOptions, type Webhooks } from '@troupe/web'
import { describe, expect, it } from 'vitest'
import { until } from '../support.ts'
import { receiver, secret } from './support.ts'

const endpoint: WebhookEndpoint = {
  id: 'shop',
  url: 'https://shop.example/',
  states: ['RUNNING', 'COMPLETED'],
  flow: 'order',
  secret,
}
const order = flow({ name: 'order', runName: 'order {0}' }, (n: number) => n)
const quiet = (): void => undefined
const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet }

describe('nodes of a cluster', () => {
  it('send each once, and one goes on with the delivery of another that is lost', async () => {
    const clock = virtualClock()
    const transport = memoryTransport()
    const never = new Promise<never>(() => undefined)
    let isStuck = true
    // The first that is sent to it is not answered, until its sender is lost.
    const { fetch, taken, received } = receiver(() => (isStuck && received.length === 1 ? never : undefined))
    const options: WebhookOptions = { fetch, clock, logger, timeout: '1h' }
    const flows = [order, ...webhookFlows([endpoint], options)]
    const start = (node: string): { node: string; engine: Engine; hooks: Webhooks } => {
      const engine = createEngine({ node, transport, clock, logger, serve: { flows } })
      return { node, engine, hooks: webhooks(engine, [endpoint], options) }
    }
    const nodes = ['a', 'b', 'c'].map(start)
    const passes = (what: () => boolean | Promise<boolean>): Promise<void> => clock.run(until(what))
    await clock.run(Promise.all(nodes.map(({ engine }) => engine.announced())))
    const run = nodes[0]!.engine.run(order, 1)
    await passes(() => received.length === 1)
    const summary = await owner()
    const lost = nodes.find(({ node }) => node === summary)!
    const others = nodes.filter((each) => each !== lost)
    isStuck = false
    transport.crash(lost.node)
    await passes(() => others.every(({ hooks }) => hooks.status()[0]?.delivered === 2))
    expect(taken).toEqual(['order 1 Running', 'order 1 Completed'])
    expect(received.map(({ event }) => event.data.seq)).toEqual([2, 2, 3])
    expect(new Set(received.map(({ id }) => id)).size).toBe(2)
    expect(run.id).toBe(received[0]?.event.data.runId)
    for (const { engine } of others) await clock.run(engine.close())

    /** The node that sends, by what it records. */
    async function owner(): Promise<string | undefined> {
      const { engine } = nodes[0]!
      const [delivery] = await engine.list({ flow: 'troupe-webhook-to-shop' })
      for await (const { node } of engine.watch({ flowRunId: delivery!.id })) return node
      return undefined
    }
  })
})

describe('one process after another over a folder', () => {
  it('go on with deliveries that were being tried, and with what was committed in between', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'troupe-web-'))
    let isUp = false
    const { fetch, taken, received } = receiver(() => {
      if (!isUp) throw new TypeError('connection refused')
      return undefined
    })
    const life = async (
      body: (engine: Engine, hooks: Webhooks | undefined) => Promise<void>,
      isWith = true,
    ) => {
      const journal = sqliteJournal(join(folder, 'runs'), { durability: 'process' })
      const engine = createEngine({ journal, logger, recover: true })
      const options = { fetch, logger, retryDelay: 1, concurrency: 2 }
      const hooks = isWith ? webhooks(engine, [endpoint], options) : undefined
      await body(engine, hooks)
      await engine.close()
      await journal.close()
    }
    try {
      await life(async (engine) => {
        for (let n = 0; n < 5; n++) await engine.run(order, n)
        await until(() => received.length > 5)
      })
      await life(async (engine) => {
        for (let n = 5; n < 10; n++) await engine.run(order, n)
      }, false)
      expect(taken).toEqual([])
      isUp = true
      await life(async (_, hooks) => {
        await until(() => hooks?.status()[0]?.delivered === 20)
      })
      expect(taken).toHaveLength(20)
      for (let n = 0; n < 10; n++)
        expect(taken.filter((one) => one.startsWith(`order ${n} `))).toEqual([
          `order ${n} Running`,
          `order ${n} Completed`,
        ])
      // Nothing is sent again by a process that finds all of it delivered.
      await life(async (_, hooks) => {
        await until(() => hooks?.status()[0]?.delivered === 20)
      })
      expect(taken).toHaveLength(20)
    } finally {
      rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
    }
  })
})
