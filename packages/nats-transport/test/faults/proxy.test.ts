/** The way on which faults are made does make them, and else changes nothing. */
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { afterEach, describe, expect, it } from 'vitest'
import { useServer } from '../servers/index.ts'
import { Frames } from './harness/frames.ts'
import { Proxy } from './harness/proxy.ts'
import { until } from './harness/until.ts'

const server = useServer()
const opened: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const one of opened.splice(0).toReversed()) await one.close()
})

async function way(): Promise<{ proxy: Proxy; through: NatsConnection; direct: NatsConnection }> {
  const proxy = await Proxy.open(server().url)
  opened.push(proxy)
  const through = await connect({
    servers: proxy.url,
    reconnectTimeWait: 10,
    reconnectJitter: 0,
    maxReconnectAttempts: -1,
  })
  const direct = await connect({ servers: server().url })
  opened.push(through, direct)
  return { proxy, through, direct }
}

describe('a way with faults', () => {
  it('lets messages pass, those with headers and large ones, as they are', async () => {
    const { through, direct } = await way()
    const payload = new Uint8Array(300_000).map((_, n) => n % 251)
    direct.subscribe('echo', { callback: (_, message) => void message.respond(message.data) })
    await direct.flush()
    const { data } = await through.request('echo', payload, { timeout: 10_000 })
    expect(Buffer.compare(data, payload)).toBe(0)
  })

  it('loses what it is told to: a stored message whose acknowledgement is lost', async () => {
    const { proxy, through, direct } = await way()
    const jsm = await jetstreamManager(direct)
    await jsm.streams.add({ name: 'LOST', subjects: ['lost'], duplicate_window: 60_000_000_000 })
    const isAck = (text: string): boolean => text.includes('"stream":"LOST"') && text.includes('"seq":')
    proxy.intercept = ({ to, frame }) =>
      to === 'client' && proxy.disturbed === 0 && isAck(frame.payload.toString()) ? 'drop' : 'pass'
    const js = jetstream(through)
    await expect(js.publish('lost', 'a', { msgID: '1', timeout: 300 })).rejects.toThrow('timeout')
    expect(proxy.disturbed).toBe(1)
    expect(await js.publish('lost', 'a', { msgID: '1' })).toMatchObject({ seq: 1, duplicate: true })
  })

  it('lets one message come after those behind it', async () => {
    const { proxy, through, direct } = await way()
    const came: string[] = []
    direct.subscribe('order', { callback: (_, message) => void came.push(message.string()) })
    await direct.flush()
    proxy.intercept = ({ frame }) => (frame.payload.toString() === 'first' ? { afterMs: 50 } : 'pass')
    for (const text of ['first', 'second', 'third']) through.publish('order', text)
    await until('all came', () => came.length === 3)
    expect(came).toEqual(['second', 'third', 'first'])
  })

  it('parts both sides without a word, and lets go on what was sent meanwhile', async () => {
    const { proxy, through, direct } = await way()
    const came: string[] = []
    direct.subscribe('parted', { callback: (_, message) => void came.push(message.string()) })
    await direct.flush()
    await through.flush()
    proxy.part()
    through.publish('parted', 'late')
    await expect(through.request('nobody', '', { timeout: 200 })).rejects.toThrow('timeout')
    expect(came).toEqual([])
    expect(through.isClosed()).toBe(false)
    proxy.heal()
    await until('it came', () => came.length === 1)
  })

  it('ends connections, and takes none until it is healed', async () => {
    const { proxy, through } = await way()
    const heard: string[] = []
    void (async () => {
      for await (const { type } of through.status()) heard.push(type)
    })()
    proxy.cut()
    await until('the client tries again', () => proxy.connections > 3)
    expect(heard).toContain('disconnect')
    expect(heard).not.toContain('reconnect')
    proxy.heal()
    await until('it is back', () => heard.includes('reconnect'))
    await through.flush()
  })
})

describe('frames', () => {
  it('are the same however the bytes come', () => {
    const wire = Buffer.from(
      'PING\r\nPUB a.b 5\r\nhello\r\nHPUB c inbox.1 12 14\r\nNATS/1.0\r\n\r\nhi\r\nMSG d 7 inbox.2 3\r\n\r\nx\r\n',
    )
    const whole = new Frames().push(wire)
    const bits = new Frames()
    const pieces = [...wire].flatMap((byte) => bits.push(Buffer.of(byte)))
    expect(pieces).toEqual(whole)
    expect(Buffer.concat(whole.map(({ raw }) => raw)).equals(wire)).toBe(true)
    expect(whole.map(({ op, subject, reply, payload }) => [op, subject, reply, payload.toString()])).toEqual([
      ['PING', '', '', ''],
      ['PUB', 'a.b', '', 'hello'],
      ['HPUB', 'c', 'inbox.1', 'hi'],
      ['MSG', 'd', 'inbox.2', '\r\nx'],
    ])
  })
})
