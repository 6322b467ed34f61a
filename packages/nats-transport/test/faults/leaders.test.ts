/** Leaders of streams, of consumers and of buckets that change while work goes on. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { useCluster } from '../servers/index.ts'
import { clusterTimes } from './harness/times.ts'
import { until } from './harness/until.ts'
import { World } from './harness/world.ts'

/** Within what a queue delivers again, also on a busy machine: in five seconds as a rule, for an election takes a while. */
const gapMs = 25_000

/** How a server is told to go. As a lame duck it sends its clients away one by one, for half a minute at least. */
const toGo = process.env['TROUPE_SERVERS'] === 'all' ? 'SIGUSR2' : 'SIGTERM'
const config = 'lame_duck_duration: "30s"\nlame_duck_grace_period: "1s"\n'

describe('three servers', { timeout: 300_000 }, () => {
  const cluster = useCluster({ version: 'newest', config })
  let world: World
  const owner = { flows: ['plan', 'even', 'local'], limits: [{ tag: 'few', concurrency: 2 }] }

  beforeAll(async () => {
    world = await World.open({ servers: cluster().urls, settings: { replicas: 3, times: clusterTimes } })
    await world.start({
      'owner-1': owner,
      'owner-2': owner,
      'worker-1': { work: 4 },
      'worker-2': { work: 4 },
    })
  }, 60_000)
  afterAll(() => world.close(), 60_000)

  it('that hand over every leadership again and again while work goes on lose nothing and double nothing', async () => {
    const lists = Array.from({ length: 60 }, (_, list) =>
      items(`step.${list}`, 10, { ms: 5, tags: list % 5 === 0 ? ['few'] : [] }),
    )
    const ids = await Promise.all(
      [0, 1].map((n) => world.run('any', { flow: 'plan', id: `steps-${n}`, steps: renamed(lists, `${n}`) })),
    )
    const ended = (): number => world.deeds('ended').length
    await until('work has begun', () => ended() > 20)
    const { nc } = world.streams
    /** Changes that came while there was work. */
    let changes = 0
    const changed = (): void => {
      if (ended() < 2 * 600) changes++
    }
    for (let round = 0; round < 2; round++) {
      for (const { config } of await world.streams.all()) {
        if ((config.num_replicas ?? 1) === 1) continue
        await cluster().stepDown(nc, config.name)
        changed()
        if (config.retention !== 'workqueue') continue
        for await (const { name } of world.streams.jsm.consumers.list(config.name)) {
          await cluster().stepDown(nc, config.name, name)
          changed()
        }
      }
    }
    expect(changes).toBeGreaterThan(10)
    for (const id of ids) expect(await world.end(id)).toBe('Completed')
  })

  it('of which the one is killed that leads the consumer of a queue deliver again within seconds', async () => {
    // By what nodes hear of it and ask for: who looks whether a queue stands still looks much later here.
    const patient = await World.open({
      servers: cluster().urls,
      settings: { replicas: 3, times: { ...clusterTimes, stalledMs: 60_000 } },
    })
    try {
      await patient.start({ owner, worker: { work: 4 } })
      const id = await patient.run('any', {
        flow: 'even',
        steps: [items('warm', 4), [{ key: 'gate', gate: 'gap' }], items('gap', 20)],
      })
      await patient.deed('began', 'gate')
      const queue = `${patient.namespace}_TQ`
      const consumers: string[] = []
      for await (const one of patient.streams.jsm.consumers.list(queue)) consumers.push(one.name)
      const name = consumers.find((one) => one.startsWith('t-work-n')) ?? ''
      const leader = await cluster().leader(queue, name)
      await leader.kill()
      const at = Date.now()
      patient.ledger.open('gap')
      const first = await patient.deed('began', 'gap.0')
      expect(await patient.end(id)).toBe('Completed')
      console.log(`ms from the end of a consumer's leader to the next delivery: ${first.at - at}`)
      expect(first.at - at).toBeLessThan(gapMs)
      await leader.restart()
      await cluster().healthy()
      await patient.audit()
    } finally {
      await patient.close()
    }
  })

  it('that are restarted one after another, as for an upgrade, end all that is started meanwhile', async () => {
    let ended = 0
    let isOver = false
    const work = async (): Promise<void> => {
      while (!isOver) {
        const steps = [items(`upgrade.${ended}`, 8, { ms: 5 }), items(`upgraded.${ended}`, 8)]
        expect(await world.end(await world.run('any', { flow: 'plan', steps }))).toBe('Completed')
        ended++
      }
    }
    const restarts = async (): Promise<void> => {
      for (const server of cluster().servers) {
        await server.kill(toGo)
        await until('it has gone', () => !server.running, 90_000)
        const before = ended
        await until('flow runs begin and end on the others', () => ended > before + 1)
        await server.restart()
        await cluster().healthy()
      }
    }
    await Promise.all([work(), restarts().finally(() => void (isOver = true))])
    console.log(`flow runs that ended while three servers were restarted: ${ended}`)
  })

  it('have at most as many bodies at once as a limit allows, and nothing is left at the end', async () => {
    await world.audit()
    let now = 0
    let most = 0
    for (const { what, key } of world.ledger.deeds()) {
      const [, , list = '1'] = key.split('.')
      if (!key.includes('step.') || Number(list) % 5 !== 0) continue
      if (what === 'began') most = Math.max(most, ++now)
      if (what === 'ended') now--
    }
    expect(most).toBeGreaterThan(0)
    expect(most).toBeLessThanOrEqual(2)
  })
})

function items(name: string, count: number, more: object = {}) {
  return Array.from({ length: count }, (_, n) => ({ key: `${name}.${n}`, ...more }))
}

function renamed<T extends { readonly key: string }>(steps: readonly (readonly T[])[], name: string) {
  return steps.map((list) => list.map((item) => ({ ...item, key: `${name}.${item.key}` })))
}
