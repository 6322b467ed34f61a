import { afterEach, expect, it } from 'vitest'
import { Proxy } from '../faults/harness/proxy.ts'
import { until } from '../faults/harness/until.ts'
import { onEach, useServer } from '../servers/index.ts'
import { freshNamespace } from '../support.ts'
import { Holder } from './holder.ts'
import {
  outside,
  queueNodeAt,
  unacknowledged,
  untilNothingHeld,
  type NodeOptions,
  type QueueNode,
} from './support.ts'
import { main, numbered, offer, Taker } from './taker.ts'

/** Leases of 1.5 s, keys of 3 s. */
const times = {
  ackWaitMs: 1_500,
  pullMs: 300,
  idlePullMs: 600,
  keyLifeMs: 3_000,
  refreshMs: 1_000,
  answerMs: 200,
}

onEach('on the %s server', 'leases', (version) => {
  const server = useServer({ version })
  const ends: (() => Promise<void>)[] = []

  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  })

  function node(options: NodeOptions = {}): QueueNode {
    const made = queueNodeAt({ servers: server().url, times, ...options })
    ends.push(made.close)
    return made
  }

  async function holder(
    namespace: string,
    more: { maxBlocked?: number; blockOnFirstMs?: number } = {},
  ): Promise<Holder> {
    const made = await Holder.start({
      servers: server().url,
      namespace,
      node: 'holder',
      maxBlocked: 60_000,
      times,
      ...more,
    })
    ends.push(() => made.kill())
    return made
  }

  async function expectNothingHeld({ queue, namespace }: QueueNode): Promise<void> {
    const look = await outside(server().url)
    ends.push(look.close)
    await until('nothing waits', async () => (await queue.pending(main, 10)).count === 0)
    await untilNothingHeld(look, `${namespace}_TQ`)
  }

  it('keeps what a node holds whose event loop is blocked for longer than a lease', async () => {
    const other = node()
    const blocked = await holder(other.namespace)
    await offer(other, ['a', 'b'])
    await blocked.asked({ do: 'want', count: 2 })
    await until('it has both', () => blocked.ids.length === 2)
    blocked.ask({ do: 'block', ms: 5_000 })
    const taker = new Taker(other).want(5)
    await offer(other, ['c'])
    await taker.atLeast(1)
    // An answer to a question that was asked after it: it is awake again.
    await blocked.asked({ do: 'done' })
    await offer(other, ['d'])
    await taker.atLeast(2)
    expect(taker.ids).toEqual(['c', 'd'])
    expect(blocked.has('cutOff')).toBe(false)
    for (const delivery of taker.got) delivery.done()
    await expectNothingHeld(other)
  })

  it('gives a blocked node no more than it wanted, and what it did not notice to others', async () => {
    const other = node()
    const look = await outside(server().url)
    ends.push(look.close)
    const blocked = await holder(other.namespace, { blockOnFirstMs: 4_000 })
    await blocked.asked({ do: 'want', count: 3 })
    await offer(other, numbered(10))
    await until('it has one', () => blocked.ids.length > 0)
    let most = 0
    for (let looks = 0; looks < 20; looks++)
      most = Math.max(most, await unacknowledged(look, `${other.namespace}_TQ`))
    expect(most).toBeGreaterThan(0)
    expect(most).toBeLessThanOrEqual(3)
    const taker = new Taker(other, { each: (delivery) => delivery.done() }).want(100)
    await blocked.asked({ do: 'done' })
    await until('all is done', async () => {
      await blocked.asked({ do: 'done' })
      return (await other.queue.pending(main, 1)).count === 0
    })
    expect(new Set([...taker.ids, ...blocked.ids]).size).toBe(10)
    // What two got was told to one of them as repeated.
    const twice = taker.got.filter(({ id }) => blocked.ids.includes(id))
    for (const { id, repeated } of twice)
      expect(repeated || blocked.delivered.some((one) => one.id === id && one.repeated)).toBe(true)
    await expectNothingHeld(other)
  })

  it('takes what it holds from a node that is blocked for too long, and tells it', async () => {
    const other = node()
    const lost: string[] = []
    other.nodes.lost((name) => lost.push(name))
    await other.nodes.announce('other')
    const blocked = await holder(other.namespace, { maxBlocked: 1_000 })
    await offer(other, ['a', 'b'])
    await blocked.asked({ do: 'want', count: 2 })
    await until('it has both', () => blocked.ids.length === 2)
    blocked.ask({ do: 'block', ms: 6_000 })
    const taker = new Taker(other).want(5)
    await taker.atLeast(2, 5_000)
    expect(taker.got.every(({ repeated }) => repeated)).toBe(true)
    await until('others hear that it is gone', () => lost.includes('holder'))
    expect(await other.nodes.gone(['holder'])).toEqual(['holder'])
    await until('it is told', () => blocked.has('cutOff'))
    // It has nothing to say of what is another's.
    await blocked.asked({ do: 'done' })
    expect((await other.queue.pending(main, 10)).count).toBe(2)
    await until('it is back', async () => (await other.nodes.gone(['holder'])).length === 0)
    for (const delivery of taker.got) delivery.done()
    await offer(other, ['c'])
    await taker.atLeast(3)
    taker.got[2]?.done()
    await expectNothingHeld(other)
  })

  it('gives what a killed process held to others when its lease is over, and tells of it before', async () => {
    const other = node()
    const lost: string[] = []
    other.nodes.lost((name) => lost.push(name))
    await other.nodes.announce('other')
    const killed = await holder(other.namespace)
    await offer(other, ['a', 'b'])
    await killed.asked({ do: 'want', count: 5 })
    await until('it has both', () => killed.ids.length === 2)
    await killed.kill()
    await until('others hear that it is gone', () => lost.includes('holder'))
    expect(await other.nodes.gone(['holder', 'other'])).toEqual(['holder'])
    const taker = new Taker(other, { each: (delivery) => delivery.done() }).want(5)
    await taker.atLeast(2)
    expect(taker.got.map(({ repeated }) => repeated)).toEqual([true, true])
    // Its name is free.
    await other.nodes.announce('holder')
    await expectNothingHeld(other)
  })

  it('counts a stopped process as gone when its key is forgotten, and tells it when it goes on', async () => {
    const other = node()
    const lost: string[] = []
    other.nodes.lost((name) => lost.push(name))
    await other.nodes.announce('other')
    const stopped = await holder(other.namespace)
    await offer(other, ['a'])
    await stopped.asked({ do: 'want', count: 1 })
    await until('it has it', () => stopped.ids.length === 1)
    await stopped.kill('SIGSTOP')
    // Slow is not gone.
    expect(await other.nodes.gone(['holder'])).toEqual([])
    await until('others hear that it is gone', () => lost.includes('holder'))
    const taker = new Taker(other).want(1)
    const [again] = await taker.atLeast(1)
    expect(again?.repeated).toBe(true)
    await stopped.kill('SIGCONT')
    await until('it is told', () => stopped.has('cutOff'))
    await stopped.asked({ do: 'done' })
    expect((await other.queue.pending(main, 10)).ids).toEqual(['a'])
    again?.done()
    await expectNothingHeld(other)
  })

  it('tells a node that is cut off before others count it as gone', async () => {
    const proxy = await Proxy.open(server().url)
    ends.push(() => proxy.close())
    const order: string[] = []
    const other = node()
    other.nodes.lost((name) => order.push(`${name} is lost`))
    await other.nodes.announce('other')
    const cut = node({
      servers: proxy.url,
      namespace: other.namespace,
      cutOff: () => order.push('cut off'),
    })
    await cut.nodes.announce('cut')
    proxy.part()
    await until('others count it as gone', () => order.length >= 2)
    expect(order.slice(0, 2)).toEqual(['cut off', 'cut is lost'])
    proxy.heal()
    await until('it is back', async () => (await other.nodes.gone(['cut'])).length === 0)
    expect(cut.presence.away).toBe(false)
  })

  it('does not count a node as gone that connects again within a moment, nor lets it go', async () => {
    const proxy = await Proxy.open(server().url)
    ends.push(() => proxy.close())
    const lost: string[] = []
    const other = node()
    other.nodes.lost((name) => lost.push(name))
    await other.nodes.announce('other')
    const flapping = node({ servers: proxy.url, namespace: other.namespace })
    await flapping.nodes.announce('flapping')
    await offer(other, ['a'])
    const holding = new Taker(flapping).want(1)
    await holding.atLeast(1)
    const taker = new Taker(other).want(1)
    for (let flaps = 0; flaps < 3; flaps++) {
      proxy.drop()
      expect(await other.nodes.gone(['flapping'])).toEqual([])
    }
    holding.got[0]?.done()
    await until('it is done', async () => (await other.queue.pending(main, 1)).count === 0)
    expect([lost, flapping.cutOffs, taker.ids]).toEqual([[], [], []])
    await expectNothingHeld(other)
  })

  it('refuses a name to a second node, and gives it when the first has gone', async () => {
    const namespace = freshNamespace()
    const first = await holder(namespace)
    const second = node({ namespace })
    await expect(second.nodes.announce('holder')).rejects.toMatchObject({ code: 'NODE_IN_USE' })
    await first.kill()
    await second.nodes.announce('holder')
    expect(await second.nodes.gone(['holder'])).toEqual([])
  })
})
