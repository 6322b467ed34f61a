/** What flow runs cost a server that only wait, and what is told to one that is not there any more. */
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { createEngine, flow, receive, sleep, type Engine, type EngineOptions } from '@troupe/core'
import { afterEach, describe, expect, it } from 'vitest'
import { natsTransport } from '../../src/index.ts'
import { Proxy } from '../faults/harness/proxy.ts'
import { until } from '../faults/harness/until.ts'
import { useServer, versions } from '../servers/index.ts'
import { freshNamespace, hostOf } from '../support.ts'

const few = 3
const many = 300

/** Half of them wait for a time, and half of them for a signal. */
const rests = flow('rests', async (n: number) => {
  if (n % 2 === 0) await sleep('1h')
  return receive('word')
})

/** What a server keeps for those who listen and take. */
interface Costs {
  readonly consumers: number
  readonly subscriptions: number
}

const ways = [
  ['with their bodies', false, 'Running'],
  ['whose bodies were let go', '100ms', 'Suspended'],
] as const

describe.each(versions)('on the %s server', { timeout: 120_000 }, (version) => {
  const server = useServer({ version })
  const closing: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    for (const close of closing.splice(0).toReversed()) await close()
  })

  function open(
    node: string,
    namespace: string,
    options: EngineOptions = {},
    servers = server().url,
  ): Engine {
    const transport = natsTransport({ servers, namespace })
    const engine = createEngine({ node, transport, ...options })
    closing.push(() => engine.close())
    return engine
  }

  async function manager(): Promise<JetStreamManager> {
    const nc = await connect({ servers: server().url })
    closing.push(() => nc.close())
    return jetstreamManager(nc)
  }

  async function costs(jsm: JetStreamManager): Promise<Costs> {
    let consumers = 0
    for await (const { config } of jsm.streams.list())
      for await (const _ of jsm.consumers.list(config.name)) consumers++
    const answer = await fetch(`${server().monitorUrl}/connz`)
    const { connections } = (await answer.json()) as { connections: { subscriptions: number }[] }
    return { consumers, subscriptions: connections.reduce((sum, one) => sum + one.subscriptions, 0) }
  }

  /** The least of several looks: nodes read journals now and then, and need a consumer for the moment of it. */
  async function least(jsm: JetStreamManager): Promise<Costs> {
    const looks: Costs[] = []
    while (looks.length < 10) looks.push(await costs(jsm))
    return {
      consumers: Math.min(...looks.map(({ consumers }) => consumers)),
      subscriptions: Math.min(...looks.map(({ subscriptions }) => subscriptions)),
    }
  }

  it.each(ways)(
    `${many} flow runs that wait, %s, need no more consumers and subscriptions than ${few}`,
    async (_, suspendAfter, waiting) => {
      const namespace = freshNamespace()
      const owner = open('owner', namespace, { serve: { flows: [rests] }, suspendAfter })
      const client = open('client', namespace)
      const jsm = await manager()
      const ids: string[] = []
      const wait = async (count: number): Promise<void> => {
        const more = Array.from({ length: count - ids.length }, async (_, n) => {
          const { id } = await client.run('rests', ids.length + n)
          return id
        })
        ids.push(...(await Promise.all(more)))
        await until(
          `${count} wait`,
          async () => (await owner.list({ state: waiting, limit: 1_000 })).length === count,
        )
      }
      await wait(few)
      const before = await least(jsm)
      expect(before.consumers).toBeGreaterThan(0)
      expect(before.subscriptions).toBeGreaterThan(0)
      await wait(many)
      const after = await least(jsm)
      expect(after.consumers).toBeLessThanOrEqual(before.consumers)
      expect(after.subscriptions).toBeLessThanOrEqual(before.subscriptions)
      // They do hear what they wait for.
      const one = await client.get(ids.at(-1) ?? '')
      if (one?.kind !== 'flow') throw new TypeError('it is no flow run')
      await one.signal('word', 'heard')
      expect(await one.result()).toBe('heard')
    },
  )

  it('who waits for the end of a flow run is told where it is deleted, also while there is no connection', async () => {
    const namespace = freshNamespace()
    const owner = open('owner', namespace, { serve: { flows: [rests] }, suspendAfter: false })
    const proxy = await Proxy.open(server().url)
    closing.push(() => proxy.close())
    const client = open('client', namespace, {}, proxy.url)
    // The connection is lost, and that is told.
    client.errors.subscribe(() => undefined)
    const observer = natsTransport({ servers: server().url, namespace }).open(hostOf())
    closing.push(() => observer.close())
    for (const isCut of [false, true]) {
      const run = await client.run('rests', 1)
      const gone = { code: 'RUN_NOT_FOUND', details: { runId: run.id } }
      const told = run.wait().then(
        () => undefined,
        (error: unknown) => error,
      )
      await until('it waits', async () => (await client.get(run.id))?.state.name === 'Running')
      if (isCut) {
        proxy.cut()
        const there = await owner.get(run.id)
        if (there?.kind !== 'flow') throw new TypeError('it is no flow run')
        await there.signal('word', 'over')
        await there.result()
      }
      await observer.journal.delete(run.id)
      proxy.heal()
      expect(await told).toMatchObject(gone)
    }
  })

  it('a signal to a flow run that was deleted is refused, and nothing is left of it', async () => {
    const namespace = freshNamespace()
    const owner = open('owner', namespace, { serve: { flows: [rests] }, suspendAfter: false })
    const client = open('client', namespace)
    const observer = natsTransport({ servers: server().url, namespace }).open(hostOf())
    closing.push(() => observer.close())
    const gone = (id: string) => ({ code: 'RUN_NOT_FOUND', details: { runId: id } })

    // One that had ended, which the client has not heard of.
    const ended = await client.run('rests', 1)
    const seen = await owner.get(ended.id)
    if (seen?.kind !== 'flow') throw new TypeError('it is no flow run')
    await seen.signal('word', 'over')
    expect(await seen.result()).toBe('over')
    await observer.journal.delete(ended.id)
    await expect(ended.signal('word', 'late')).rejects.toMatchObject(gone(ended.id))
    // Who has heard of it says so.
    await expect(seen.signal('word', 'late')).rejects.toMatchObject({ code: 'RUN_ENDED' })

    // One that waited.
    const waiting = await client.run('rests', 3)
    await until('it waits', async () => (await client.get(waiting.id))?.state.name === 'Running')
    await observer.journal.delete(waiting.id)
    for (const ask of ['pause', 'resume', 'cancel'] as const)
      await expect(waiting[ask]()).rejects.toMatchObject(gone(waiting.id))
    await expect(waiting.signal('word')).rejects.toMatchObject(gone(waiting.id))

    for (const { id } of [ended, waiting]) {
      expect(await client.get(id)).toBeUndefined()
      expect(await observer.mailbox.pending(id)).toEqual([])
    }
    // The log is readable, and others go on.
    const next = await client.run('rests', 5)
    await next.signal('word', 'on')
    expect(await next.result()).toBe('on')
    expect((await client.list({ limit: 10 })).map(({ id }) => id)).toEqual([next.id])
  })
})
