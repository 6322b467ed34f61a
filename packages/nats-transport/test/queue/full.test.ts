import { JournalError, TroupeError } from '@troupe/core'
import { afterEach, expect, it } from 'vitest'
import { Proxy } from '../faults/harness/proxy.ts'
import { until } from '../faults/harness/until.ts'
import { onEach, useServer } from '../servers/index.ts'
import { freshNamespace } from '../support.ts'
import { outside, queueNodeAt, shortTimes, type NodeOptions, type QueueNode } from './support.ts'
import { offer } from './taker.ts'

const times = { ...shortTimes, ackWaitMs: 4_000, keyLifeMs: 3_000, refreshMs: 1_000, answerMs: 200 }
/** Of a node that could wait for longer than a test takes. */
const long = { ...times, keyLifeMs: 600_000, refreshMs: 200 }

const isFull = (error: unknown): boolean =>
  TroupeError.is(error, 'TRANSPORT_UNAVAILABLE') && error.details['reason'] === 'full'

/** How often a node was told that there is no room. */
const refused = ({ reports }: QueueNode): number => reports.filter(isFull).length

onEach('on the %s server', 'a server that has no room', (version) => {
  const config = 'jetstream: { store_dir: store, max_memory_store: 1MB, max_file_store: 1MB }'
  const server = useServer({ version, config, jetstream: 'configured' })
  const ends: (() => Promise<void>)[] = []

  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  })

  function node(options: NodeOptions = {}): QueueNode {
    const made = queueNodeAt({ servers: server().url, times, ...options })
    ends.push(made.close)
    return made
  }

  /** Fills the server by far more than what keys give free. @returns Makes room */
  async function fill(): Promise<() => Promise<void>> {
    const { nc, jsm, close } = await outside(server().url)
    const name = freshNamespace()
    await jsm.streams.add({ name, subjects: [name] })
    const payload = new Uint8Array(100_000)
    for (let isFilled = false; !isFilled;) {
      const answer = await nc.request(name, payload, { timeout: 10_000 })
      isFilled = answer.json<{ error?: object }>().error !== undefined
    }
    const empty = async (): Promise<void> => void (await jsm.streams.purge(name))
    ends.push(async () => {
      await empty()
      await close()
    })
    return empty
  }

  it('leaves a node where it is whose key is valid, and tells it', async () => {
    const from = await outside(server().url)
    ends.push(from.close)
    const one = node({ times: long })
    const other = node({ namespace: one.namespace, times: long })
    const lost: string[] = []
    other.nodes.lost((name) => lost.push(name))
    await one.nodes.announce('one')
    await other.nodes.announce('other')
    const empty = await fill()
    await until('it is told often', () => refused(one) >= 10 || one.cutOffs.length > 0)
    expect([lost, one.cutOffs, other.cutOffs]).toEqual([[], [], []])
    expect(await other.nodes.gone(['one'])).toEqual([])
    const writes = async (): Promise<number> =>
      (await from.jsm.streams.info(`KV_${one.namespace}_node`)).state.last_seq
    const before = await writes()
    await empty()
    await until('keys are written again', async () => (await writes()) >= before + 4)
    expect([lost, one.cutOffs, other.cutOffs]).toEqual([[], [], []])
  })

  it('has a node that was cut off come back with pauses, and when there is room', async () => {
    const proxy = await Proxy.open(server().url)
    ends.push(() => proxy.close())
    const one = node({ servers: proxy.url })
    await one.nodes.announce('one')
    let asked = 0
    proxy.intercept = ({ frame: { subject }, to }) => {
      if (to === 'server' && /^\$KV\.|\.KV_/.test(subject)) asked++
      return 'pass'
    }
    const empty = await fill()
    await until('it counts as gone', () => one.cutOffs.length > 0)
    expect(refused(one)).toBeGreaterThan(0)
    const before = refused(one)
    asked = 0
    await until('it has tried to come back', () => refused(one) >= before + 3 || asked > 1_000)
    expect(asked).toBeLessThan(50)
    expect(one.presence.away).toBe(true)
    await empty()
    await until('it is back', () => !one.presence.away)
    expect((await one.nodes.list()).map(({ node: name }) => name)).toEqual(['one'])
  })

  it('lets a node that is new wait until there is room, and tells it', async () => {
    const other = node({ times: long })
    await other.nodes.announce('other')
    const empty = await fill()
    const one = node({ namespace: other.namespace, times: long })
    const announced = one.nodes.announce('one')
    await until('it is told', () => refused(one) >= 2, 15_000)
    await empty()
    await announced
    expect((await other.nodes.list()).map(({ node: name }) => name).toSorted()).toEqual(['one', 'other'])
    expect(one.cutOffs).toEqual([])
  })

  it('lets a node go that is closed while it waits', async () => {
    const other = node({ times: long })
    await other.nodes.announce('other')
    await fill()
    const one = node({ namespace: other.namespace, times: long })
    const ended = one.nodes.announce('one').then(
      () => undefined,
      (error: unknown) => error,
    )
    await until('it is told', () => refused(one) >= 1, 15_000)
    await one.close()
    expect(await ended).toBeInstanceOf(JournalError)
  })

  it('refuses offers, says why, and takes them when there is room', async () => {
    const one = node()
    await offer(one, ['before'])
    const empty = await fill()
    await expect(offer(one, ['new'])).rejects.toSatisfy(isFull)
    await empty()
    expect(await offer(one, ['new', 'before'])).toEqual([true, false])
  })
})
