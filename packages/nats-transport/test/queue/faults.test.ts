import { afterEach, describe, expect, it } from 'vitest'
import { Proxy, type Passing } from '../faults/harness/proxy.ts'
import { until } from '../faults/harness/until.ts'
import { onEach, useServer } from '../servers/index.ts'
import {
  outside,
  queueNodeAt,
  untilNothingHeld,
  type NodeOptions,
  type Outside,
  type QueueNode,
} from './support.ts'
import { main, numbered, offer, Taker } from './taker.ts'

/** Servers of 2.9 complain where a consumer is made anew before they have removed the files of the one of its name. */
async function deleted(deletion: Promise<boolean>): Promise<void> {
  await deletion.catch((error: unknown) => {
    if (!(error instanceof Error && error.message.includes('directory not empty'))) throw error
  })
}

const times = { ackWaitMs: 1_500, pullMs: 300, idlePullMs: 600, stalledMs: 1_000 }

onEach('on the %s server', 'queues', (version) => {
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

  /** Whatever comes again is done again, until nothing is left. */
  async function expectNothingLeft({ queue, namespace }: QueueNode, from: Outside): Promise<void> {
    await until('nothing waits', async () => (await queue.pending(main, 10)).count === 0)
    await untilNothingHeld(from, `${namespace}_TQ`)
  }

  const done = { each: (delivery: { done(): void }) => delivery.done() }

  it.each(['delivered', 'done'] as const)(
    'loses nothing when the server is killed right after work was %s',
    async (when) => {
      const from = await look()
      const one = node()
      const ids = numbered(60)
      let killed: Promise<void> | undefined
      const taker = new Taker(one, {
        each(delivery) {
          if (when === 'done' || killed !== undefined) delivery.done()
          if (taker.got.length === 30) killed = server().kill()
        },
      }).want(10)
      const more = setInterval(() => taker.want(10), 5)
      ends.push(async () => clearInterval(more))
      const offered = offer(one, ids)
      await until('the server is killed', () => killed !== undefined)
      await killed
      expect(server().running).toBe(false)
      // Those that it still holds: it tells while the server is down.
      for (const delivery of taker.got) delivery.done()
      await server().restart()
      await offered
      await until('all have come', () => new Set(taker.ids).size === ids.length)
      await expectNothingLeft(one, from)
      // What came twice was said to come twice.
      const again = taker.got.filter(({ id }, index) => taker.ids.indexOf(id) < index)
      expect(again.filter(({ repeated }) => !repeated)).toEqual([])
    },
  )

  it('delivers again what was done where the acknowledgement was lost, as repeated', async () => {
    const proxy = await proxied()
    const from = await look()
    const one = node({ servers: proxy.url })
    const taker = new Taker(one, done).want(1)
    let lost = 0
    proxy.intercept = ({ frame }: Passing) => {
      if (frame.subject.startsWith('$JS.ACK.') && frame.payload.toString() === '+ACK' && lost++ === 0)
        return 'drop'
      return 'pass'
    }
    await offer(one, ['a'])
    await taker.atLeast(1)
    taker.want(1)
    await taker.atLeast(2)
    expect(taker.got.map(({ repeated }) => repeated)).toEqual([false, true])
    expect(proxy.disturbed).toBe(1)
    await expectNothingLeft(one, from)
  })

  it('acknowledges after a reconnect what was done while there was no connection', async () => {
    const proxy = await proxied()
    const from = await look()
    const one = node({ servers: proxy.url, times: { ...times, ackWaitMs: 60_000 } })
    const other = node({ namespace: one.namespace, times: { ...times, ackWaitMs: 60_000 } })
    const taker = new Taker(one).want(3)
    await offer(other, ['a', 'b', 'c'])
    await taker.atLeast(3)
    proxy.cut()
    const connected = await one.link.control()
    await until('it is cut', () => !connected.up)
    taker.got[0]?.done()
    taker.got[1]?.handBack()
    proxy.heal()
    const heir = new Taker(other, done).want(5)
    await heir.atLeast(1)
    expect(heir.ids).toEqual(['b'])
    taker.got[2]?.done()
    await expectNothingLeft(other, from)
  })

  it('takes each delivery within a lease of a reconnect for one that may be repeated', async () => {
    const proxy = await proxied()
    const one = node({ servers: proxy.url, times: { ...times, ackWaitMs: 60_000 } })
    const taker = new Taker(one, done).want(10)
    await offer(one, ['a'])
    await taker.atLeast(1)
    proxy.drop()
    const { link } = one
    const connected = await link.control()
    await new Promise<void>((resolve) => void connected.onReconnect(resolve))
    await offer(one, ['b'])
    await taker.atLeast(2)
    expect(taker.got.map(({ repeated }) => repeated)).toEqual([false, true])
  })

  it('goes on when its consumers, its messages or its stream are deleted', async () => {
    const from = await look()
    const one = node()
    const stream = `${one.namespace}_TQ`
    const taker = new Taker(one, done).want(100)
    await offer(one, ['a'])
    await taker.atLeast(1)
    // Its acknowledgement goes over another connection than what follows: where that is first, it comes again.
    await until('it is done', async () => (await one.queue.pending(main, 1)).count === 0)
    for await (const { name } of from.jsm.consumers.list(stream))
      await deleted(from.jsm.consumers.delete(stream, name))
    await offer(one, ['b'])
    await offer(one, ['c'], { priority: 'high' })
    await taker.atLeast(3)
    expect(new Set(taker.ids)).toEqual(new Set(['a', 'b', 'c']))
    await from.jsm.streams.purge(stream)
    await offer(one, ['d'])
    await taker.atLeast(4)
    await deleted(from.jsm.streams.delete(stream))
    expect(await offer(one, ['e'])).toEqual([true])
    await taker.atLeast(5)
    expect(taker.ids.slice(3)).toEqual(['d', 'e'])
    await expectNothingLeft(one, from)
  })

  it('tells of an offer for which there is no room, and takes it when there is', async () => {
    const from = await look()
    const one = node({ times: { ...times, offerWindowMs: 100 } })
    const stream = `${one.namespace}_TQ`
    await offer(one, ['there'])
    const { config, state } = await from.jsm.streams.info(stream)
    await from.jsm.streams.update(stream, { max_bytes: state.bytes })
    await expect(offer(one, ['new'])).rejects.toMatchObject({
      code: 'TRANSPORT_UNAVAILABLE',
      details: { reason: 'full', stream },
    })
    // Its id is forgotten: now it is refused because of its subject.
    const over = performance.now() + 1_000
    await until('the window is over', () => performance.now() > over)
    expect(await offer(one, ['there'])).toEqual([false])
    await from.jsm.streams.update(stream, { max_bytes: config.max_bytes })
    expect(await offer(one, ['new', 'there'])).toEqual([true, false])
  })

  it('does not miss what was purged while it held it', async () => {
    const from = await look()
    const one = node()
    const taker = new Taker(one).want(2)
    await offer(one, ['a', 'b'])
    await taker.atLeast(2)
    await from.jsm.streams.purge(`${one.namespace}_TQ`)
    for (const delivery of taker.got) delivery.done()
    taker.want(1)
    expect(await offer(one, ['c'])).toEqual([true])
    await taker.atLeast(3)
    taker.got[2]?.done()
    await expectNothingLeft(one, from)
  })

  it('lets lanes of lower priority move on while the first is never empty', async () => {
    const one = node()
    const taker = new Taker(one, done)
    await offer(one, numbered(200, 'h'), { priority: 'high' })
    await offer(one, numbered(20, 'n'), { priority: 'normal' })
    await offer(one, numbered(20, 'l'), { priority: 'low' })
    for (let count = 1; count <= 160; count++) {
      taker.want(1)
      await taker.atLeast(count)
    }
    const count = (sign: string): number => taker.ids.filter((id) => id.startsWith(sign)).length
    expect(count('h')).toBeGreaterThan(120)
    expect(count('n')).toBeGreaterThan(5)
    expect(count('l')).toBeGreaterThan(2)
  })

  it('gives a queue of one slot what comes next, whichever its priority', async () => {
    const one = node()
    const taker = new Taker(one, done)
    for (const [index, priority] of (['normal', 'low', 'high', 'normal', 'high', 'low'] as const).entries()) {
      taker.want(1)
      await offer(one, [`${priority}-${index}`], { priority })
      await taker.atLeast(index + 1)
    }
    expect(taker.got).toHaveLength(6)
  })
})

