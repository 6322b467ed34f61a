import { natsTransport, type NatsTransportOptions } from '@troupe/nats-transport'
import { describe, expect, it } from 'vitest'
import { hostOf } from '../support.ts'

const wrong: readonly (readonly [what: string, options: unknown, option: string])[] = [
  ['an option that does not exist', { server: 'x' }, 'server'],
  ['no object', 'nats://x', 'options'],
  ['a namespace with a dot', { namespace: 'a.b' }, 'namespace'],
  ['an empty namespace', { namespace: '' }, 'namespace'],
  ['a namespace of 65 characters', { namespace: 'x'.repeat(65) }, 'namespace'],
  ['no servers', { servers: [] }, 'servers'],
  ['a server that is no text', { servers: [4222] }, 'servers'],
  ['servers beside a connection', { servers: 'x', connection: () => {} }, 'servers'],
  ['a user beside a connection', { auth: { token: 'x' }, connection: () => {} }, 'auth'],
  ['a connection that is no function', { connection: {} }, 'connection'],
  ['a user without a password', { auth: { user: 'x' } }, 'auth'],
  ['a token that is no text', { auth: { token: 1 } }, 'auth'],
  ['TLS that is no object', { tls: true }, 'tls'],
  ['a prefix with a wildcard', { inboxPrefix: '_INBOX.>' }, 'inboxPrefix'],
  ['six replicas', { replicas: 6 }, 'replicas'],
  ['half a replica', { replicas: 0.5 }, 'replicas'],
  ['an unknown storage', { storage: 'tape' }, 'storage'],
  ['too few bytes', { maxBytes: 1000 }, 'maxBytes'],
  ['codecs that are no list', { codecs: {} }, 'codecs'],
  ['a negative size', { largeValue: -1 }, 'largeValue'],
  ['an unknown limit', { keep: { days: 3 } }, 'keep.days'],
  ['a broken count', { keep: { count: 1.5 } }, 'keep.count'],
  ['publishing in a format that there is not', { publish: 'xml' }, 'publish'],
  ['publishing by true', { publish: true }, 'publish'],
  ['an unknown option of publishing', { publish: { kept: true } }, 'publish.kept'],
  ['a format that there is not', { publish: { format: 'xml' } }, 'publish.format'],
  ['durable by a text', { publish: { durable: 'yes' } }, 'publish.durable'],
  ['an age of what is not kept', { publish: { age: '1d' } }, 'publish.age'],
  ['an age below that of what the server knows', { publish: { durable: true, age: '1m' } }, 'publish.age'],
  ['too few bytes to keep', { publish: { durable: true, bytes: 1000 } }, 'publish.bytes'],
  ['a moment', { maxBlocked: 10 }, 'maxBlocked'],
  ['a moment to connect', { connectTimeout: 1 }, 'connectTimeout'],
]

describe('options of natsTransport', () => {
  it.each(wrong)('refuse %s', (_, options, option) => {
    expect(() => natsTransport(options as NatsTransportOptions)).toThrow(
      expect.objectContaining({ name: 'UsageError', code: 'INVALID_OPTION', details: { option } }),
    )
  })

  it('refuse a duration that is none', () => {
    expect(() => natsTransport({ maxBlocked: 'soon' as never })).toThrow(
      expect.objectContaining({ code: 'INVALID_DURATION' }),
    )
  })

  it('show no secret', () => {
    const options = { auth: { user: 'me', password: 'secret-1', token: 'secret-2' } }
    let message = ''
    try {
      natsTransport(options as never)
    } catch (error) {
      message = String(error)
    }
    expect(message).toContain('auth')
    expect(message).not.toContain('secret')
  })

  it('connect to nothing before something is asked', async () => {
    let made = 0
    const transport = natsTransport({
      connection: async () => {
        made++
        throw new TypeError('no connection')
      },
    })
    expect(transport.name).toBe('nats')
    const station = transport.open(hostOf())
    expect(made).toBe(0)
    await expect(station.journal.list({ limit: 1 })).rejects.toMatchObject({
      code: 'TRANSPORT_UNAVAILABLE',
    })
    await station.close()
    await expect(station.journal.list({ limit: 1 })).rejects.toMatchObject({ code: 'ENGINE_CLOSED' })
  })

  it('refuse a node whose name can’t be part of a subject', () => {
    for (const node of ['a.b', 'a b', '*', '', 'x'.repeat(65)])
      expect(() => natsTransport().open({ ...hostOf(), node })).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION', details: { option: 'node' } }),
      )
  })
})
