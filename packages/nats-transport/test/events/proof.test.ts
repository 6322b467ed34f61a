/** Many events, with duplicates and garbage, and a service that is killed again and again: each valid one is one flow run. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createEngine, type Engine, type FlowRunHandle } from '@troupe/core'
import { seededRandom } from '@troupe/core/testing'
import { natsTransport } from '@troupe/nats-transport'
import { sqliteJournal } from '@troupe/sqlite-journal'
import { jetstream } from '@nats-io/jetstream'
import { afterEach, describe, expect, it } from 'vitest'
import { until } from '../faults/harness/until.ts'
import { useServer } from '../servers/index.ts'
import type { Order, ServiceOrder } from './service-orders.ts'
import { Service } from './service.ts'
import { Place } from './support.ts'

/** Bytes that a service may hold the more for each event that it has dealt with: less than any trace of it would take. */
const mostBytesPerEvent = 250

interface Plan {
  readonly messages: readonly (string | Uint8Array)[]
  readonly others: readonly string[]
  readonly valid: ReadonlySet<string>
  readonly bad: number
}

/** `count` valid events, and a tenth as many duplicates, and as many that are garbage of all kinds, in any order. */
function planOf(count: number, seed: number): Plan {
  const random = seededRandom(seed)
  const below = (limit: number): number => Math.floor(random.number() * limit)
  const orders = Array.from({ length: count }, (_, n): Order => ({ id: `order-${n}`, weight: below(1_000) }))
  const duplicates = Array.from({ length: count / 10 }, () => orders[below(count)])
  const garbage = Array.from({ length: count / 10 }, (_, n): string | Uint8Array => {
    const kinds = [
      () => '{"id": "torn',
      () => new Uint8Array([0xff, 0x00, n % 256]),
      () => 'null',
      () => JSON.stringify({ weight: n }),
      () => JSON.stringify({ id: `light-${n}`, weight: -1 }),
      () => JSON.stringify({ id: '', weight: 1 }),
    ]
    return kinds[n % kinds.length]?.() ?? ''
  })
  const messages: (string | Uint8Array)[] = [...orders, ...duplicates].map((order) => JSON.stringify(order))
  messages.push(...garbage)
  for (let n = messages.length - 1; n > 0; n--) {
    const other = below(n + 1)
    const [a = '', b = ''] = [messages[n], messages[other]]
    messages[n] = b
    messages[other] = a
  }
  // The same keys with other contents: these are not the events that started the flow runs.
  const others = orders.slice(0, 10).map(({ id, weight }) => JSON.stringify({ id, weight: weight + 5_000 }))
  return { messages, others, valid: new Set(orders.map(({ id }) => id)), bad: garbage.length + 10 }
}

