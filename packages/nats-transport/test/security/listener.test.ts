/** A service that is no node hears of transitions, and of nothing else. */
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { createEngine, flow, type Engine, type Transition } from '@troupe/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { natsTransport } from '../../src/index.ts'
import { versions } from '../servers/index.ts'
import { Configuration, roles, Secured } from './support.ts'
import type { Member } from './support.ts'

const secret = flow('secret', (word: string) => word)

describe.each(versions)('on the %s server', { timeout: 60_000 }, (version) => {
  const configuration = new Configuration()
  let secured: Secured
  let owner: Engine
  let listener: Member

  beforeAll(async () => {
    configuration.switchOn('nats.conf', 'include "roles.conf"')
    configuration.switchOn('roles.conf', '{ nkey: $TROUPE_LISTENER')
    secured = await Secured.start(version, configuration, [...roles, 'listener'])
    listener = await secured.join('listener')
    const transport = natsTransport({
      servers: secured.server.url,
      auth: { nkey: secured.seed('owner') },
      inboxPrefix: '_INBOX_owner',
      publish: { durable: true },
    })
    owner = createEngine({ node: 'owner', transport, serve: { flows: [secret] } })
    await owner.announced()
  }, 180_000)

  afterAll(async () => {
    await owner.close()
    await secured.stop()
    configuration.remove()
  }, 60_000)

  it('hears what an owner publishes, and reads it again from the stream', async () => {
    const { connection } = listener
    const live = connection.subscribe('troupe.live.v1.secret.*._._.COMPLETED', { max: 1 })
    await connection.flush()
    const run = owner.run(secret, 'word')
    expect(await run).toBe('word')
    for await (const message of live) {
      expect(message.json<Transition>()).toMatchObject({ flowRunId: run.id, to: { name: 'Completed' } })
      expect(message.string()).not.toContain('word')
    }
    await (
      await jetstreamManager(connection)
    ).consumers.add('troupe_PUB', {
      durable_name: 'billing',
      filter_subject: 'troupe.live.v1.secret.>',
      ack_policy: 'explicit',
    })
    const taken = await (await jetstream(connection).consumers.get('troupe_PUB', 'billing')).next()
    expect(taken?.json<Transition>()).toMatchObject({ flowRunId: run.id, seq: 1 })
    expect(await taken?.ackAck()).toBe(true)
    expect(await listener.refusals()).toEqual([])
  })

  it('is refused everything else', async () => {
    const { connection } = listener
    const publish = [
      'troupe.live.v1.secret.run1._._.COMPLETED',
      'troupe.ev.run1',
      'troupe.mb.n1.run1.me',
      'troupe.flow.f.n.1',
      '$KV.troupe_node.n1',
      'troupe.node.here',
      '$JS.API.STREAM.MSG.GET.troupe_EV',
      '$JS.API.CONSUMER.CREATE.troupe_EV.c',
      '$JS.API.STREAM.PURGE.troupe_PUB',
      '$JS.API.STREAM.DELETE.troupe_PUB',
      '$JS.API.STREAM.UPDATE.troupe_PUB',
    ]
    const subscribe = ['troupe.live.ev.>', 'troupe.live.>', 'troupe.>', '>', '_INBOX_owner.>']
    for (const subject of publish) connection.publish(subject, 'tried')
    for (const subject of subscribe) connection.subscribe(subject, { callback: () => undefined })
    await connection.flush()
    expect(await listener.refusals()).toEqual([
      ...publish.map((subject) => `publish ${subject}`),
      ...subscribe.map((subject) => `subscription ${subject}`),
    ])
  })
})
