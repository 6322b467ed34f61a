/** Each role of `roles.conf` may do what its work needs, and nothing of what is not its work. */
import { jetstream, jetstreamManager, RetentionPolicy, StorageType } from '@nats-io/jetstream'
import type { JetStreamManager } from '@nats-io/jetstream'
import { Kvm } from '@nats-io/kv'
import { Objm } from '@nats-io/obj'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { versions } from '../servers/index.ts'
import { Configuration, roles, Secured } from './support.ts'
import type { Member, Role } from './support.ts'

const everybody: readonly Role[] = roles
/** Who only reads is no node. */
const nodes: readonly Role[] = ['owner', 'worker', 'client']
const nobody: readonly Role[] = []
const streams = [
  'troupe_EV',
  'troupe_MB',
  'troupe_TQ',
  'troupe_FQ',
  'KV_troupe_node',
  'KV_troupe_reg',
  'KV_troupe_cache',
  'OBJ_troupe_blob',
] as const

interface Deed {
  readonly what: string
  readonly publish?: readonly string[]
  readonly subscribe?: readonly string[]
  readonly may: readonly Role[]
}

const onStreams = (verb: string, names: readonly string[] = streams): string[] =>
  names.map((name) => `$JS.API.${verb}.${name}`)

/** What somebody might do, and whose work it is. The subjects of the API get no request that the server would understand. */
const deeds: readonly Deed[] = [
  // Writing.
  { what: 'write a journal', publish: ['troupe.ev.run1'], may: ['owner', 'client'] },
  { what: 'send to a mailbox', publish: ['troupe.mb.n1.run1.me'], may: ['owner', 'worker', 'client'] },
  { what: 'offer a task run', publish: ['troupe.task.q.n.1'], may: ['owner'] },
  { what: 'offer a flow run', publish: ['troupe.flow.f.n.1'], may: ['owner', 'client'] },
  { what: 'say that a node is there', publish: ['$KV.troupe_node.n1'], may: nodes },
  { what: 'write the register', publish: ['$KV.troupe_reg.limit'], may: ['owner'] },
  { what: 'write the cache', publish: ['$KV.troupe_cache.key'], may: ['owner'] },
  {
    what: 'store a large value',
    publish: ['$O.troupe_blob.C.x', '$O.troupe_blob.M.x'],
    may: ['owner', 'worker', 'client'],
  },
  { what: 'publish transitions', publish: ['troupe.live.v1.f.run1._._.RUNNING'], may: ['owner'] },
  {
    what: 'follow what is published',
    subscribe: ['troupe.live.v1.>', 'troupe.live.v1.*.*._._.FAILED'],
    may: ['owner', 'client', 'watcher'],
  },
  {
    what: 'read what is kept of that, at its own pace',
    publish: [
      '$JS.API.STREAM.MSG.GET.troupe_PUB',
      '$JS.API.CONSUMER.CREATE.troupe_PUB.c',
      '$JS.API.CONSUMER.DURABLE.CREATE.troupe_PUB.c',
      '$JS.API.CONSUMER.MSG.NEXT.troupe_PUB.c',
      '$JS.ACK.troupe_PUB.c.1.1.1.1.0',
      '$JS.ACK._.hash.troupe_PUB.c.1.1.1.1.0.x',
    ],
    may: ['owner', 'client', 'watcher'],
  },
  {
    what: 'make the stream that keeps it',
    publish: ['$JS.API.STREAM.CREATE.troupe_PUB', '$JS.API.STREAM.UPDATE.troupe_PUB'],
    may: ['owner'],
  },
  {
    what: 'empty or delete it',
    publish: ['PURGE', 'MSG.DELETE', 'DELETE', 'RESTORE'].map((verb) => `$JS.API.STREAM.${verb}.troupe_PUB`),
    may: nobody,
  },
  { what: 'forge the live feed', publish: ['troupe.live.ev.run1', 'troupe.live.mb.n1.run1.me'], may: nobody },
  // Work.
  {
    what: 'take task runs',
    publish: ['$JS.API.CONSUMER.MSG.NEXT.troupe_TQ.t-q-n'],
    may: ['owner', 'worker'],
  },
  { what: 'take flow runs', publish: ['$JS.API.CONSUMER.MSG.NEXT.troupe_FQ.f-f-n'], may: ['owner'] },
  {
    what: 'say that a task run is done',
    publish: ['$JS.ACK.troupe_TQ.t-q-n.1.1.1.1.0', '$JS.ACK._.hash.troupe_TQ.t-q-n.1.1.1.1.0.x'],
    may: ['owner', 'worker'],
  },
  {
    what: 'say that a flow run is taken',
    publish: ['$JS.ACK.troupe_FQ.f-f-n.1.1.1.1.0', '$JS.ACK._.hash.troupe_FQ.f-f-n.1.1.1.1.0.x'],
    may: ['owner'],
  },
  {
    what: 'make the consumer of a queue of task runs anew',
    publish: ['$JS.API.CONSUMER.DELETE.troupe_TQ.none', '$JS.API.CONSUMER.DURABLE.CREATE.troupe_TQ.none'],
    may: ['owner', 'worker'],
  },
  {
    what: 'make the consumer of a queue of flow runs anew',
    publish: ['$JS.API.CONSUMER.DELETE.troupe_FQ.none', '$JS.API.CONSUMER.DURABLE.CREATE.troupe_FQ.none'],
    may: ['owner'],
  },
  // Reading.
  {
    what: 'read a journal',
    publish: ['$JS.API.STREAM.MSG.GET.troupe_EV', '$JS.API.DIRECT.GET.troupe_EV.troupe.ev.run1'],
    may: ['owner', 'client', 'watcher'],
  },
  {
    what: 'follow journals',
    subscribe: ['troupe.live.ev.>', 'troupe.live.ev.run1'],
    may: ['owner', 'client', 'watcher'],
  },
  {
    what: 'follow mailboxes',
    subscribe: ['troupe.live.mb.>', 'troupe.live.mb.n1.>'],
    may: ['owner', 'client'],
  },
  {
    what: 'read a mailbox',
    publish: ['$JS.API.STREAM.MSG.GET.troupe_MB'],
    may: ['owner', 'client'],
  },
  {
    what: 'read all mailboxes at once',
    publish: ['$JS.API.CONSUMER.CREATE.troupe_MB.c'],
    may: ['owner'],
  },
  {
    what: 'read the register',
    publish: ['$JS.API.STREAM.MSG.GET.KV_troupe_reg'],
    may: everybody,
  },
  { what: 'follow the register', subscribe: ['troupe.live.reg.>'], may: everybody },
  {
    what: 'read the cache',
    publish: [
      '$JS.API.STREAM.MSG.GET.KV_troupe_cache',
      '$JS.API.DIRECT.GET.KV_troupe_cache.$KV.troupe_cache.k',
    ],
    may: ['owner'],
  },
  {
    what: 'read queues past their consumers',
    publish: [...onStreams('STREAM.MSG.GET', ['troupe_TQ', 'troupe_FQ'])],
    may: ['owner'],
  },
  { what: 'read large values', publish: ['$JS.API.STREAM.MSG.GET.OBJ_troupe_blob'], may: everybody },
  {
    what: 'see who is there',
    publish: ['$JS.API.STREAM.MSG.GET.KV_troupe_node'],
    may: everybody,
  },
  // What goes past the streams would be no news of what is stored.
  {
    what: 'listen to what is not stored yet',
    subscribe: ['troupe.ev.>', 'troupe.mb.>', 'troupe.task.>', 'troupe.flow.>', '$O.>', 'troupe.>', '>'],
    may: nobody,
  },
  // Nodes.
  {
    what: 'ask a node',
    publish: ['troupe.node.n1.ask'],
    may: everybody,
  },
  {
    what: 'look whether a node lives',
    publish: ['troupe.node.n1.ping'],
    may: nodes,
  },
  {
    what: 'answer as a node',
    subscribe: ['troupe.node.n1.ping', 'troupe.node.n1.ask'],
    may: nodes,
  },
  {
    what: 'say that a node is there or gone',
    publish: ['troupe.node.here', 'troupe.node.lost'],
    may: nodes,
  },
  {
    what: 'hear that a node is there or gone',
    subscribe: ['troupe.node.here', 'troupe.node.lost'],
    may: nodes,
  },
  ...roles.map((role) => ({
    what: `hear the answers to a ${role}`,
    subscribe: [`_INBOX_${role}.>`],
    may: [role],
  })),
  { what: 'hear the answers to others', subscribe: ['_INBOX.>', '_INBOX_other.>', '_R_.>'], may: nobody },
  { what: 'send into an inbox unasked', publish: roles.map((role) => `_INBOX_${role}.x.y`), may: nobody },
  // Streams.
  {
    what: 'make or change streams',
    publish: [
      ...onStreams(
        'STREAM.CREATE',
        streams.filter((name) => name !== 'OBJ_troupe_blob'),
      ),
      ...onStreams('STREAM.UPDATE'),
    ],
    may: ['owner'],
  },
  {
    what: 'make the store of large values',
    publish: ['$JS.API.STREAM.CREATE.OBJ_troupe_blob'],
    may: ['owner', 'worker', 'client'],
  },
  {
    what: 'empty streams',
    publish: onStreams(
      'STREAM.PURGE',
      streams.filter((name) => name !== 'troupe_MB'),
    ),
    may: ['owner'],
  },
  {
    what: 'take messages out of mailboxes',
    publish: [...onStreams('STREAM.PURGE', ['troupe_MB']), ...onStreams('STREAM.MSG.DELETE', ['troupe_MB'])],
    may: ['owner', 'client'],
  },
  {
    what: 'take an offer back',
    publish: onStreams('STREAM.MSG.DELETE', ['troupe_TQ', 'troupe_FQ']),
    may: ['owner'],
  },
  {
    what: 'delete, copy or replace streams, or single messages of a journal',
    publish: [
      ...['DELETE', 'SNAPSHOT', 'RESTORE'].flatMap((verb) => onStreams(`STREAM.${verb}`)),
      '$JS.API.STREAM.MSG.DELETE.troupe_EV',
    ],
    may: nobody,
  },
  {
    what: 'look at or steer what is not of the namespace',
    publish: [
      '$JS.API.STREAM.NAMES',
      '$JS.API.STREAM.LIST',
      '$JS.API.STREAM.CREATE.other_EV',
      '$JS.API.STREAM.CREATE.troupe_OTHER',
      '$JS.API.STREAM.MSG.GET.other_EV',
      '$JS.API.CONSUMER.CREATE.other_EV.c',
      '$JS.API.STREAM.LEADER.STEPDOWN.troupe_EV',
      '$JS.API.CONSUMER.LEADER.STEPDOWN.troupe_TQ.c',
      '$JS.API.META.LEADER.STEPDOWN',
      '$JS.API.SERVER.REMOVE',
      '$JS.API.ACCOUNT.PURGE.TROUPE',
      '$SYS.REQ.SERVER.PING',
      '$KV.other_node.n1',
      '$O.other_blob.M.x',
      'other.ev.run1',
      'other.task.q.n.1',
    ],
    may: nobody,
  },
]

