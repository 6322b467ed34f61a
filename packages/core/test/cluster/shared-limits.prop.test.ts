import type { Limit } from '@troupe/core'
import { seededRandom } from '@troupe/core/testing'
import { describe, expect, it, vi } from 'vitest'
import { LimitsWorld } from './limits-world.ts'
import type { StoreFaults } from './store-of-test.ts'

// Hundreds of games in each: seconds, and on a machine that does much else, minutes.
vi.setConfig({ testTimeout: 180_000 })

const faultless: StoreFaults = { stored: 0, denied: 0, failed: 0, late: 0, unheard: 0 }
const faulty: StoreFaults = { stored: 0.05, denied: 0.05, failed: 0.03, late: 0.02, unheard: 0.02 }

/** Limits of one to three tags, as a seed has it. */
function limitsOf(seed: number): Limit[] {
  const random = seededRandom(seed)
  const below = (most: number): number => random.uint32() % most
  return ['a', 'b', 'c'].slice(0, 1 + below(3)).map((tag) => {
    const kind = below(4)
    // Some longer than it takes until a node is seen to be gone.
    const rate = { count: 1 + below(3), per: below(4) === 0 ? 5_000 + below(3_000) : 20 + below(300) }
    return {
      tag,
      ...(kind === 3 ? undefined : { concurrency: 1 + below(3) }),
      ...(kind >= 2 ? { rate } : undefined),
    }
  })
}

/** A game from a seed. @returns What went wrong, and how many nodes died. */
async function play(seed: number, faults: StoreFaults, deaths: number, changes = 0) {
  const limits = limitsOf(seed)
  const world = new LimitsWorld(seed, limits, faults)
  const nodes = Array.from({ length: 2 + world.pick(3) }, (_, index) => world.start(`node-${index}`))
  const tags = limits.map(({ tag }) => String(tag))
  for (let number = 0; number < 24; number++) {
    const node = nodes[world.pick(nodes.length)]!
    const first = world.pick(tags.length)
    const counting = world.pick(3) === 0 ? tags.slice(first) : [tags[first]!]
    world.clock.at(world.clock.now() + world.pick(400), () => {
      if (!node.life.isDead) world.submit(node, counting)
    })
  }
  for (let number = 0; number < 4; number++)
    world.clock.at(world.clock.now() + world.pick(600), () => world.cancel())
  for (let number = 0; number < deaths; number++)
    world.clock.at(world.clock.now() + world.pick(1_000), () => {
      if (world.living.length > 1) world.kill(world.living[world.pick(world.living.length)]!)
    })
  for (let number = 0; number < changes; number++) {
    world.clock.at(world.clock.now() + world.pick(1_000), () => world.setSomewhere())
    world.clock.at(world.clock.now() + 1_000 + world.pick(4_000), () => world.startAgain())
  }
  await world.lives.pass(1_000)
  const waiting = await world.play()
  const tooMany = world.tooMany()
  // Whoever is gone is seen to be, and what it had is taken back.
  await world.lives.pass(20_000)
  const left = world.left()
  const known = new Set(world.known())
  if (known.size > 1 && faults.unheard === 0) left.push(`the nodes differ: ${[...known].join(' and ')}`)
  await world.close()
  const deadlines = world.clock.waiting
  const log = world.log.join('\n')
  return {
    wrong: [
      ...world.broken,
      ...(faults === faultless ? world.reports : []),
      ...waiting,
      ...tooMany,
      ...left,
      ...(deadlines > 0 ? [`${deadlines} deadlines`] : []),
    ],
    world,
    log,
  }
}

async function wrongOf(seeds: readonly number[], faults: StoreFaults, deaths: number, changes = 0) {
  const wrong: string[] = []
  let crashes = 0
  for (const seed of seeds) {
    const { wrong: found, world } = await play(seed, faults, deaths, changes)
    crashes += world.lives.crashes
    if (found.length > 0) wrong.push(`seed ${seed}: ${found.join('; ')}`)
  }
  return { wrong, crashes }
}

const seeds = (from: number, count: number): number[] =>
  Array.from({ length: count }, (_, index) => from + index)

describe('limits of a cluster', () => {
  it('hold, and nothing waits for ever or is left, where nothing goes wrong', async () => {
    expect(await wrongOf(seeds(1, 150), faultless, 0)).toEqual({ wrong: [], crashes: 0 })
  })

  it('hold, and nothing waits for ever or is left, while nodes die', async () => {
    const { wrong, crashes } = await wrongOf(seeds(1_000, 200), faultless, 2)
    expect(wrong).toEqual([])
    expect(crashes).toBeGreaterThan(200)
  })

  it('hold, and nothing waits for ever or is left, while nodes die and answers of the store are lost', async () => {
    const { wrong, crashes } = await wrongOf(seeds(10_000, 400), faulty, 2)
    expect(wrong).toEqual([])
    expect(crashes).toBeGreaterThan(400)
  })

  it('hold, and are the same on all nodes, while they change and nodes come back under their names', async () => {
    const { wrong, crashes } = await wrongOf(seeds(20_000, 250), { ...faulty, unheard: 0 }, 2, 4)
    expect(wrong).toEqual([])
    expect(crashes).toBeGreaterThan(200)
  })

  it.each([
    ['one slot', { concurrency: 1 }],
    ['ten slots', { concurrency: 10 }],
    ['a rate', { rate: { count: 10, per: 100 } }],
  ])('bear 8 nodes with 100 runs each at once, with %s', async (_, allowed) => {
    const world = new LimitsWorld(5, [{ tag: 'a', ...allowed }], faultless)
    const nodes = Array.from({ length: 8 }, (__, index) => world.start(`node-${index}`))
    await world.lives.pass(50)
    const { calls, writes } = world.store
    for (const node of nodes) for (let number = 0; number < 100; number++) world.submit(node, ['a'])
    expect(await world.play(10 * 60_000)).toEqual([])
    expect([...world.broken, ...world.tooMany()]).toEqual([])
    // What there has to be are two writes for each run, and three for each start, of which there are 1.5 times as many.
    expect((world.store.writes - writes) / 800).toBeLessThan(4)
    expect((world.store.calls - calls) / 800).toBeLessThan(22)
    await world.close()
  })

  it('are given alike in two runs of a seed', async () => {
    const [first, second] = [await play(77, faulty, 2), await play(77, faulty, 2)]
    expect(second.log).toBe(first.log)
    expect(first.log.length).toBeGreaterThan(200)
  })
})
