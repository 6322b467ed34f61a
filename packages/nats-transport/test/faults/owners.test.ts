/** Owners that die while they wait, recover, or are cut off; several starters of one run; clocks that are wrong; versions. */
import { describe, expect, it } from 'vitest'
import type { Child } from './harness/child.ts'
import { until } from './harness/until.ts'
import { usePlace, useWorlds } from './harness/worlds.ts'
import type { World } from './harness/world.ts'

const { world: open, proxy: way } = useWorlds(usePlace())
const owner = { flows: ['plan', 'even', 'local'] }

describe.concurrent('owners', { timeout: 120_000 }, () => {
  it('that die while a sleep and the delay of a retry are pending leave both their deadlines', async () => {
    const world = await open()
    const first = await world.node('first', owner)
    await world.node('worker', { work: 2 })
    const lengthMs = 16_000
    await world.run(first, {
      flow: 'plan',
      id: 'sleep',
      steps: [[{ key: 'a' }], { sleep: lengthMs }, [{ key: 'b' }]],
    })
    await world.run(first, {
      flow: 'plan',
      id: 'retry',
      steps: [[{ key: 'c', failures: 1, retryDelay: lengthMs }]],
    })
    await world.seen('retry', ({ to }) => to.name === 'AwaitingRetry', 'its delay has begun')
    const deadline = await sleepOf(world, 'sleep')
    // Whoever began them anew would be late by all that was over.
    await until('half of it is over', () => Date.now() > deadline - lengthMs / 2)
    await first.kill()
    await world.node('second', owner)
    await world.audit()

    /** When the second owner took it: both would end so much later if they began anew. */
    const anew = async (id: string): Promise<number> => {
      const entries = await world.entries(id)
      const claimed = entries.find((entry) => entry.kind === 'claimed' && entry.node === 'second')
      return (claimed?.at ?? -Infinity) + lengthMs
    }
    const waits = (await world.entries('sleep')).filter((entry) => entry.kind === 'wait')
    expect(waits).toHaveLength(1)
    const woken = (await world.entries('sleep')).find((entry) => entry.kind === 'woken')
    expect(woken?.at).toBeGreaterThanOrEqual(deadline)
    expect(woken?.at).toBeLessThan(await anew('sleep'))
    const retries = (await world.entries('retry')).filter((entry) => entry.kind === 'transition')
    const delays = retries.filter(({ to }) => to === 'AwaitingRetry')
    const again = retries.find(({ to }) => to === 'Retrying')
    expect(delays).toHaveLength(1)
    expect(again?.at).toBeGreaterThanOrEqual(delays[0]?.until ?? Infinity)
    expect(again?.at).toBeLessThan(await anew('retry'))
    console.log(
      `ms late: sleep ${(woken?.at ?? 0) - deadline}, retry ${(again?.at ?? 0) - (delays[0]?.until ?? 0)}`,
    )
  })

  it('that die leave a run paused that another node has paused, until another one resumes it', async () => {
    const world = await open()
    const [first, other] = (await world.start({
      first: owner,
      other: {},
      worker: { work: 2 },
    })) as [Child, Child]
    const steps = [[{ key: 'a', gate: 'a' }], [{ key: 'b' }]]
    await world.run(first, { flow: 'plan', id: 'held', steps })
    await world.seen('held', ({ kind, to }) => kind === 'task' && to.name === 'Running', 'a runs')
    expect(await other.ask({ do: 'pause', id: 'held' })).toBe('Paused')
    // What runs may end, and nothing follows.
    world.ledger.open('a')
    await world.seen('held', ({ kind, to }) => kind === 'task' && to.name === 'Completed', 'a has completed')
    await first.kill()
    const second = await world.node('second', owner)
    await until('the second one has it', async () =>
      (await world.entries('held')).some((entry) => entry.kind === 'claimed' && entry.node === second.node),
    )
    await world.run(second, { flow: 'plan', id: 'beside', steps: [[{ key: 'beside' }]] })
    expect(await world.end('beside')).toBe('Completed')
    expect(await other.ask({ do: 'state', id: 'held' })).toBe('Paused')
    expect(world.deeds('began', 'b')).toEqual([])
    expect(await other.ask({ do: 'resume', id: 'held' })).not.toBe('Paused')
    await world.audit()
    expect(world.deeds('began').map(({ key }) => key)).toEqual(['a', 'beside', 'b'])
    const states = world.witness.of('held').filter(({ kind }) => kind === 'flow')
    expect(states.filter(({ to }) => to.name === 'Paused')).toHaveLength(1)
    expect(states.at(-1)).toMatchObject({ node: second.node, to: { name: 'Completed' } })
  })

  it('that die again and again, also while they take over, leave one history', async () => {
    const world = await open()
    const first = await world.node('owner-0', owner)
    await world.node('worker', { work: 2 })
    const steps = [
      { draw: true as const },
      ...[0, 1, 2, 3].map((n) => [{ key: `part.${n}`, gate: `part.${n}` }]),
      { draw: true as const },
    ]
    await world.run(first, { flow: 'plan', id: 'often', steps })
    let last: Child = first
    for (const n of [0, 1, 2]) {
      await world.deed('began', `part.${n}`)
      const proxy = await way()
      let killed: Promise<void> | undefined
      const doomed: { next?: Child } = {}
      // The one that takes over is killed at its first append, which is stored; of the second it does not get so far.
      proxy.intercept = ({ to, frame }) => {
        if (killed !== undefined) return 'drop'
        const isAppend = to === 'server' && frame.subject === `${world.namespace}.ev.often`
        if (doomed.next === undefined || !isAppend) return 'pass'
        killed = doomed.next.kill()
        return n === 1 ? 'drop' : 'pass'
      }
      doomed.next = await world.node(`dies-${n}`, { ...owner, via: proxy.url })
      await last.kill()
      await until('the one that takes over is killed', () => killed !== undefined)
      last = await world.node(`owner-${n + 1}`, owner)
      world.ledger.open(`part.${n}`)
    }
    world.ledger.open('part.3')
    const value = await world.result('often')
    await world.audit()
    expect(value.filter(({ runId }) => runId === '').every(({ key }) => key.length === 36)).toBe(true)
    // Its workers lived: nothing was done twice.
    expect(world.deeds('began').map(({ key }) => key)).toEqual(['part.0', 'part.1', 'part.2', 'part.3'])
  })

  it('that are killed and at once there again under their name leave nothing lying', async () => {
    const world = await open()
    const [first] = (await world.start({ same: owner, other: owner, worker: { work: 4 } })) as [Child]
    const count = 6
    const ids = Array.from({ length: count }, (_, n) => `same-${n}`)
    for (const id of ids)
      await world.run(first, {
        flow: 'plan',
        id,
        steps: [[{ key: `${id}.a` }], [{ key: `${id}.b`, gate: 'b' }]],
      })
    await until('all have a part', () => world.deeds('ended').length === count)
    await first.kill()
    await world.node('same', owner)
    world.ledger.open('b')
    await world.audit()
    expect(world.deeds('began').filter(({ key }) => key.endsWith('.a'))).toHaveLength(count)
  })

  it('that are cut off stop themselves, and whoever awaited the run there gets its end', async () => {
    const world = await open()
    const proxy = await way()
    const away = await world.node('away', { ...owner, via: proxy.url })
    await world.run(away, {
      flow: 'local',
      id: 'cut',
      steps: [[{ key: 'a' }], [{ key: 'b', gate: 'b' }], [{ key: 'c' }]],
    })
    await world.deed('began', 'b')
    const awaited = away.result('cut')
    await world.node('there', owner)
    proxy.part()
    const began = await world.deed('began', 'b', { node: 'there', attempt: 2 })
    const told = await world.deed('told', 'b', { node: 'away' })
    expect(told.at).toBeLessThanOrEqual(began.at)
    await world.end('cut')
    world.ledger.open('b')
    await world.deed('ended', 'b', { node: 'away' })
    proxy.heal()
    expect((await awaited).map(({ key, node, attempt }) => `${key} ${node} ${attempt}`)).toEqual([
      'a away 1',
      'b there 2',
      'c there 1',
    ])
    await world.audit()
    expect(world.deeds('began', 'c').map(({ node }) => node)).toEqual(['there'])
  })

  it('with clocks ten minutes fast and slow take over from each other, early for nothing and late for nothing', async () => {
    const world = await open()
    const minutes = 60_000
    const fast = await world.node('fast', { ...owner, skewMs: 10 * minutes })
    const [lost] = await world.start({ 'worker-fast': { work: 1, skewMs: 10 * minutes } })
    await world.run(fast, {
      flow: 'even',
      id: 'skewed',
      steps: [[{ key: 'a', gate: 'a' }], { sleep: '1s' }, [{ key: 'b', failures: 1, retryDelay: '500ms' }]],
    })
    await world.deed('began', 'a')
    await world.start({
      slow: { ...owner, skewMs: -10 * minutes },
      'worker-slow': { work: 1, skewMs: -10 * minutes },
    })
    await Promise.all([fast.kill(), lost?.kill()])
    await world.deed('began', 'a', { node: 'worker-slow', attempt: 2 })
    await world.audit({ skewed: true })
    expect(world.deeds('began', 'b').length).toBeGreaterThanOrEqual(2)
  })

  it('whose clocks are wrong end a sleep that they take over wrong by at most that, and end it', async () => {
    const world = await open()
    const first = await world.node('first', owner)
    await world.node('worker', { work: 2 })
    const [lengthMs, skewMs, lateMs] = [16_000, 8_000, 15_000]
    // Their flows are different: so it is known who takes which.
    for (const [id, flow] of [
      ['early', 'plan'],
      ['late', 'even'],
    ] as const)
      await world.run(first, {
        flow,
        id,
        steps: [[{ key: `${id}.a` }], { sleep: lengthMs }, [{ key: `${id}.b` }]],
      })
    const deadlines = { early: await sleepOf(world, 'early'), late: await sleepOf(world, 'late') }
    await first.kill()
    await world.start({ fast: { flows: ['plan'], skewMs }, slow: { flows: ['even'], skewMs: -skewMs } })
    await world.audit()

    for (const [id, node] of [
      ['early', 'fast'],
      ['late', 'slow'],
    ] as const) {
      const entries = await world.entries(id)
      const claims = entries.filter((entry) => entry.kind === 'claimed')
      expect(claims.map((entry) => entry.node)).toEqual(['first', node])
      // By its own clock it is right.
      expect(entries.find((entry) => entry.kind === 'woken')?.at).toBeGreaterThanOrEqual(deadlines[id])
    }
    // The worker's clock is right, as that of the first owner was.
    const offBy = async (id: 'early' | 'late'): Promise<number> =>
      (await world.deed('began', `${id}.b`)).at - deadlines[id]
    const [early, late] = [await offBy('early'), await offBy('late')]
    console.log(`ms from the deadline to the end of a sleep: fast clock ${early}, slow clock ${late}`)
    expect(early).toBeGreaterThanOrEqual(-skewMs)
    expect(early).toBeLessThan(lateMs)
    expect(late).toBeGreaterThanOrEqual(0)
    expect(late).toBeLessThan(skewMs + lateMs)
  })

  it('of several that start a run by one key, one has it, and all get its value', async () => {
    const world = await open()
    const nodes = await world.start({
      'owner-1': owner,
      'owner-2': owner,
      'owner-3': owner,
      worker: { work: 2 },
    })
    const owners = nodes.slice(0, 3)
    const start = { flow: 'plan', steps: [[{ key: 'once' }]], idempotencyKey: 'the order' }
    const ids = await Promise.all(
      [...owners, ...owners].map((node, n) => node.start({ ...start, on: n < 3 ? 'here' : 'any' })),
    )
    expect(new Set(ids).size).toBe(1)
    const id = ids[0] ?? ''
    world.expect(id, { keys: ['once'] })
    const values = await Promise.all(owners.map((node) => node.result(id)))
    expect(new Set(values.map((value) => JSON.stringify(value))).size).toBe(1)
    await world.audit()
    expect(world.deeds('began')).toHaveLength(1)
    const other = await owners[0]
      ?.start({ ...start, steps: [[{ key: 'other' }]], on: 'any' })
      .catch((error: unknown) => error)
    expect(other).toMatchObject({ code: 'IDEMPOTENCY_CONFLICT' })
    const empty = await owners[0]?.start({ ...start, idempotencyKey: '' }).catch((error: unknown) => error)
    expect(empty).toMatchObject({ code: 'INVALID_OPTION' })
  })

  it('whose runs end before anybody asks wake everybody that does', async () => {
    const world = await open()
    const [one, two] = (await world.start({
      'owner-1': owner,
      'owner-2': owner,
      worker: { work: 8 },
    })) as [Child, Child]
    const ids = await Promise.all(
      Array.from({ length: 100 }, (_, n) =>
        world.run('any', {
          flow: n % 2 === 0 ? 'local' : 'plan',
          id: `quick-${n}`,
          steps: [[{ key: `${n}.a` }, { key: `${n}.b` }]],
        }),
      ),
    )
    const keys = ids.map((_, n) => [`${n}.a`, `${n}.b`])
    await until('all have ended', () => ids.every((id) => world.witness.endOf(id) !== undefined), 60_000)
    for (const who of [world, one, two]) {
      const values = await Promise.all(ids.map((id) => who.result(id)))
      expect(values.map((value) => value.map(({ key }) => key))).toEqual(keys)
    }
    await world.audit()
  })

  it('and workers of another version leave work to those who have its code', async () => {
    const world = await open()
    const [old, oldWorker] = (await world.start({
      old: { ...owner, version: '1' },
      'worker-old': { work: 2, version: '1' },
    })) as [Child, Child]
    const young = await world.node('young', { ...owner, version: '2' })
    await world.run(young, { flow: 'plan', id: 'new', steps: [[{ key: 'new' }]] })
    await world.run(old, {
      flow: 'plan',
      id: 'old',
      steps: [[{ key: 'old', gate: 'old' }], [{ key: 'old.late' }]],
    })
    await world.deed('began', 'old', { node: oldWorker.node })
    await old.kill()
    world.ledger.open('old')
    await world.deed('ended', 'old')
    // Nobody has what either of them needs: they wait, and others are not kept from work.
    await world.run('any', { flow: 'local', id: 'beside', steps: [[{ key: 'beside' }]] })
    expect(await world.end('beside')).toBe('Completed')
    expect(world.deeds('began', 'new')).toEqual([])
    expect(world.deeds('began', 'old.late')).toEqual([])
    await world.start({
      'old-again': { ...owner, version: '1' },
      'worker-young': { work: 2, version: '2' },
    })
    await world.audit()
    expect(world.deeds('began', 'new').map(({ node }) => node)).toEqual(['worker-young'])
    expect(world.deeds('began', 'old')).toHaveLength(1)
  })
})

/** The deadline of the sleep of a flow run, as soon as it sleeps. */
function sleepOf(world: World, id: string): Promise<number> {
  return until(`${id} sleeps`, async () => {
    const wait = (await world.entries(id)).find((entry) => entry.kind === 'wait')
    return wait?.deadline
  })
}
