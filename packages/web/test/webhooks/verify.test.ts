/** Signatures: those of Standard Webhooks, checked against their own library. */
import { webhooks, verifyWebhook, type WebhookEvent } from '@troupe/web'
import { createEngine, flow } from '@troupe/core'
import { Webhook } from 'standardwebhooks'
import { describe, expect, it } from 'vitest'
import { until } from '../support.ts'
import { secret } from './support.ts'

const event = { type: 'flow.Completed', timestamp: '2026-01-01T00:00:00.000Z', data: { runId: 'x' } }
const body = JSON.stringify(event)
const at = new Date('2026-01-01T00:00:00Z')

const signed = (changes: Readonly<Record<string, string | undefined>> = {}) => ({
  'webhook-id': 'msg_1',
  'webhook-timestamp': String(at.getTime() / 1000),
  'webhook-signature': new Webhook(secret).sign('msg_1', at, body),
  ...changes,
})

describe('verifyWebhook', () => {
  it('takes what the library of Standard Webhooks has signed', () => {
    const now = at.getTime() + 60_000
    expect(verifyWebhook({ headers: signed(), body }, secret, { now })).toEqual(event)
    expect(
      verifyWebhook({ headers: new Headers(signed()), body: Buffer.from(body) }, secret, { now }),
    ).toEqual(event)
    const old = `whsec_${Buffer.alloc(24, 1).toString('base64')}`
    expect(verifyWebhook({ headers: signed(), body }, [old, secret], { now })).toEqual(event)
    const two = `v1a,xxx v1,AAAA ${signed()['webhook-signature']}`
    expect(verifyWebhook({ headers: signed({ 'webhook-signature': two }), body }, secret, { now })).toEqual(
      event,
    )
  })

  it.each<[string, object, string, object]>([
    ['another body', signed(), body.replace('x', 'y'), {}],
    ['another id', signed({ 'webhook-id': 'msg_2' }), body, {}],
    ['another time', signed({ 'webhook-timestamp': '1767225601' }), body, {}],
    ['no signature', signed({ 'webhook-signature': undefined }), body, {}],
    ['an empty signature', signed({ 'webhook-signature': 'v1,' }), body, {}],
    ['a signature of another scheme', signed({ 'webhook-signature': 'v2,AAAA' }), body, {}],
    ['an old one', signed(), body, { now: at.getTime() + 300_001 }],
    ['one of the future', signed(), body, { now: at.getTime() - 300_001 }],
    [
      'one that is older than what is tolerated',
      signed(),
      body,
      { now: at.getTime() + 1_001, tolerance: '1s' },
    ],
  ])('refuses %s', (_, headers, text, options) => {
    const verify = (): WebhookEvent =>
      verifyWebhook({ headers: headers as Record<string, string>, body: text }, secret, {
        now: at.getTime(),
        ...options,
      })
    expect(verify).toThrow(expect.objectContaining({ code: 'INVALID_SIGNATURE' }))
  })

  it('refuses what somebody signed who does not know the secret', () => {
    const stranger = new Webhook(`whsec_${Buffer.alloc(32, 8).toString('base64')}`).sign('msg_1', at, body)
    const headers = signed({ 'webhook-signature': stranger })
    expect(() => verifyWebhook({ headers, body }, secret, { now: at.getTime() })).toThrow(
      expect.objectContaining({ code: 'INVALID_SIGNATURE' }),
    )
  })

  it('refuses a time that is no number, also where it was signed', async () => {
    const { sign, keysOf } = await import('../../src/webhooks/signature.ts')
    const parts = { id: 'msg_1', timestamp: 'soon', body }
    const headers = {
      'webhook-id': parts.id,
      'webhook-timestamp': parts.timestamp,
      'webhook-signature': sign(parts, keysOf(secret)),
    }
    expect(() => verifyWebhook({ headers, body }, secret)).toThrow(
      expect.objectContaining({ code: 'INVALID_SIGNATURE' }),
    )
  })
})

it('the library of Standard Webhooks takes what webhooks send, by each of their secrets', async () => {
  const engine = createEngine()
  const next = `whsec_${Buffer.alloc(40, 9).toString('base64')}`
  const verified: unknown[] = []
  const hooks = webhooks(
    engine,
    [{ url: 'https://shop.example/', states: ['COMPLETED'], secret: [secret, next] }],
    {
      fetch: async (address, init) => {
        const request = new Request(address, init)
        const text = await request.text()
        const headers = Object.fromEntries(request.headers)
        for (const each of [secret, next]) verified.push(new Webhook(each).verify(text, headers))
        return new Response()
      },
    },
  )
  await engine.run(flow('ümlaut ✓', () => 1))
  await until(() => verified.length === 2)
  expect(verified[0]).toMatchObject({ type: 'flow.Completed', data: { flow: 'ümlaut ✓' } })
  await hooks.close()
  await engine.close()
})