describe.concurrent('a consumer that does not deliver what its stream has', () => {
  const servers = { oldest: useServer({ version: 'oldest' }), newest: useServer({ version: 'newest' }) }

  it('is made anew: one that forgot, as the oldest server does when it is killed', async () => {
    const server = servers.oldest()
    const one = queueNodeAt({ servers: server.url, times })
    const other = queueNodeAt({ servers: server.url, times, namespace: one.namespace })
    const from = await outside(server.url)
    try {
      const taker = new Taker(one).want(50)
      await offer(one, numbered(50))
      await taker.atLeast(50)
      for (const [index, delivery] of taker.got.entries()) if (index % 2 === 0) delivery.done()
      await until('they are gone', async () => (await other.queue.pending(main, 1)).count === 25)
      // It would say after the restart once more what it said last, and that would heal it.
      await one.close()
      await server.kill()
      await server.restart()
      const { count } = await other.queue.pending(main, 1)
      // The fault has happened: messages that were done are there again.
      expect(count).toBeGreaterThan(25)
      const again = new Taker(other, { each: (delivery) => delivery.done() }).want(200)
      await until('nothing waits', async () => (await other.queue.pending(main, 1)).count === 0)
      expect(new Set(again.ids).size).toBe(count)
      expect(again.got.every(({ repeated }) => repeated)).toBe(true)
      await untilNothingHeld(from, `${one.namespace}_TQ`)
    } finally {
      await one.close()
      await other.close()
      await from.close()
    }
  })

  it('is made anew: one that stands still', async () => {
    const server = servers.newest()
    const one = queueNodeAt({ servers: server.url, times })
    const from = await outside(server.url)
    try {
      const taker = new Taker(one, { each: (delivery) => delivery.done() }).want(50)
      await offer(one, ['a'])
      await taker.atLeast(1)
      const later = new Date(Date.now() + 600_000)
      await from.jsm.consumers.pause(`${one.namespace}_TQ`, 't-main-n', later)
      await offer(one, ['b'])
      await taker.atLeast(2)
      expect(taker.got.map(({ repeated }) => repeated)).toEqual([false, true])
      await untilNothingHeld(from, `${one.namespace}_TQ`)
    } finally {
      await one.close()
      await from.close()
    }
  })
})
