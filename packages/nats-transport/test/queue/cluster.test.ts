import type { JournalError } from '@troupe/core'
import { afterEach, expect, it } from 'vitest'
import { until } from '../faults/harness/until.ts'
import { clusterVersions, onEach, useCluster } from '../servers/index.ts'
import { outside, queueNodeAt, untilNothingHeld, type Outside, type QueueNode } from './support.ts'
import { main, numbered, offer, Taker } from './taker.ts'

const on = clusterVersions
onEach('on three %s servers', 'queues', cases, { on })

function cases(version: (typeof on)[number]): void {
  const cluster = useCluster({ version })
  const ends: (() => Promise<void>)[] = []

  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end()
    for (const server of cluster().servers) if (!server.running) await server.restart()
    await cluster().healthy()
  })

  function node(namespace?: string): QueueNode {
    const made = queueNodeAt({
      servers: cluster().urls,
      replicas: 3,
      ...(namespace === undefined ? undefined : { namespace }),
    })
    ends.push(made.close)
    return made
  }

  async function look(): Promise<Outside> {
    const made = await outside(cluster().urls)
    ends.push(made.close)
    return made
  }

  const done = { each: (delivery: { done(): void }) => delivery.done() }

  async function expectNothingLeft({ queue, namespace }: QueueNode, from: Outside): Promise<void> {
    await until('nothing waits', async () => (await queue.pending(main, 10)).count === 0)
    await untilNothingHeld(from, `${namespace}_TQ`)
  }

  /** Offers and takes all the while that something happens. */
  async function throughout(
    happens: (one: QueueNode, from: Outside) => Promise<void>,
  ): Promise<{ readonly offered: number; readonly came: number }> {
    const from = await look()
    const one = node()
    const other = node(one.namespace)
    const taker = new Taker(other, done).want(20)
    const more = setInterval(() => taker.want(20), 20)
    ends.push(async () => clearInterval(more))
    await offer(one, ['first'])
    await taker.atLeast(1)
    let count = 0
    let isOver = false
    const offering = (async () => {
      while (!isOver) await offer(one, [`id-${count++}`])
    })()
    await happens(one, from)
    isOver = true
    await offering
    await until('all have come', () => new Set(taker.ids).size === count + 1)
    await expectNothingLeft(one, from)
    expect(one.cutOffs.concat(other.cutOffs)).toEqual([])
    return { offered: count + 1, came: new Set(taker.ids).size }
  }

  it('goes on when the leaders of a stream and of its consumer step down', async () => {
    const { offered, came } = await throughout(async ({ namespace }, { nc }) => {
      const stream = `${namespace}_TQ`
      for (let times = 0; times < 2; times++) {
        await cluster().stepDown(nc, stream, 't-main-n')
        await cluster().stepDown(nc, stream)
      }
    })
    expect(offered).toBeGreaterThan(1)
    expect(came).toBe(offered)
  }, 90_000)

  it.each(['consumer', 'stream'] as const)(
    'goes on when the leader of the %s is killed',
    async (of) => {
      const { offered, came } = await throughout(async ({ namespace }) => {
        const stream = `${namespace}_TQ`
        const server = await cluster().leader(stream, of === 'consumer' ? 't-main-n' : undefined)
        await server.kill()
        expect(server.running).toBe(false)
        await cluster().leader(stream, 't-main-n')
        await server.restart()
      })
      expect(offered).toBeGreaterThan(1)
      expect(came).toBe(offered)
    },
    120_000,
  )

  it('moves mail and presence over when a server is killed', async () => {
    const one = node()
    const other = node(one.namespace)
    const told: string[] = []
    const lost: string[] = []
    other.mailbox.subscribe(({ id }) => told.push(id), 'other')
    other.nodes.lost((name) => lost.push(name))
    await other.nodes.announce('other')
    await one.nodes.announce('one')
    const send = (id: string): Promise<void> =>
      one.mailbox.send({ id, flowRunId: 'run', owner: 'other', body: new Uint8Array(3) })
    await other.mailbox.pending('run')
    const ids = numbered(30)
    for (const id of ids.slice(0, 10)) await send(id)
    const connected = await other.link.control()
    const port = Number(new URL(`nats://${connected.nc.getServer()}`).port)
    const server = cluster().servers.find((candidate) => candidate.port === port)
    await server?.kill()
    expect(server?.running).toBe(false)
    for (const id of ids.slice(10)) await send(id)
    await until('all have come', () => told.length >= ids.length)
    expect(told).toEqual(ids)
    // The bucket may be without a leader yet.
    const gone = await until('presence answers', () =>
      one.nodes.gone(['other', 'one']).catch((error: JournalError) => {
        if (error.code !== 'TRANSPORT_UNAVAILABLE') throw error
        return undefined
      }),
    )
    expect(gone).toEqual([])
    expect([lost, one.cutOffs, other.cutOffs]).toEqual([[], [], []])
  }, 90_000)
}
