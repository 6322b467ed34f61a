/** Workers that die, stand still, are cut off, are blocked, lose their acknowledgements, or have to go. */
import { describe, expect, it } from 'vitest'
import type { Child } from './harness/child.ts'
import type { Passing } from './harness/proxy.ts'
import { until } from './harness/until.ts'
import { usePlace, useWorlds } from './harness/worlds.ts'
import type { World } from './harness/world.ts'

const { world: open, proxy: way } = useWorlds(usePlace())
const owner = { flows: ['plan', 'even', 'local'] }

describe.concurrent('workers', { timeout: 120_000 }, () => {
  it('that are killed between any two steps of a task run leave one result', async () => {
    const world = await open()
    const boss = await world.node('owner', owner)
    const { namespace } = world

    /** What passes on the way of the only task run of a flow run: others may be under way beside it. */
    function stepsOf(flowRunId: string) {
      const deliveries = new Set<string>()
      const isOffer = ({ to, frame }: Passing): boolean => {
        const isIts = to === 'client' && frame.subject.startsWith(`${namespace}.task.work.n.${flowRunId}=2E`)
        if (isIts) deliveries.add(frame.reply)
        return isIts
      }
      return {
        offered: isOffer,
        reporting: ({ to, frame }: Passing): boolean =>
          to === 'server' && frame.subject.startsWith(`${namespace}.mb.owner.${flowRunId}.`),
        reported: (passing: Passing): boolean =>
          !isOffer(passing) &&
          deliveries.has(passing.frame.subject) &&
          passing.frame.payload.toString() === '+ACK',
      }
    }

    /** Kills the only worker at a step, which does not happen any more. Before, it does what others have left. */
    async function killedAt(name: 'offered' | 'reporting' | 'reported', left?: string): Promise<void> {
      const proxy = await way()
      const isStep = stepsOf(name)[name]
      const doomed: { worker?: Child } = {}
      let killed: Promise<void> | undefined
      proxy.intercept = (passing) => {
        if (killed === undefined && !isStep(passing)) return 'pass'
        killed ??= doomed.worker?.kill()
        return 'drop'
      }
      const worker = await world.node(`worker-${name}`, { work: 1, via: proxy.url })
      doomed.worker = worker
      if (left !== undefined) await world.end(left)
      await world.run(boss, { flow: 'plan', id: name, steps: [[{ key: name }]] })
      await until(`the worker is killed at ${name}`, () => killed !== undefined)
      await worker.ended()
      expect(proxy.disturbed).toBeGreaterThan(0)
    }
    const doers = (key: string): string[] => world.deeds('did', key).map(({ node }) => node)

    await killedAt('offered')
    expect(world.deeds('began', 'offered')).toEqual([])
    await killedAt('reporting', 'offered')
    await killedAt('reported', 'reporting')
    await world.node('worker-last', { work: 1 })
    await world.end('reported')
    await world.run(boss, { flow: 'plan', id: 'after', steps: [[{ key: 'after' }]] })
    await world.audit()
    expect(doers('offered')).toEqual(['worker-reporting'])
    // Its own effect came before the report, so it is there twice; what was reported is not done again.
    expect(doers('reporting')).toEqual(['worker-reporting', 'worker-reported'])
    expect(doers('reported')).toEqual(['worker-reported'])
    expect(doers('after')).toEqual(['worker-last'])
  })

  it('that block their event loop keep their work, until it is too long', async () => {
    const world = await open({ settings: { times: { ackWaitMs: 3_000, keyLifeMs: 2_000, refreshMs: 500 } } })
    const [boss] = (await world.start({ owner, 'worker-patient': { work: 1 } })) as [Child]
    await world.run(boss, { flow: 'plan', id: 'long', steps: [[{ key: 'long', ms: 100, blockMs: 8_000 }]] })
    await world.deed('began', 'long')
    const other = await world.node('worker-other', { work: 1, settings: { maxBlocked: '1s' } })
    await world.end('long')
    expect(world.deeds('began', 'long').map(({ node }) => node)).toEqual(['worker-patient'])
    await world.child('worker-patient').kill()

    await world.run(boss, {
      flow: 'plan',
      id: 'too-long',
      steps: [[{ key: 'too-long', ms: 100, blockMs: 6_000, gate: 'told' }]],
    })
    await world.deed('began', 'too-long', { node: other.node })
    const third = await world.node('worker-third', { work: 1 })
    await world.end('too-long')
    await world.deed('told', 'too-long', { node: other.node })
    world.ledger.open('told')
    await world.deed('ended', 'too-long', { node: other.node })
    const [value] = await world.result('too-long')
    expect(value).toMatchObject({ node: third.node, attempt: 2 })
    await world.audit()
  })

  it('that are cut off let go before another one begins, and are refused when they are back', async () => {
    const world = await open()
    const proxy = await way()
    const boss = await world.node('owner', owner)
    const away = await world.node('worker-away', { work: 1, via: proxy.url })
    await world.run(boss, { flow: 'plan', id: 'cut', steps: [[{ key: 'cut', gate: 'cut' }]] })
    await world.deed('began', 'cut', { node: away.node })
    await world.node('worker-there', { work: 1 })
    proxy.part()
    const began = await world.deed('began', 'cut', { node: 'worker-there', attempt: 2 })
    const told = await world.deed('told', 'cut', { node: away.node })
    expect(told.at).toBeLessThanOrEqual(began.at)
    await world.end('cut')
    world.ledger.open('cut')
    await world.deed('ended', 'cut', { node: away.node })
    proxy.heal()
    // It works again: it is the only one.
    await world.child('worker-there').kill()
    await world.run(boss, { flow: 'plan', id: 'back', steps: [[{ key: 'back' }]] })
    await world.deed('did', 'back', { node: away.node })
    await world.audit()
  })

  it('whose acknowledgements are lost get their work again, and do not do it again', async () => {
    const world = await open()
    const proxy = await way()
    const boss = await world.node('owner', owner)
    let delivered = 0
    let loses = true
    proxy.intercept = ({ to, frame }) => {
      if (to === 'client' && frame.subject.startsWith(`${world.namespace}.task.`)) delivered++
      const isAck = to === 'server' && frame.subject.startsWith('$JS.ACK.')
      return loses && isAck && frame.payload.toString() === '+ACK' ? 'drop' : 'pass'
    }
    await world.node('worker', { work: 2, via: proxy.url })
    await world.run(boss, { flow: 'even', id: 'acks', steps: [items('ack', 4)] })
    await world.end('acks')
    await until('it came again', () => delivered >= 8)
    loses = false
    expect(proxy.disturbed).toBeGreaterThanOrEqual(4)
    await world.audit()
    expect(world.deeds('began')).toHaveLength(4)
  })

  it('that a body ends again and again are spared it after a while; released, it goes on', async () => {
    const world = await open()
    const boss = await world.node('owner', owner)
    const id = 'poison'
    const poison = { key: 'poison', dies: 'spared', maxRecoveries: 2 }
    await world.run(
      boss,
      { flow: 'even', id, steps: [[{ key: 'before' }], [poison, { key: 'beside', ms: 50 }]] },
      {
        state: 'Failed',
        keys: ['before', 'beside'],
      },
    )
    let deaths = 0
    let isOver = false
    const over = world.end(id).finally(() => (isOver = true))
    while (!isOver) {
      const worker = await world.node(`worker-${deaths}`, { work: 2 })
      await Promise.race([worker.ended(), over])
      if (!worker.running) deaths++
    }
    expect(await over).toBe('Failed')
    const last = world.witness.of(id).filter(({ to }) => to.name === 'Crashed')
    expect(last.map(({ to }) => to.message)).toMatchObject([/lost/])
    // Its first death may come before anybody has heard that it began.
    expect([3, 4]).toContain(deaths)
    expect(world.deeds('began', 'poison')).toHaveLength(deaths)
    world.ledger.open('spared')
    const released = (await boss.ask({ do: 'release', id })) as string
    world.expect(released, { keys: ['poison'] })
    await world.audit()
    expect(world.deeds('began', 'before')).toHaveLength(1)
  })

  it('that must go before their work is done hand it on at once', async () => {
    // With the times of production: what is not handed on would come back after 30 s.
    const world = await open({ settings: {} })
    const boss = await world.node('owner', owner)
    const leaves = await world.node('worker-leaves', { work: 2, grace: '300ms' })
    await world.run(boss, {
      flow: 'even',
      id: 'long',
      steps: [
        [
          { key: 'long', gate: 'never' },
          { key: 'short', ms: 200 },
        ],
      ],
    })
    await world.deed('began', 'long', { node: leaves.node })
    await world.deed('began', 'short', { node: leaves.node })
    const at = Date.now()
    await leaves.kill('SIGTERM')
    expect(await leaves.ended()).toEqual({ code: 0, signal: null })
    await world.node('worker-stays', { work: 2 })
    const began = await until(
      'it begins elsewhere',
      () => world.deeds('began', 'long', { node: 'worker-stays' })[0],
      15_000,
    )
    console.log(`ms from SIGTERM to the next beginning of what was not done: ${began.at - at}`)
    await world.audit()
    expect(world.deeds('began', 'short')).toHaveLength(1)
  })

  it('that are killed leave no slot of a limit behind', async () => {
    const world = await open()
    const limits = [{ tag: 'few', concurrency: 2 }]
    const boss = await world.node('owner', { ...owner, limits })
    const heir = await world.node('heir', { ...owner, limits })
    const [first] = await world.start({ 'worker-1': { work: 4 }, 'worker-2': { work: 4 } })
    const few = (name: string) => items(name, 4, { tags: ['few'], gate: name })
    await world.run(boss, { flow: 'even', id: 'one', steps: [few('one')] })
    await until('two hold a slot', () => world.deeds('began').length === 2)
    await world.run(heir, { flow: 'even', id: 'two', steps: [few('two')] })
    await Promise.all([boss.kill(), first?.kill()])
    world.ledger.open('one')
    world.ledger.open('two')
    await world.audit()
    const most = mostAtOnce(world)
    expect(most).toBeLessThanOrEqual(2)
  })
})

function items(name: string, count: number, more: object = {}) {
  return Array.from({ length: count }, (_, n) => ({ key: `${name}.${n}`, ...more }))
}

/** How many bodies ran side by side, as far as they came to their end. */
function mostAtOnce(world: World): number {
  let now = 0
  let most = 0
  const ended = world.deeds('ended')
  const isWhole = ({ runId, attempt, node }: { runId: string; attempt: number; node: string }): boolean =>
    ended.some((deed) => deed.runId === runId && deed.attempt === attempt && deed.node === node)
  for (const deed of world.ledger.deeds()) {
    if (!isWhole(deed)) continue
    if (deed.what === 'began') most = Math.max(most, ++now)
    if (deed.what === 'ended') now--
  }
  return most
}
