/** Namespaces that share an account, and accounts that share a server, know nothing of each other. */
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect, credsAuthenticator } from '@nats-io/transport-node'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { natsTransport } from '../../src/index.ts'
import { startServer, versions } from '../servers/index.ts'
import { hostOf } from '../support.ts'
import { operate } from './jwt.ts'
import { Configuration, Member, permissionsOf, roles, Secured } from './support.ts'

let configuration: Configuration
const ends: (() => Promise<void>)[] = []

beforeEach(() => {
  configuration = new Configuration()
})

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
  configuration.remove()
})

async function secure(version: 'oldest' | 'newest', names: readonly string[]): Promise<Secured> {
  configuration.switchOn('nats.conf', 'include "roles.conf"')
  const secured = await Secured.start(version, configuration, names)
  ends.push(() => secured.stop())
  return secured
}

async function makeJournal({ connection }: Member, namespace: string): Promise<void> {
  const manager = await jetstreamManager(connection)
  await manager.streams.add({
    name: `${namespace}_EV`,
    subjects: [`${namespace}.ev.>`],
    republish: { src: `${namespace}.ev.>`, dest: `${namespace}.live.ev.>` },
  })
  await jetstream(connection).publish(`${namespace}.ev.run1`, `of ${namespace}`)
}

