/** What the roles do with journals, through the ports themselves: each does its own, and nothing is refused on the way. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { NatsTransportOptions } from '../../src/options.ts'
import { versions } from '../servers/index.ts'
import { append, claimed, create, moved, nodeAt, note, root, wordsOf, type TestNode } from '../support.ts'
import { Configuration, Secured, type Role } from './support.ts'

describe.each(versions)('roles and journals on the %s server', (version) => {
  let configuration: Configuration
  let secured: Secured
  const nodes: TestNode[] = []

  beforeAll(async () => {
    configuration = new Configuration()
    configuration.switchOn('nats.conf', 'include "roles.conf"')
    secured = await Secured.start(version, configuration)
  }, 180_000)
  afterAll(async () => {
    for (const node of nodes) await node.close()
    await secured.stop()
    configuration.remove()
  })

  const as = (role: Role, options: NatsTransportOptions = {}): TestNode => {
    const node = nodeAt({
      servers: secured.server.url,
      namespace: 'troupe',
      auth: { nkey: secured.seed(role) },
      inboxPrefix: `_INBOX_${role}`,
      ...options,
    })
    nodes.push(node)
    return node
  }

  it('owners make the streams and do all there is to do', async () => {
    const owner = as('owner', { largeValue: 1_000, keep: { count: 0 } })
    const told: string[] = []
    owner.journal.subscribe((_, __, entries) => told.push(...wordsOf(entries)))
    await create(owner.journal, 'kept')
    await append(owner.journal, 'kept', 2, [note('a')])
    await create(owner.journal, 'ended')
    await append(owner.journal, 'ended', 2, [moved('Completed', { value: new Uint8Array(5_000) })])
    expect(await owner.journal.read('ended', 1, 10)).toHaveLength(3)
    expect(await owner.journal.list({ limit: 10 })).toHaveLength(2)
    const revision = await owner.register.put('key', new Uint8Array(1), 0)
    expect(await owner.register.keys('')).toEqual(['key'])
    expect(await owner.register.delete('key', revision ?? 0)).toBe(true)
    await owner.cache.put('result', { value: new Uint8Array(5_000), runId: 'kept', expires: undefined })
    expect(await owner.cache.get('result')).toMatchObject({ runId: 'kept' })
    await owner.cache.delete('result')
    expect(await owner.sweeper.sweep()).toMatchObject({ runs: 1 })
    expect(told).toEqual(['a'])
    expect(owner.reports).toEqual([])
  })

  it('clients begin flow runs, follow and read them, with large values', async () => {
    const owner = as('owner')
    const client = as('client', { largeValue: 1_000 })
    const told: string[] = []
    client.journal.subscribe((_, __, entries) => told.push(...wordsOf(entries)), 'mine')
    const inputs = new Uint8Array(5_000)
    await append(client.journal, 'mine', 0, [claimed(), root('mine', { inputs })])
    expect(await append(owner.journal, 'mine', 2, [note('taken')])).toBeUndefined()
    expect(await client.journal.read('mine', 1, 10)).toHaveLength(3)
    expect((await client.journal.list({ limit: 10 })).map(({ flowRunId }) => flowRunId)).toContain('mine')
    expect(await client.journal.summary('mine')).toMatchObject({ position: 3 })
    expect(told).toEqual(['taken'])
    expect(client.reports).toEqual([])
  })

  it('watchers read and follow, and can’t write', async () => {
    const owner = as('owner')
    const watcher = as('watcher')
    const told: string[] = []
    watcher.journal.subscribe((_, __, entries) => told.push(...wordsOf(entries)))
    expect((await watcher.journal.list({ limit: 10 })).map(({ flowRunId }) => flowRunId)).toContain('kept')
    await append(owner.journal, 'kept', 3, [note('watched')])
    const entries = await watcher.journal.read('kept', 1, 10)
    expect(wordsOf(entries)).toEqual(['a', 'watched'])
    expect(told).toEqual(['watched'])
    expect(watcher.reports).toEqual([])
    await expect(append(watcher.journal, 'kept', 4, [note('forged')])).rejects.toMatchObject({
      code: 'TRANSPORT_UNAVAILABLE',
      details: { reason: 'permissions' },
    })
    expect(await owner.journal.summary('kept')).toMatchObject({ position: 4 })
  })
})
