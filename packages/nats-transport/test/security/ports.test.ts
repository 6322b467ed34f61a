/** What the ports of a node do where its role does not let it: they say so at once. */
import type { Station } from '@troupe/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { natsTransport } from '../../src/index.ts'
import { versions } from '../servers/index.ts'
import { claimed, hostOf, root } from '../support.ts'
import { Configuration, roles, Secured } from './support.ts'
import type { Role } from './support.ts'

interface Deed {
  readonly what: string
  readonly may: readonly Role[]
  /** `id` is of this role, so that nobody is in another's way. */
  do(station: Station, id: string): Promise<unknown>
}

const bytes = Uint8Array.of(1)
const numbers = { of: 'task', name: 'numbers' } as const
const grow = { of: 'flow', name: 'grow' } as const
const offer = { priority: 'normal', body: bytes } as const

const deeds: readonly Deed[] = [
  {
    what: 'append to a journal',
    may: ['owner', 'client'],
    do: async ({ journal }, flowRunId) =>
      journal.append({ flowRunId, expected: 0, epoch: 1, entries: [claimed(), root(flowRunId)] }),
  },
  {
    what: 'read a journal',
    may: ['owner', 'client', 'watcher'],
    do: ({ journal }, id) => journal.read(id, 1, 10),
  },
  {
    what: 'list journals',
    may: ['owner', 'client', 'watcher'],
    do: ({ journal }) => journal.list({ limit: 10 }),
  },
  // Who may begin journals may write what deletes one: the server can't tell the two.
  {
    what: 'delete a journal',
    may: ['owner', 'client'],
    do: ({ journal }, id) => journal.delete(`kept-${id}`),
  },
  {
    what: 'send to a mailbox',
    may: ['owner', 'worker', 'client'],
    do: ({ mailbox }, id) => mailbox.send({ id, flowRunId: 'first', body: bytes }),
  },
  { what: 'read a mailbox', may: ['owner', 'client'], do: ({ mailbox }) => mailbox.pending('first') },
  {
    what: 'offer a task run',
    may: ['owner'],
    do: ({ queue }, id) => queue.offer({ ...offer, queue: numbers, id }),
  },
  {
    what: 'offer a flow run',
    may: ['owner', 'client'],
    do: ({ queue }, id) => queue.offer({ ...offer, queue: grow, id }),
  },
  { what: 'withdraw an offer', may: ['owner'], do: ({ queue }, id) => queue.withdraw(numbers, id) },
  { what: 'write the register', may: ['owner'], do: ({ register }, id) => register.put(id, bytes, 0) },
  { what: 'read the register', may: roles, do: ({ register }) => register.get('first') },
  {
    what: 'write the cache',
    may: ['owner'],
    do: ({ cache }, id) => cache.put(id, { value: bytes, runId: id, expires: undefined }),
  },
  { what: 'read the cache', may: ['owner'], do: ({ cache }) => cache.get('first') },
  {
    what: 'be there',
    may: ['owner', 'worker', 'client'],
    do: ({ nodes }, id) => nodes.announce(`there-${id}`),
  },
  { what: 'see who is there', may: roles, do: ({ nodes }) => nodes.list() },
]

describe.each(versions)('on the %s server', { timeout: 60_000 }, (version) => {
  const configuration = new Configuration()
  const stations = new Map<Role, Station>()
  let secured: Secured

  function stationOf(role: Role): Station {
    let station = stations.get(role)
    if (station === undefined) {
      const options = { servers: secured.server.url, auth: { nkey: secured.seed(role) } }
      station = natsTransport({ ...options, inboxPrefix: `_INBOX_${role}` }).open(hostOf())
      stations.set(role, station)
    }
    return station
  }

  beforeAll(async () => {
    configuration.switchOn('nats.conf', 'include "roles.conf"')
    secured = await Secured.start(version, configuration)
    // The owner makes all streams.
    for (const deed of deeds) await deed.do(stationOf('owner'), 'first')
    for (const role of roles) await deeds[0]?.do(stationOf('owner'), `kept-${role}`)
  }, 180_000)

  afterAll(async () => {
    await Promise.all([...stations.values()].map((station) => station.close()))
    await secured.stop()
    configuration.remove()
  }, 60_000)

  describe.each(roles)('%s', (role) => {
    it.each(deeds.filter(({ may }) => may.includes(role)))('may $what', async (deed) => {
      await expect(deed.do(stationOf(role), role).then(() => 'done')).resolves.toBe('done')
    })

    it.each(deeds.filter(({ may }) => !may.includes(role)))('may not $what, and is told so', async (deed) => {
      await expect(deed.do(stationOf(role), role)).rejects.toMatchObject({
        code: 'TRANSPORT_UNAVAILABLE',
        message: expect.stringContaining('the user of this connection may not do it') as string,
        details: { reason: 'permissions' },
      })
    })
  })
})