describe.each(versions)('on the %s server', { timeout: 180_000 }, (version) => {
  it('two namespaces of one account can’t see or touch each other', async () => {
    // As the comment of roles.conf says: role files of its own, and a user with them.
    const names: string[] = [...roles]
    const users: string[] = []
    for (const role of roles) {
      const text = configuration.read(`role-${role}.conf`)
      configuration.write(
        `shop-${role}.conf`,
        text.replaceAll('troupe', 'shop').replaceAll('_INBOX_', '_INBOX_shop_'),
      )
      names.push(`shop_${role}`)
      users.push(`{ nkey: $TROUPE_SHOP_${role.toUpperCase()}, permissions: { include "shop-${role}.conf" } }`)
    }
    configuration.write(
      'roles.conf',
      configuration.read('roles.conf').replace('users: [', `users: [\n${users.join('\n')}`),
    )
    const secured = await secure(version, names)
    await makeJournal(await secured.join('owner'), 'troupe')
    await makeJournal(await secured.join('shop_owner'), 'shop')

    for (const name of names) {
      const own = name.startsWith('shop_') ? 'shop' : 'troupe'
      const other = own === 'shop' ? 'troupe' : 'shop'
      const member = await secured.join(name)
      const { connection } = member
      const subjects = permissionsOf(configuration, name.replace('shop_', '') as 'owner').publish
      const tried = subjects
        .filter((subject) => subject.includes('troupe'))
        .map((subject) => subject.replaceAll('troupe', other).replaceAll('*', 'x').replace('>', 'x'))
      expect(tried.length).toBeGreaterThan(5)
      for (const subject of tried) connection.publish(subject, 'tried')
      expect(await member.refusals()).toEqual(tried.map((subject) => `publish ${subject}`))

      for (const subject of [`${other}.live.ev.>`, `${other}.node.lost`, `${other}.>`])
        connection.subscribe(subject)
      const inbox = own === 'shop' ? '_INBOX_owner.>' : '_INBOX_shop_owner.>'
      connection.subscribe(inbox)
      expect(await member.refusals()).toEqual([
        `subscription ${other}.live.ev.>`,
        `subscription ${other}.node.lost`,
        `subscription ${other}.>`,
        `subscription ${inbox}`,
      ])
    }
  })

  it('two accounts have the same names and nothing in common', async () => {
    // A second account with the very same users, but for their keys.
    const account = /^ {2}TROUPE: \{[^]*?^ {2}\}$/m
    const [first = ''] = account.exec(configuration.read('roles.conf')) ?? []
    const second = first.replace('TROUPE:', 'SHOP:').replaceAll('$TROUPE_', '$TROUPE_SHOP_')
    configuration.write(
      'roles.conf',
      configuration.read('roles.conf').replace(account, () => `${first}\n${second}`),
    )
    const secured = await secure(version, [...roles, ...roles.map((role) => `shop_${role}`)])
    const [one, two] = [await secured.join('owner'), await secured.join('shop_owner', '_INBOX_owner')]

    const heard: string[] = []
    const watcher = await secured.join('shop_watcher', '_INBOX_watcher')
    watcher.connection.subscribe('troupe.live.ev.>', {
      callback: (_, message) => void heard.push(message.string()),
    })
    await watcher.connection.flush()
    await makeJournal(one, 'troupe')
    const managers = [await jetstreamManager(one.connection), await jetstreamManager(two.connection)] as const
    await expect(managers[1].streams.info('troupe_EV')).rejects.toMatchObject({ code: 10_059 })
    await makeJournal(two, 'troupe')
    await jetstream(two.connection).publish('troupe.ev.run2', 'of the other')
    await watcher.connection.flush()

    const counts = await Promise.all(managers.map((manager) => manager.streams.info('troupe_EV')))
    expect(counts.map(({ state }) => state.messages)).toEqual([1, 2])
    expect(heard).toEqual(['of troupe', 'of the other'])
    expect(await watcher.refusals()).toEqual([])
  })

  it('an account has no more streams than its limit', async () => {
    const text = configuration.read('roles.conf')
    configuration.write(
      'roles.conf',
      text.replace('jetstream: enabled', 'jetstream: { max_file: 1GB, max_streams: 1 }'),
    )
    const secured = await secure(version, roles)
    const owner = await secured.join('owner')
    await makeJournal(owner, 'troupe')
    const manager = await jetstreamManager(owner.connection)
    const second = manager.streams.add({ name: 'troupe_MB', subjects: ['troupe.mb.>'] })
    await expect(second).rejects.toMatchObject({ code: 10_027 })
  })

  it('who has no key, or that of another role, is not let in as that role', async () => {
    const secured = await secure(version, roles)
    const { url } = secured.server
    await expect(connect({ servers: url, reconnect: false })).rejects.toThrow('Authorization Violation')
    await expect(connect({ servers: url, user: 'owner', pass: 'x', reconnect: false })).rejects.toThrow(
      'Authorization Violation',
    )
    expect(secured.seed('owner')).toMatch(/^SU/)
  })

  it('a node connects with credentials, and is told where they are of somebody else', async () => {
    const { config, creds } = operate(permissionsOf(configuration, 'owner'))
    configuration.write('nats.conf', `${configuration.read('nats.conf')}\n${config}`)
    const configFile = configuration.path('nats.conf')
    const server = await startServer({ version, configFile, jetstream: 'configured' })
    ends.push(() => server.stop())
    const options = { servers: server.url, inboxPrefix: '_INBOX_owner' }
    const station = natsTransport({ ...options, auth: { creds } }).open(hostOf())
    ends.push(() => station.close())
    expect(await station.journal.list({ limit: 1 })).toEqual([])

    const strange = operate(permissionsOf(configuration, 'owner')).creds
    const stranger = natsTransport({ ...options, auth: { creds: strange }, connectTimeout: '2s' }).open(
      hostOf(),
    )
    ends.push(() => stranger.close())
    await expect(stranger.journal.list({ limit: 1 })).rejects.toMatchObject({
      code: 'TRANSPORT_UNAVAILABLE',
      message: expect.stringMatching(/authorization/i) as string,
    })
  })

  it.each(roles)('credentials of an operator’s account carry the permissions of a role: %s', async (role) => {
    const { config, creds } = operate(permissionsOf(configuration, role))
    configuration.write('nats.conf', `${configuration.read('nats.conf')}\n${config}`)
    const configFile = configuration.path('nats.conf')
    const server = await startServer({ version, configFile, jetstream: 'configured' })
    ends.push(() => server.stop())
    const inboxPrefix = `_INBOX_${role}`
    const connection = await connect({ servers: server.url, authenticator: withCreds(creds), inboxPrefix })
    ends.push(() => connection.close())
    const member = new Member(connection)
    expect((await connection.request('$JS.API.INFO')).json()).not.toHaveProperty('error')
    connection.publish('troupe.live.ev.run1', 'tried')
    connection.publish('$JS.API.STREAM.DELETE.troupe_EV')
    expect(await member.refusals()).toEqual([
      'publish troupe.live.ev.run1',
      'publish $JS.API.STREAM.DELETE.troupe_EV',
    ])

    const stranger = withCreds(operate(permissionsOf(configuration, role)).creds)
    await expect(connect({ servers: server.url, authenticator: stranger, reconnect: false })).rejects.toThrow(
      'Authorization Violation',
    )
  })
})

function withCreds(creds: string): ReturnType<typeof credsAuthenticator> {
  return credsAuthenticator(new TextEncoder().encode(creds))
}
