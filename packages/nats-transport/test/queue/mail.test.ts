import { cpSync, rmSync } from 'node:fs'
import type { MailMessage } from '@troupe/core'
import { afterEach, expect, it } from 'vitest'
import { mailNames } from '../../src/mailbox/names.ts'
import { Proxy, type Passing } from '../faults/harness/proxy.ts'
import { until } from '../faults/harness/until.ts'
import { onEach, useServer } from '../servers/index.ts'
import { outside, queueNodeAt, type NodeOptions, type Outside, type QueueNode } from './support.ts'
import { numbered } from './taker.ts'

onEach('on the %s server', 'mailboxes', (version) => {
  const server = useServer({ version })
  const ends: (() => Promise<void>)[] = []

  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  })

  function node(options: NodeOptions = {}): QueueNode {
    const made = queueNodeAt({ servers: server().url, ...options })
    ends.push(made.close)
    return made
  }

  async function look(): Promise<Outside> {
    const made = await outside(server().url)
    ends.push(made.close)
    return made
  }

  async function proxied(): Promise<Proxy> {
    const proxy = await Proxy.open(server().url)
    ends.push(() => proxy.close())
    return proxy
  }

  async function send(
    { mailbox }: QueueNode,
    ids: readonly string[],
    to: Partial<MailMessage> = {},
  ): Promise<void> {
    const body = new TextEncoder().encode('body')
    await Promise.all(ids.map((id) => mailbox.send({ id, flowRunId: 'run', owner: 'owner', body, ...to })))
  }

  async function heard({ mailbox }: QueueNode, owner?: string): Promise<string[]> {
    const told: string[] = []
    mailbox.subscribe(({ id }) => told.push(id), owner)
    await mailbox.pending('run')
    return told
  }

  const isNews = ({ frame, to }: Passing): boolean => to === 'client' && frame.subject.includes('.live.mb.')

  it('clears also what a node has not heard of, once it was found there', async () => {
    const sender = node()
    const sweeps = node({ namespace: sender.namespace })
    await heard(sweeps, 'sweeps')
    await send(sender, ['late'], { owner: 'gone' })
    expect(await sweeps.mailbox.addressees(10)).toEqual(['run'])
    await sweeps.mailbox.clear('run')
    expect(await sender.mailbox.pending('run')).toEqual([])
  })

  it('clears also what a node has neither heard of nor found', async () => {
    const sender = node()
    const forgets = node({ namespace: sender.namespace })
    await heard(forgets, 'forgets')
    await send(sender, ['late'], { owner: 'gone' })
    await forgets.mailbox.clear('run')
    expect(await sender.mailbox.pending('run')).toEqual([])
  })

  it('forgets what is confirmed again, where that failed before', async () => {
    const from = await look()
    const owner = node()
    await send(owner, ['a'])
    const connected = await owner.link.control()
    const patiently = connected.patiently.bind(connected)
    let failed = 0
    const failing: typeof connected.patiently = async (what, ask, forMs) => {
      if (what.startsWith("can't confirm") && failed++ === 0) throw new RangeError('it is cut')
      return patiently(what, ask, forMs)
    }
    Object.assign(connected, { patiently: failing })
    await expect(owner.mailbox.confirm('run', 'a')).rejects.toMatchObject({ code: 'TRANSPORT_UNAVAILABLE' })
    await owner.mailbox.confirm('run', 'a')
    expect((await from.jsm.streams.info(`${owner.namespace}_MB`)).state.messages).toBe(0)
  })

  it('are cleared for a run that is forgotten of what was there, and not of what is sent to the next of its id', async () => {
    const sender = node()
    const owner = node({ namespace: sender.namespace })
    const told = await heard(owner, 'owner')
    await send(sender, ['before'])
    await until('it has come', () => told.length === 1)
    const clear = await owner.mailbox.clearing('run')
    await send(sender, ['after'])
    await clear()
    expect((await sender.mailbox.pending('run')).map(({ id }) => id)).toEqual(['after'])
    const idle = await owner.mailbox.clearing('no-mail')
    await idle()
  })

  it('tells after a reconnect what came meanwhile, in order and once', async () => {
    const proxy = await proxied()
    const sender = node()
    const owner = node({ servers: proxy.url, namespace: sender.namespace })
    const told = await heard(owner, 'owner')
    const ids = numbered(40)
    await send(sender, ids.slice(0, 10))
    await until('the first have come', () => told.length === 10)
    const connected = await owner.link.control()
    proxy.cut()
    await until('it is cut', () => !connected.up)
    await send(sender, ids.slice(10, 30))
    await send(sender, ['to-anybody'], { flowRunId: 'another' })
    proxy.heal()
    await until('it is connected', () => connected.up)
    await send(sender, ids.slice(30))
    await until('all have come', () => told.length === 41)
    expect(told.filter((id) => id !== 'to-anybody')).toEqual(ids)
  })

  it('finds news that were lost by the next that comes', async () => {
    const proxy = await proxied()
    const sender = node()
    const owner = node({ servers: proxy.url, namespace: sender.namespace })
    const told = await heard(owner, 'owner')
    await send(sender, ['a'])
    await until('the first has come', () => told.length === 1)
    let lost = 0
    proxy.intercept = (passing) => (isNews(passing) && lost++ < 2 ? 'drop' : 'pass')
    await send(sender, ['b', 'c'])
    await until('both are lost', () => lost === 2)
    await send(sender, ['d'])
    await until('all have come', () => told.length === 4)
    expect(told.toSorted()).toEqual(['a', 'b', 'c', 'd'])
    expect(proxy.disturbed).toBe(2)
  })

  it('finds news that were lost though no other comes', async () => {
    const proxy = await proxied()
    const sender = node()
    const owner = node({ servers: proxy.url, namespace: sender.namespace, times: { mailCheckMs: 200 } })
    const told = await heard(owner, 'owner')
    proxy.intercept = (passing) => (isNews(passing) ? 'drop' : 'pass')
    await send(sender, ['a'])
    await send(sender, ['b'])
    await until('both have come', () => told.length === 2)
    expect(told).toEqual(['a', 'b'])
    expect(proxy.disturbed).toBeGreaterThanOrEqual(2)
  })

  it('forgets by few requests what is confirmed together, and nothing that it has not heard of', async () => {
    const proxy = await proxied()
    const from = await look()
    const sender = node()
    const owner = node({ servers: proxy.url, namespace: sender.namespace, times: { mailCheckMs: 600_000 } })
    const told = await heard(owner, 'owner')
    const ids = numbered(200)
    let deletions = 0
    proxy.intercept = ({ frame, to }) => {
      if (to === 'server' && /STREAM\.(PURGE|MSG\.DELETE)/.test(frame.subject)) deletions++
      return 'pass'
    }
    await send(sender, ids)
    await until('all have come', () => told.length === 200)
    await Promise.all(ids.map((id) => owner.mailbox.confirm('run', id)))
    expect(deletions).toBe(1)
    expect((await from.jsm.streams.info(`${sender.namespace}_MB`)).state.messages).toBe(0)

    let news = 0
    // The second of three is lost on its way, and the others are confirmed before it is missed.
    const confirmed: Promise<void>[] = []
    owner.mailbox.subscribe(({ id }) => {
      if (id === 'one' || id === 'three') confirmed.push(owner.mailbox.confirm('run', id))
    }, 'owner')
    await owner.mailbox.pending('run')
    proxy.intercept = (passing) => (isNews(passing) && ++news === 2 ? 'drop' : 'pass')
    await send(sender, ['one'])
    await send(sender, ['two'])
    await send(sender, ['three'])
    await until('both are confirmed', () => confirmed.length === 2)
    await Promise.all(confirmed)
    const left = (await sender.mailbox.pending('run')).map(({ id }) => id)
    // What was confirmed before an older one goes with that.
    expect(left).toEqual(['two', 'three'])
    expect((await owner.mailbox.pending('run')).map(({ id }) => id)).toEqual(['two'])
    await until('the second has come', () => told.includes('two'))
    await owner.mailbox.confirm('run', 'two')
    expect(await sender.mailbox.pending('run')).toEqual([])
  })

  it('finds the older messages when the newest is confirmed first', async () => {
    const owner = node()
    await send(owner, ['a', 'b', 'c', 'd'])
    for (const [confirmed, left] of [
      ['d', ['a', 'b', 'c']],
      ['c', ['a', 'b']],
      ['a', ['b']],
    ] as const) {
      await owner.mailbox.confirm('run', confirmed)
      expect((await owner.mailbox.pending('run')).map(({ id }) => id)).toEqual(left)
    }
    await send(owner, ['e'])
    expect((await owner.mailbox.pending('run')).map(({ id }) => id)).toEqual(['b', 'e'])
  })

  it('goes on where somebody deletes the stream', async () => {
    const from = await look()
    const sender = node()
    const owner = node({ namespace: sender.namespace, times: { mailCheckMs: 200 } })
    const told = await heard(owner, 'owner')
    await send(sender, numbered(20))
    await until('all have come', () => told.length === 20)
    await from.jsm.streams.delete(`${sender.namespace}_MB`)
    await send(sender, ['after'])
    await until('it has come', () => told.includes('after'))
    expect((await sender.mailbox.pending('run')).map(({ id }) => id)).toEqual(['after'])
    expect(told.length).toBe(21)
  })

  it('is one for a reader that ends and begins again before it has begun, and none afterwards', async () => {
    const sender = node()
    const owner = node({ namespace: sender.namespace })
    const { nc } = await owner.link.control()
    const subscriptions = async (): Promise<string[]> => {
      // The server has heard of all that came and went before.
      await nc.flush()
      const answer = await fetch(`${server().monitorUrl}/connz?subs=1`)
      const { connections } = (await answer.json()) as {
        connections: { subscriptions_list?: string[] }[]
      }
      const all = connections.flatMap(({ subscriptions_list: list = [] }) => list)
      return all.filter((subject) => subject.startsWith(`${sender.namespace}.live.mb.`)).toSorted()
    }
    owner.mailbox.subscribe(() => {}, 'owner')()
    const told: string[] = []
    const end = owner.mailbox.subscribe(({ id }) => told.push(id), 'owner')
    await owner.mailbox.pending('run')
    const { live } = mailNames(sender.namespace)
    expect(await subscriptions()).toEqual([`${live}_.>`, `${live}owner.>`])
    await send(sender, ['a'])
    await send(sender, ['b'])
    await until('both have come', () => told.includes('b'))
    expect(told).toEqual(['a', 'b'])
    end()
    expect(await subscriptions()).toEqual([])
  })

  it('hears what comes after its server has lost the newest messages', async () => {
    const sender = node()
    const owner = node({ namespace: sender.namespace })
    const told = await heard(owner, 'owner')
    await send(sender, ['kept'])
    await until('it has come', () => told.includes('kept'))
    // What is on the disk at this time is all that a power loss later on leaves.
    await server().kill()
    const folder = `${server().storeDir}/jetstream/$G/streams/${mailNames(sender.namespace).stream}`
    const copy = `${server().folder}/copy of ${sender.namespace}`
    cpSync(folder, copy, { recursive: true })
    await server().restart()
    const lost = numbered(5, 'lost')
    await send(sender, lost)
    await until('all have come', () => lost.every((id) => told.includes(id)))
    await server().kill()
    rmSync(folder, { recursive: true })
    cpSync(copy, folder, { recursive: true })
    await server().restart()
    await send(sender, ['after'])
    await until('it has come', () => told.includes('after'))
    expect((await sender.mailbox.pending('run')).map(({ id }) => id)).toEqual(['kept', 'after'])
    // Sent again where the connection was lost, in any order; what was there all the time may be told again.
    expect(told.filter((id) => id !== 'kept').toSorted()).toEqual(['after', ...lost])
  })

  it('hears what is still sent to a node that is gone', async () => {
    const sender = node()
    const heir = node({ namespace: sender.namespace })
    const dead = node({ namespace: sender.namespace })
    const told = await heard(heir, 'heir')
    const lost: string[] = []
    heir.nodes.lost((name) => lost.push(name))
    await heir.nodes.announce('heir')
    await dead.nodes.announce('dead')
    await dead.crash()
    await until('it is lost', () => lost.includes('dead'))
    await heir.mailbox.pending('run')
    await send(sender, ['late'], { owner: 'dead' })
    await until('it has come', () => told.includes('late'))
    expect(told).toEqual(['late'])
  })

  it('tells a sender of a message that is too large for the server', async () => {
    const sender = node()
    const body = new Uint8Array(1_100_000)
    await expect(sender.mailbox.send({ id: 'a', flowRunId: 'run', body })).rejects.toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
    })
    await expect(
      sender.queue.offer({ queue: { of: 'task', name: 'main' }, priority: 'low', id: 'a', body }),
    ).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' })
    await send(sender, ['b'])
    expect((await sender.mailbox.pending('run')).map(({ id }) => id)).toEqual(['b'])
  })

  it('receives a message once whose answer was lost', async () => {
    const proxy = await proxied()
    const sender = node({ servers: proxy.url })
    await send(sender, ['a'])
    let lost = 0
    proxy.intercept = ({ frame, to }) =>
      to === 'client' &&
      frame.payload.toString().includes(`"stream":"${sender.namespace}_MB"`) &&
      lost++ === 0
        ? 'drop'
        : 'pass'
    await send(sender, ['b'])
    expect(proxy.disturbed).toBe(1)
    expect((await sender.mailbox.pending('run')).map(({ id }) => id)).toEqual(['a', 'b'])
  })

  it('keeps what a killed server had taken, and says nothing twice', async () => {
    const sender = node()
    const owner = node({ namespace: sender.namespace })
    const told = await heard(owner, 'owner')
    const ids = numbered(60)
    const sending = (async () => {
      for (const id of ids) await send(sender, [id])
    })()
    await until('some have come', () => told.length >= 20)
    await server().kill()
    expect(server().running).toBe(false)
    await server().restart()
    await sending
    await until('all have come', () => told.length >= 60)
    expect(told).toEqual(ids)
    for (const id of ids) await owner.mailbox.confirm('run', id)
    expect(await sender.mailbox.pending('run')).toEqual([])
  })
})
