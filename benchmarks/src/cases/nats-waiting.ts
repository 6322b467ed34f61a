import { createEngine, flow, receive } from '@troupe/core'
import { setTimeout } from 'node:timers/promises'
import { bytesInUse } from '../lib/heap.ts'
import { expectEqual, type Measure, type Readings } from '../lib/measure.ts'
import { startNats, type NatsServers } from '../nats/server.ts'
import { failOnErrors, transportTo } from '../nats/troupe.ts'

let begun = 0

const waits = flow({ name: 'waits' }, async (i: number) => {
  begun++
  return i + ((await receive('go')) as number)
})

/** Flow runs that are started at once, and that are told to go on in the end. */
const together = 500
const told = 10

/**
 * Flow runs of one owner that wait for a signal: how fast they are there, and what owner and server do while nothing
 * happens.
 */
const waiting =
  (suspendAfter: '1s' | false): Measure =>
  async ({ n, windowMs }) => {
    const server = await startNats({})
    try {
      const engine = createEngine({ ...transportTo(server), suspendAfter })
      failOnErrors(engine)
      const start = waits.with({ engine })
      await goOn([start(0)])
      const before = await memory(server)
      begun = 0
      const startedAt = performance.now()
      const runs = []
      for (let i = 0; i < n; i += together) {
        runs.push(...Array.from({ length: Math.min(together, n - i) }, (_, k) => start(i + k)))
        while (begun < runs.length) await setTimeout(1)
      }
      const startedMs = performance.now() - startedAt
      await silence(server)
      const after = await memory(server)
      const idle = await idleFor(server, Math.max(windowMs, 1_000))
      await goOn(runs.slice(0, told))
      await engine.close()
      return {
        ...idle,
        'owner B/run': (after.owner - before.owner) / n,
        'server B/run': (after.server - before.server) / n,
        'owner rss MB': process.memoryUsage().rss / 1e6,
        'server MB': after.server / 1e6,
        'started/s': (n / startedMs) * 1e3,
      }
    } finally {
      await server.stop()
    }
  }

/** Tells the first runs to go on. */
async function goOn(runs: readonly ReturnType<typeof waits>[]): Promise<void> {
  for (const [i, run] of runs.entries()) {
    await run.handle.signal('go', 1)
    expectEqual('as value', await run, i + 1)
  }
}

async function memory(server: NatsServers): Promise<{ readonly owner: number; readonly server: number }> {
  return { owner: await bytesInUse(), server: server.residentBytes() }
}

const messagesOf = async (server: NatsServers): Promise<number> =>
  (await server.counted())['messages/run'] ?? NaN

/** Until the start, and what follows of it, is over: a second in which few messages go. */
async function silence(server: NatsServers): Promise<void> {
  const few = 100
  const deadline = performance.now() + 60_000
  for (let before = await messagesOf(server); performance.now() < deadline;) {
    await setTimeout(1_500)
    const now = await messagesOf(server)
    if (now - before < few) return
    before = now
  }
}

async function idleFor(server: NatsServers, ms: number): Promise<Readings> {
  const from = { cpu: process.cpuUsage(), server: server.cpuMs(), messages: await messagesOf(server) }
  const startedAt = performance.now()
  await setTimeout(ms)
  const messages = (await messagesOf(server)) - from.messages
  const took = performance.now() - startedAt
  const { user, system } = process.cpuUsage(from.cpu)
  return {
    'messages/s': (messages / took) * 1e3,
    'owner cpu %': (user + system) / 1e3 / took / 0.01,
    'server cpu %': (server.cpuMs() - from.server) / took / 0.01,
  }
}

export const measures: Readonly<Record<string, Measure>> = {
  held: waiting(false),
  suspended: waiting('1s'),
}