/** All that the streams have, as the owner sees it. */
async function contents(manager: JetStreamManager): Promise<unknown> {
  const infos = await Promise.all(streams.map((name) => manager.streams.info(name)))
  return infos.map(({ config, state }) => ({
    name: config.name,
    messages: state.messages,
    last: state.last_seq,
  }))
}

describe.each(versions)('on the %s server', { timeout: 180_000 }, (version) => {
  const configuration = new Configuration()
  let secured: Secured
  const members = new Map<Role, Member>()

  const memberOf = (role: Role): Member => {
    const member = members.get(role)
    if (member === undefined) throw new Error(`nobody is ${role}`)
    return member
  }
  const connectionOf = (role: Role) => memberOf(role).connection

  beforeAll(async () => {
    configuration.switchOn('nats.conf', 'include "roles.conf"')
    secured = await Secured.start(version, configuration)
    for (const role of roles) members.set(role, await secured.join(role))

    const nc = connectionOf('owner')
    const manager = await jetstreamManager(nc)
    const limits = { storage: StorageType.File, allow_direct: true }
    const queue = { ...limits, retention: RetentionPolicy.Workqueue }
    const republish = (kind: string) => ({ src: `troupe.${kind}.>`, dest: `troupe.live.${kind}.>` })
    await manager.streams.add({
      ...limits,
      name: 'troupe_EV',
      subjects: ['troupe.ev.>'],
      republish: republish('ev'),
    })
    await manager.streams.add({
      ...limits,
      name: 'troupe_MB',
      subjects: ['troupe.mb.>'],
      republish: republish('mb'),
    })
    await manager.streams.add({ ...queue, name: 'troupe_TQ', subjects: ['troupe.task.>'] })
    await manager.streams.add({ ...queue, name: 'troupe_FQ', subjects: ['troupe.flow.>'] })
    for (const bucket of ['node', 'reg', 'cache']) await new Kvm(nc).create(`troupe_${bucket}`)
    await new Objm(nc).create('troupe_blob')
  }, 180_000)

  afterAll(async () => {
    await secured.stop()
    configuration.remove()
  })

  it('an owner writes, reads, cleans up, offers and takes', async () => {
    const nc = connectionOf('owner')
    const js = jetstream(nc)
    const manager = await jetstreamManager(nc)
    const live = nc.subscribe('troupe.live.ev.*', { max: 1 })
    const { seq } = await js.publish('troupe.ev.o1', 'created', { expect: { lastSubjectSequence: 0 } })
    for await (const message of live) expect(message.string()).toBe('created')
    const last = await manager.streams.getMessage('troupe_EV', { last_by_subj: 'troupe.ev.o1' })
    expect(last?.seq).toBe(seq)
    await manager.streams.purge('troupe_EV', { filter: 'troupe.ev.o1' })
    expect(await manager.streams.getMessage('troupe_EV', { last_by_subj: 'troupe.ev.o1' })).toBeNull()

    const reg = await new Kvm(nc).open('troupe_reg')
    const first = await reg.create('limit', '1')
    await reg.update('limit', '2', first)
    expect((await reg.get('limit'))?.string()).toBe('2')
    const cache = await new Kvm(nc).open('troupe_cache')
    await cache.put('key', 'value')
    await cache.delete('key')

    await manager.consumers.add('troupe_FQ', {
      durable_name: 'f-f-n',
      filter_subject: 'troupe.flow.f.n.*',
      ack_policy: 'explicit',
    })
    await js.publish('troupe.flow.f.n.o1', 'go')
    const taken = await (await js.consumers.get('troupe_FQ', 'f-f-n')).next()
    expect(await taken?.ackAck()).toBe(true)

    const blobs = await new Objm(nc).open('troupe_blob')
    await blobs.putBlob({ name: 'large' }, new Uint8Array(300_000))
    expect((await blobs.getBlob('large'))?.byteLength).toBe(300_000)
    await blobs.delete('large')
    expect(await memberOf('owner').refusals()).toEqual([])
  })

  it('a worker takes, reports, is there, and answers', async () => {
    await jetstream(connectionOf('owner')).publish('troupe.task.q.n.w1', 'work')
    const nc = connectionOf('worker')
    const manager = await jetstreamManager(nc)
    const js = jetstream(nc)
    await manager.consumers.add('troupe_TQ', {
      durable_name: 't-q-n',
      filter_subject: 'troupe.task.q.n.*',
      ack_policy: 'explicit',
    })
    const taken = await (await js.consumers.get('troupe_TQ', 't-q-n')).next()
    expect(taken?.string()).toBe('work')
    taken?.working()
    expect((await js.publish('troupe.mb.n1.run1.w', 'done')).stream).toBe('troupe_MB')
    expect(await taken?.ackAck()).toBe(true)

    const nodes = await new Kvm(nc).open('troupe_node')
    await nodes.put('w', 'here')
    expect((await nodes.get('w'))?.string()).toBe('here')
    const blobs = await new Objm(nc).open('troupe_blob')
    await blobs.putBlob({ name: 'result' }, new Uint8Array(300_000))
    expect((await blobs.getBlob('result'))?.byteLength).toBe(300_000)

    nc.subscribe('troupe.node.w.ask', { callback: (_, question) => void question.respond('yes') })
    await nc.flush()
    expect((await connectionOf('owner').request('troupe.node.w.ask')).string()).toBe('yes')
    expect(await memberOf('worker').refusals()).toEqual([])
  })

  it('a client starts, steers and watches', async () => {
    const nc = connectionOf('client')
    const js = jetstream(nc)
    const live = nc.subscribe('troupe.live.ev.c1', { max: 1 })
    await js.publish('troupe.ev.c1', 'created', { expect: { lastSubjectSequence: 0 } })
    for await (const message of live) expect(message.string()).toBe('created')
    expect((await js.publish('troupe.flow.f.n.c1', 'go')).stream).toBe('troupe_FQ')
    expect((await js.publish('troupe.mb.n1.c1.me', 'cancel')).stream).toBe('troupe_MB')
    const consumer = await js.consumers.get('troupe_EV', { filter_subjects: 'troupe.ev.c1' })
    expect((await consumer.next())?.string()).toBe('created')
    await consumer.delete()
    expect(await memberOf('client').refusals()).toEqual([])
  })

  it('a watcher reads and follows', async () => {
    const nc = connectionOf('watcher')
    const live = nc.subscribe('troupe.live.ev.>', { max: 1 })
    await nc.flush()
    await jetstream(connectionOf('owner')).publish('troupe.ev.v1', 'created')
    for await (const message of live) expect(message.string()).toBe('created')
    const consumer = await jetstream(nc).consumers.get('troupe_EV', { filter_subjects: 'troupe.ev.v1' })
    expect((await consumer.next())?.string()).toBe('created')
    await consumer.delete()
    expect(await memberOf('watcher').refusals()).toEqual([])
  })

  it('a watcher follows what an owner publishes, and reads it again where it is kept', async () => {
    const [owner, nc] = [connectionOf('owner'), connectionOf('watcher')]
    const manager = await jetstreamManager(owner)
    await manager.streams.add({ name: 'troupe_PUB', subjects: ['troupe.live.v1.>'], allow_direct: true })
    const live = nc.subscribe('troupe.live.v1.*.*._._.*', { max: 1 })
    await nc.flush()
    owner.publish('troupe.live.v1.f.run1._._.RUNNING', '{}')
    for await (const message of live) expect(message.subject).toBe('troupe.live.v1.f.run1._._.RUNNING')
    await (
      await jetstreamManager(nc)
    ).consumers.add('troupe_PUB', {
      durable_name: 'billing',
      filter_subject: 'troupe.live.v1.f.>',
      ack_policy: 'explicit',
    })
    const taken = await (await jetstream(nc).consumers.get('troupe_PUB', 'billing')).next()
    expect(taken?.string()).toBe('{}')
    expect(await taken?.ackAck()).toBe(true)
    expect(await memberOf('watcher').refusals()).toEqual([])
    expect(await memberOf('owner').refusals()).toEqual([])
  })

  describe.each(roles)('a role may do its work and no other: %s', (role) => {
    it.each(deeds.filter(({ may }) => !may.includes(role)))('is refused: $what', async (deed) => {
      const manager = await jetstreamManager(connectionOf('owner'))
      const before = await contents(manager)
      const { publish = [], subscribe = [] } = deed
      await doAll(memberOf(role), deed)
      const refused = [
        ...publish.map((subject) => `publish ${subject}`),
        ...subscribe.map((subject) => `subscription ${subject}`),
      ]
      expect(await memberOf(role).refusals()).toEqual(refused)
      expect(await contents(manager)).toEqual(before)
    })

    it.each(deeds.filter(({ may }) => may.includes(role)))('is not refused: $what', async (deed) => {
      await doAll(memberOf(role), deed)
      expect(await memberOf(role).refusals()).toEqual([])
    })
  })
})

async function doAll({ connection }: Member, { publish = [], subscribe = [] }: Deed): Promise<void> {
  for (const subject of publish) connection.publish(subject, 'tried')
  const subscriptions = subscribe.map((subject) =>
    connection.subscribe(subject, { callback: () => undefined }),
  )
  await connection.flush()
  for (const subscription of subscriptions) subscription.unsubscribe()
}
