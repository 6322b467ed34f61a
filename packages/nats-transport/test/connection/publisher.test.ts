import { connect, type NatsConnection } from '@nats-io/transport-node'
import { jetstreamManager } from '@nats-io/jetstream'
import { afterEach, describe, expect, it } from 'vitest'
import { Publisher } from '../../src/connection/publisher.ts'
import { Proxy, type Passing } from '../faults/harness/proxy.ts'
import { until } from '../faults/harness/until.ts'
import { useServer, versions } from '../servers/index.ts'
import { append, create, freshNamespace, moved, nodeAt, note } from '../support.ts'

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

describe.each(versions)('the publisher, on the %s server', (version) => {
  const server = useServer({ version })

  const opened = async (
    options: { maxInFlight?: number; timeoutMs?: number } = {},
  ): Promise<{ nc: NatsConnection; proxy: Proxy; publisher: Publisher; stream: string }> => {
    const proxy = await Proxy.open(server().url)
    closing.push(() => proxy.close())
    const nc = await connect({ servers: proxy.url, noAsyncTraces: true })
    closing.push(() => nc.close())
    const stream = freshNamespace()
    await (await jetstreamManager(nc)).streams.add({ name: stream, subjects: [`${stream}.>`] })
    const publisher = new Publisher(nc, {
      inboxPrefix: '_INBOX',
      token: stream,
      maxInFlight: options.maxInFlight ?? 100,
      timeoutMs: options.timeoutMs ?? 5_000,
      monotonic: () => performance.now(),
    })
    closing.push(async () => publisher.close())
    return { nc, proxy, publisher, stream }
  }
  const bytes = new Uint8Array(8)

  it('gives each publish its own answer, though they come in any order', async () => {
    const { proxy, publisher, stream } = await opened()
    let n = 0
    // Every other answer comes later than those behind it.
    proxy.intercept = ({ to, frame }) =>
      to === 'client' && frame.payload.includes('"seq"') && n++ % 2 === 0 ? { afterMs: 30 } : 'pass'
    const outcomes = await Promise.all(
      Array.from({ length: 40 }, (_, index) => publisher.publish(`${stream}.${index}`, bytes)),
    )
    expect(outcomes).toEqual(
      outcomes.map((_, index) => ({ kind: 'stored', seq: index + 1, duplicate: false })),
    )
    expect(proxy.disturbed).toBe(20)
  })

  it('has no more in flight than it may: the others wait for answers', async () => {
    const { nc, proxy, publisher, stream } = await opened({ maxInFlight: 10 })
    proxy.part()
    const before = nc.stats().outMsgs
    const all = Array.from({ length: 50 }, () => publisher.publish(`${stream}.x`, bytes))
    expect([nc.stats().outMsgs - before, publisher.pending]).toEqual([10, 50])
    proxy.heal()
    const outcomes = await Promise.all(all)
    expect(outcomes.map((outcome) => outcome.kind === 'stored' && outcome.seq)).toEqual(
      outcomes.map((_, index) => index + 1),
    )
    expect(publisher.pending).toBe(0)
  })

  it('says what came of a publish: refused, nobody there, or no answer, which is then not waited for', async () => {
    const { proxy, publisher, stream } = await opened({ timeoutMs: 150 })
    const wrong = 'Nats-Expected-Last-Subject-Sequence: 7\r\n'
    expect(await publisher.publish(`${stream}.x`, bytes, wrong)).toMatchObject({
      kind: 'refused',
      refusal: { code: 10_071, status: 400 },
    })
    expect(await publisher.publish('nobody.hears', bytes)).toEqual({
      kind: 'unanswered',
      why: 'no responders',
    })
    proxy.intercept = ({ to, frame }) =>
      to === 'client' && frame.payload.includes('"seq"') ? { afterMs: 600 } : 'pass'
    expect(await publisher.publish(`${stream}.x`, bytes)).toEqual({ kind: 'unanswered', why: 'timeout' })
    expect(publisher.pending).toBe(0)
    proxy.intercept = () => 'pass'
    // A late answer is nobody's.
    expect(await publisher.publish(`${stream}.x`, bytes)).toMatchObject({ kind: 'stored', seq: 2 })
    await until('the late answer has come', () => proxy.disturbed === 1)
    expect(publisher.pending).toBe(0)
  })

  it('tells all that is in flight when the connection is lost, and rejects when it is closed', async () => {
    const { proxy, publisher, stream } = await opened()
    proxy.part()
    const lost = [publisher.publish(`${stream}.x`, bytes), publisher.publish(`${stream}.y`, bytes)]
    publisher.disconnected()
    expect(await Promise.all(lost)).toEqual([
      { kind: 'unanswered', why: 'disconnected' },
      { kind: 'unanswered', why: 'disconnected' },
    ])
    publisher.close()
    await expect(publisher.publish(`${stream}.x`, bytes)).rejects.toMatchObject({ code: 'ENGINE_CLOSED' })
  })

  it('refuses what is larger than the server takes, and sends nothing of it', async () => {
    const { nc, publisher, stream } = await opened()
    const limit = nc.info?.max_payload ?? 0
    await expect(publisher.publish(`${stream}.x`, new Uint8Array(limit + 1))).rejects.toMatchObject({
      name: 'CodecError',
      code: 'PAYLOAD_TOO_LARGE',
    })
    expect(await publisher.publish(`${stream}.x`, new Uint8Array(limit))).toMatchObject({ kind: 'stored' })
  })
})

/** What servers before 2.11 don't know, and would ignore without a word. */
const later =
  /Nats-TTL|allow_msg_ttl|delete_marker|allow_atomic|schedule|"batch":\d+.*next_by_subj|multi_last/

describe('what an old server is sent', () => {
  const server = useServer({ version: 'oldest' })

  it('is nothing that it does not know', async () => {
    const proxy = await Proxy.open(server().url)
    closing.push(() => proxy.close())
    const wrong: string[] = []
    let seen = 0
    proxy.intercept = ({ to, frame }: Passing) => {
      if (to === 'client') return 'pass'
      seen++
      const text = frame.headers + frame.payload.toString('latin1')
      if (later.test(text) || frame.subject.includes('DIRECT.GET')) wrong.push(`${frame.subject} ${text}`)
      return 'pass'
    }
    const node = nodeAt({ servers: proxy.url, largeValue: 1_000, keep: { count: 0 } })
    closing.push(() => node.close())
    node.journal.subscribe(() => undefined)
    await create(node.journal, 'run')
    for (let n = 0; n < 30; n++) await append(node.journal, 'run', 2 + n, [note('x')])
    await append(node.journal, 'run', 32, [moved('Completed', { value: new Uint8Array(3_000_000) })])
    expect(await node.journal.read('run', 1, 100)).toHaveLength(33)
    expect(await node.journal.list({ limit: 10 })).toHaveLength(1)
    await node.register.put('key', new Uint8Array(1), 0)
    await node.cache.put('key', { value: new Uint8Array(5_000), runId: 'run', expires: 1 })
    await node.sweeper.sweep()
    expect(seen).toBeGreaterThan(60)
    expect(wrong).toEqual([])
  })
})
