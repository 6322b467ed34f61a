/** What every server must carry: nodes killed and stopped, servers killed, nodes restarted one after another. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import {
  clusterVersions,
  useCluster,
  useServer,
  versions,
  type NatsCluster,
  type NatsServer,
} from '../servers/index.ts'
import type { Item, Step } from './harness/plan-tasks.ts'
import { clusterTimes, shortTimes } from './harness/times.ts'
import { until } from './harness/until.ts'
import { World } from './harness/world.ts'

type Servers = { readonly one: () => NatsServer } | { readonly three: () => NatsCluster }

/** Runs the scenarios on each version of the server. In each they go on from each other, and the last one judges all. */
export function coreScenarios(count: 'one server' | 'three servers'): void {
  const each = count === 'one server' ? versions : clusterVersions
  describe.each(each)(`nodes on ${count}, the %s`, (version) => {
    if (count === 'one server') scenarios({ one: useServer({ version }) }, version)
    else scenarios({ three: useCluster({ version }) }, version)
  })
}

const owner = { flows: ['plan', 'even', 'local'] }
const worker = { work: 2 }
/** Within what a killed process is found by pings, also by a busy machine: in two seconds as a rule. */
const foundMs = 15_000
/** Within what a node has left that was told to: in one second as a rule, and before the grace is over, which nothing here needs. */
const drainedMs = 15_000
const everybody = {
  'owner-1': owner,
  'owner-2': owner,
  'owner-3': owner,
  'worker-1': worker,
  'worker-2': worker,
  'worker-3': worker,
}

