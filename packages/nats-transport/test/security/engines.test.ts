/** Engines that connect as the roles of `roles.conf` do their work with it, with TLS and without, and nothing of it is refused to them. */
import { createEngine, flow, receive, task } from '@troupe/core'
import type { Engine, EngineError, EngineOptions } from '@troupe/core'
import { NatsTaskRunner } from '@troupe/runners'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { natsTransport } from '../../src/index.ts'
import { versions } from '../servers/index.ts'
import { hostOf } from '../support.ts'
import { Configuration, Secured } from './support.ts'
import type { Role } from './support.ts'

const double = task('double', (value: Uint8Array) => new Uint8Array([...value, ...value]))
const wait = flow('wait', async () => receive('go'))
const grow = flow('grow', async (size: number) => {
  const doubled = await double(new Uint8Array(size))
  return doubled.length
})
/** More than `largeValue`. */
const large = 200_000

const ways = versions.flatMap((version) => [
  { version, way: 'in plain' as const },
  { version, way: 'over TLS' as const },
])

describe.each(ways)('on the $version server, $way', { timeout: 60_000 }, ({ version, way }) => {
  const configuration = new Configuration()
  const tls = way === 'over TLS' ? { caFile: configuration.path('certs/ca.pem') } : undefined
  const engines = new Map<Role, Engine>()
  const errors = new Map<Role, EngineError[]>()
  let secured: Secured

  function open(role: Role, options: EngineOptions = {}): void {
    const { url } = secured.server
    const auth = { nkey: secured.seed(role) }
    const inboxPrefix = `_INBOX_${role}`
    const readOnly = role === 'watcher'
    const transport = natsTransport({ servers: url, auth, inboxPrefix, readOnly, ...(tls && { tls }) })
    const engine = createEngine({ node: role, transport, ...options })
    const heard: EngineError[] = []
    engine.errors.subscribe((error) => void heard.push(error))
    engines.set(role, engine)
    errors.set(role, heard)
  }

  function engineOf(role: Role): Engine {
    const engine = engines.get(role)
    if (engine === undefined) throw new Error(`nobody is ${role}`)
    return engine
  }

  beforeAll(async () => {
    configuration.switchOn('nats.conf', 'include "roles.conf"')
    if (tls !== undefined) await configuration.useTls()
    secured = await Secured.start(version, configuration)
    const remote = grow.with({ taskRunner: new NatsTaskRunner({ queue: 'numbers' }) })
    // In any order: who may not make the streams waits for the owner.
    open('watcher')
    open('client')
    open('worker', { serve: { tasks: { numbers: 2 } } })
    open('owner', { serve: { flows: [remote, wait] } })
  }, 180_000)

  afterAll(async () => {
    await Promise.all([...engines.values()].map((engine) => engine.close()))
    await secured.stop()
    configuration.remove()
  }, 60_000)

  it('a client starts, an owner owns, a worker executes, with values in messages and beside them', async () => {
    const client = engineOf('client')
    for (const size of [3, large]) {
      const run = await client.run('grow', size)
      expect(await run.result()).toBe(2 * size)
    }
  })

  it('a client signals and cancels what an owner runs', async () => {
    const client = engineOf('client')
    const signalled = await client.run('wait')
    await signalled.signal('go', 'now')
    expect(await signalled.result()).toBe('now')
    const cancelled = await client.run('wait')
    await cancelled.cancel('enough')
    await expect(cancelled.result()).rejects.toMatchObject({ code: 'RUN_CANCELLED' })
  })

  it('a watcher lists, gets and watches, also what comes', async () => {
    const watcher = engineOf('watcher')
    const run = await engineOf('client').run('wait')
    const states: string[] = []
    for await (const { to } of watcher.watch({ flowRunId: run.id })) {
      states.push(to.name)
      if (to.name === 'Running') await run.signal('go', 'on')
    }
    expect(states.at(0)).toBe('Pending')
    expect(states.at(-1)).toBe('Completed')
    const page = await watcher.list({ flow: 'grow' })
    expect(page.map(({ state }) => state.name)).toEqual(['Completed', 'Completed'])
    expect(await page[1]?.result()).toBe(2 * large)
  })

  it.runIf(tls)('who does not know the authority does not come in, whatever its role', async () => {
    const auth = { nkey: secured.seed('owner') }
    const stranger = natsTransport({ servers: secured.server.url, auth, connectTimeout: '2s' }).open(hostOf())
    await expect(stranger.journal.summary('none')).rejects.toMatchObject({
      code: 'TRANSPORT_UNAVAILABLE',
      message: expect.stringContaining('certificate') as string,
    })
    await stranger.close()
  })

  it('nobody was refused anything of all that', () => {
    expect(Object.fromEntries(errors)).toEqual({ owner: [], worker: [], client: [], watcher: [] })
  })
})