describe('a service that is killed again and again', { timeout: 240_000 }, () => {
  const server = useServer({ version: 'newest' })
  const ends: (() => Promise<void>)[] = []

  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  })

  async function publish(place: Place, messages: readonly (string | Uint8Array)[]): Promise<void> {
    const js = jetstream(place.nc)
    for (let n = 0; n < messages.length; n += 250)
      await Promise.all(messages.slice(n, n + 250).map((message) => js.publish(place.subject, message)))
  }

  /** The engine of a reader of the journal. */
  function readerOf(order: ServiceOrder): Engine {
    const { folder, servers, namespace } = order
    if (order.journal === 'nats') {
      const engine = createEngine({ node: 'reader', transport: natsTransport({ servers, namespace }) })
      ends.push(() => engine.close())
      return engine
    }
    const journal = sqliteJournal(folder)
    const engine = createEngine({ node: 'reader', journal })
    ends.push(async () => {
      await engine.close()
      await journal.close()
    })
    return engine
  }

  async function runsOf(engine: Engine): Promise<FlowRunHandle<unknown>[]> {
    const runs: FlowRunHandle<unknown>[] = []
    let cursor: string | undefined
    do {
      const page = await engine.list({ limit: 1_000, ...(cursor === undefined ? undefined : { cursor }) })
      runs.push(...(page as unknown as FlowRunHandle<unknown>[]))
      cursor = page.next
    } while (cursor !== undefined)
    return runs
  }

  /** @returns The last life, which ended by itself */
  async function prove(
    given: Pick<ServiceOrder, 'journal'> & { count: number; kills: number },
  ): Promise<Service> {
    const place = await Place.open(server().url)
    ends.push(() => place.close())
    const folder = mkdtempSync(join(tmpdir(), 'troupe-events-'))
    ends.push(async () => rmSync(folder, { recursive: true, force: true }))
    const { namespace, stream } = place
    const order: ServiceOrder = {
      journal: given.journal,
      servers: server().url,
      namespace,
      stream,
      folder: join(folder, 'journal'),
      effects: join(folder, 'effects.txt'),
    }
    writeFileSync(order.effects, '')
    await place.makeStream()
    const { messages, others, valid, bad } = planOf(given.count, 7)
    const published = publish(place, messages)

    // Each life but the last is killed when it has received its share.
    let service = await Service.start(order)
    const errors: string[] = []
    for (let kill = 0; kill < given.kills; kill++) {
      const share = (given.count / given.kills) * 0.5
      await until(`life ${kill + 1} has received its share`, () => service.received >= share)
      await service.kill()
      errors.push(...service.errors)
      service = await Service.start(order)
    }
    const last = service
    ends.push(() => last.kill())
    await published
    const untilAcknowledged = (): Promise<boolean> =>
      until(
        'all is acknowledged',
        async () => {
          const { held, waiting } = await place.unacknowledged()
          return held === 0 && waiting === 0
        },
        120_000,
      )
    await untilAcknowledged()
    await publish(place, others)
    await untilAcknowledged()
    const reader = readerOf(order)
    await until(
      'all flow runs have ended, those of killed lives, too',
      async () => (await reader.list({ ended: false, limit: 1 })).length === 0,
      60_000,
    )
    expect([await last.end(), last.output]).toEqual([0, ''])

    const runs = await runsOf(reader)
    const states = new Map<string, number>()
    for (const { state } of runs) states.set(state.name, (states.get(state.name) ?? 0) + 1)
    expect(Object.fromEntries(states)).toEqual({ Completed: valid.size })
    const done = readFileSync(order.effects, 'utf8').trim().split('\n')
    expect(new Set(done)).toEqual(valid)
    // A body runs again only where its process died before its end was safe.
    expect(done.length - valid.size).toBeLessThanOrEqual(given.kills * 100)

    const letters = await place.kept()
    const places = new Set(letters.map(({ facts }) => facts['Troupe-Sequence']))
    expect(places.size).toBe(bad)
    expect(letters).toHaveLength(bad)
    expect(errors.concat(last.errors).filter((error) => /^(TypeError|INTERNAL)/.test(error))).toEqual([])

    return last
  }

  it('starts one flow run for each of 10,000 valid events, with the same memory at the end', async () => {
    const last = await prove({ journal: 'sqlite', count: 10_000, kills: 4 })
    expect(growthOf(last.statuses)).toBeLessThan(mostBytesPerEvent)
  })

  it('starts one flow run for each valid event, with journals that are on the server, too', async () => {
    const last = await prove({ journal: 'nats', count: 1_000, kills: 2 })
    expect(last.statuses.length).toBeGreaterThan(0)
  })
})

/** By how many bytes for each event a life grew, after its first quarter: by then all that is made once is there. */
function growthOf(statuses: Service['statuses']): number {
  const quarter = Math.floor(statuses.length / 4)
  if (quarter < 3) throw new RangeError('the last life did too little')
  const [early, late] = [statuses.slice(quarter, 2 * quarter), statuses.slice(-quarter)]
  const mean = (of: 'bytes' | 'received', from: Service['statuses']): number =>
    from.reduce((sum, status) => sum + status[of], 0) / from.length
  return (mean('bytes', late) - mean('bytes', early)) / (mean('received', late) - mean('received', early))
}