function scenarios(servers: Servers, version: string): void {
  const isThree = 'three' in servers
  const place = `${version}, ${isThree ? 'three servers' : 'one server'}`
  const urls = (): readonly string[] => ('three' in servers ? servers.three().urls : [servers.one().url])
  const replicas = isThree ? 3 : 1
  const times = isThree ? clusterTimes : shortTimes
  let world: World
  beforeAll(async () => {
    world = await World.open({ servers: urls(), settings: { replicas, times } })
    await world.start(everybody)
  }, 60_000)
  afterEach(() => world.wake())
  afterAll(() => world.close(), 60_000)

  it(
    'lose nothing where two are killed and two are stopped, and the stopped ones are refused later',
    { timeout: 180_000 },
    async () => {
      const killed = world.child('owner-1')
      const stopped = world.child('owner-2')
      const held: Item[] = range(6).map((n) => ({ key: `held.${n}`, gate: `held.${n}` }))
      const remote = await world.run(killed, {
        flow: 'even',
        steps: [[{ key: 'early' }], held, [{ key: 'late' }]],
      })
      const inside = await world.run(stopped, {
        flow: 'local',
        steps: [[{ key: 'inside.early' }], [{ key: 'inside', gate: 'inside' }], [{ key: 'inside.late' }]],
      })
      const began = await until('each worker has two bodies', () => {
        const deeds = world.deeds('began').filter(({ key }) => key.startsWith('held.'))
        return deeds.length === 6 ? deeds : undefined
      })
      await world.deed('began', 'inside')
      const keysAt = (node: string): string[] =>
        began.filter((deed) => deed.node === node).map(({ key }) => key)
      expect(['worker-1', 'worker-2', 'worker-3'].map((node) => keysAt(node).length)).toEqual([2, 2, 2])
      // Its owner has recorded that they run: they are counted as lost.
      await until('all six run', () => {
        const running = world.witness
          .of(remote)
          .filter(({ kind, to }) => kind === 'task' && to.name === 'Running')
        return running.length === 7
      })

      const at = Date.now()
      await Promise.all([killed.kill(), world.child('worker-1').kill()])
      await Promise.all([stopped.kill('SIGSTOP'), world.child('worker-2').kill('SIGSTOP')])
      const lost = [...keysAt('worker-1'), ...keysAt('worker-2')]
      const kept = keysAt('worker-3')
      for (const key of kept) world.ledger.open(key)

      // What was held by those that are gone begins again; what the third one had does not.
      const again = await Promise.all(
        lost.map((key) => world.deed('began', key, { node: 'worker-3', attempt: 2 })),
      )
      const claimed = await world.seen(remote, ({ node }) => node === 'owner-3', 'another owner has it')
      const ofKilled = again.filter(({ key }) => keysAt('worker-1').includes(key)).map((deed) => deed.at - at)
      const ofStopped = again
        .filter(({ key }) => keysAt('worker-2').includes(key))
        .map((deed) => deed.at - at)
      const done = await world.result(remote)
      const attempts = new Map(done.map(({ key, attempt }) => [key, attempt]))
      expect([...lost, ...kept].map((key) => attempts.get(key))).toEqual([2, 2, 2, 2, 1, 1])
      expect(kept.map((key) => world.deeds('began', key).length)).toEqual([1, 1])
      expect(world.deeds('began', 'early')).toHaveLength(1)
      const inner = await world.deed('began', 'inside', { node: 'owner-3', attempt: 2 })
      const values = await world.result(inside)
      expect(values.map(({ key, node, attempt }) => `${key} ${node} ${attempt}`)).toEqual([
        'inside.early owner-2 1',
        'inside owner-3 2',
        'inside.late owner-3 1',
      ])
      expect(world.deeds('began', 'inside.early')).toHaveLength(1)

      // They wake, are told, and go on all the same: nobody listens to them.
      await Promise.all([stopped.kill('SIGCONT'), world.child('worker-2').kill('SIGCONT')])
      const zombies = [
        ...keysAt('worker-2').map((key) => [key, 'worker-2'] as const),
        ['inside', 'owner-2'] as const,
      ]
      await Promise.all(zombies.map(([key, node]) => world.deed('told', key, { node, attempt: 1 })))
      for (const [key] of zombies) world.ledger.open(key)
      await Promise.all(zombies.map(([key, node]) => world.deed('ended', key, { node, attempt: 1 })))
      console.log(
        `${place}: ms from the end of a process to the next beginning of its work: killed worker ${ofKilled.join(', ')}; ` +
          `killed owner ${claimed.at - at}; stopped worker ${ofStopped.join(', ')}; stopped owner ${inner.at - at}`,
      )
    },
  )

  it('go on at once where one of them is killed alone', { timeout: 120_000 }, async () => {
    // Who is gone is found by pings: what has to wait until the key of a node is forgotten would take a minute here.
    const patient = await World.open({
      servers: urls(),
      settings: { replicas, times: { ...times, keyLifeMs: 60_000 } },
    })
    try {
      await patient.start(everybody)
      const boss = patient.child('owner-1')
      const hand = patient.child('worker-1')
      const id = await patient.run(boss, {
        flow: 'even',
        steps: [range(6).map((n) => ({ key: `alone.${n}`, gate: `${n}` }))],
      })
      const running = (attempt: number) =>
        patient.witness
          .of(id)
          .filter((one) => one.kind === 'task' && one.to.name === 'Running' && one.attempt === attempt)
      await until('all run', () => running(1).length === 6)
      const ownerAt = Date.now()
      await boss.kill()
      const taken = await patient.seen(id, ({ node }) => node !== 'owner-1', 'another owner has it')
      const workerAt = Date.now()
      await hand.kill()
      const lost = patient.deeds('began', undefined, { node: 'worker-1' })
      expect(lost).toHaveLength(2)
      const offered = await until('they are offered again', () => {
        const recovering = patient.witness
          .of(id)
          .filter(({ kind, to }) => kind === 'task' && to.name === 'Recovering')
        return recovering.length === 2 ? recovering : undefined
      })
      const gaps = { owner: taken.at - ownerAt, workers: offered.map((one) => one.at - workerAt) }
      expect(gaps.owner).toBeLessThan(foundMs)
      expect(Math.max(...gaps.workers)).toBeLessThan(foundMs)
      for (const n of range(6)) patient.ledger.open(`${n}`)
      expect(await patient.end(id)).toBe('Completed')
      expect(patient.deeds('began')).toHaveLength(8)
      await patient.audit()
      console.log(
        `${place}: ms from the kill of one node to what follows: owner ${gaps.owner}, worker ${gaps.workers.join(', ')}`,
      )
    } finally {
      await patient.close()
    }
  })

  it(
    'lose nothing where servers are killed under load, nor does who watches',
    { timeout: 180_000 },
    async () => {
      await world.start({ 'owner-1': owner, 'worker-1': worker })
      const runs = await Promise.all(
        range(8).map((n) => world.run('any', { flow: 'plan', steps: load(`kill.${n}`, 10, 8) })),
      )
      const all = 8 * 10 * 8
      // An election takes its time.
      for (const share of 'three' in servers ? [0.4] : [0.2, 0.6]) {
        await until('a part is done', () => ended('kill.') >= share * all)
        const server =
          'three' in servers ? await servers.three().leader(`${world.namespace}_EV`) : servers.one()
        await server.kill()
        expect(ended('kill.')).toBeLessThan(all)
        await server.restart()
        if ('three' in servers) await servers.three().healthy()
      }
      for (const id of runs) expect(await world.end(id)).toBe('Completed')
    },
  )

  it(
    'fail nothing, and do nothing twice, where all are restarted one after another',
    { timeout: 180_000 },
    async () => {
      const drains: number[] = []
      const started: Promise<string>[] = []
      const begin = (): void => {
        const name = `roll.${started.length}`
        started.push(world.run('any', { flow: 'plan', steps: load(name, 4, 6) }))
      }
      for (const [name, options] of Object.entries(everybody)) {
        begin()
        begin()
        const before = ended('roll.')
        await until('some work is done', () => ended('roll.') > before)
        const at = Date.now()
        const node = world.child(name)
        await node.kill('SIGTERM')
        expect(await node.ended()).toEqual({ code: 0, signal: null })
        drains.push(Date.now() - at)
        await world.node(name, options)
      }
      expect(Math.max(...drains)).toBeLessThan(drainedMs)
      const runs = await Promise.all(started)
      for (const id of runs) expect(await world.end(id)).toBe('Completed')
      const began = world.deeds('began').filter(({ key }) => key.startsWith('roll.'))
      const first = new Set<string>()
      const twice = began.filter(({ key }) => first.size === first.add(key).size)
      expect(
        twice.flatMap(({ key, runId }) => [
          ...world.ledger.deeds().filter((deed) => deed.key === key),
          ...world.witness.of(runId.split('.')[0] ?? '').filter((one) => one.runId === runId),
        ]),
      ).toEqual([])
      expect(began).toHaveLength(runs.length * 4 * 6)
      console.log(`${place}: ms to drain: ${drains.join(', ')}`)
    },
  )

  it('leave journals without a gap, each effect, and nothing in queues', { timeout: 120_000 }, async () => {
    const { flowRuns, taskRuns, again, recoveries } = await world.audit()
    expect(recoveries).toBeGreaterThanOrEqual(7)
    console.log(
      `${place}: ${flowRuns} flow runs, ${taskRuns} task runs, ${recoveries} lost attempts, ${again} bodies again`,
    )
  })

  const ended = (prefix: string): number =>
    world.deeds('ended').filter(({ key }) => key.startsWith(prefix)).length
}

const range = (count: number): number[] => Array.from({ length: count }, (_, n) => n)

/** Lists of short bodies, one list after another. */
function load(name: string, lists: number, width: number): Step[] {
  return range(lists).map((list) =>
    range(width).map((n) => ({ key: `${name}.${list}.${n}`, ms: n % 3 === 0 ? 20 : 2 })),
  )
}
