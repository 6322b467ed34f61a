import { seededRandom } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { Peers } from '../../src/cluster/peers.ts'
import { SharedLimits } from '../../src/cluster/shared-limits.ts'
import { LivingNodes } from './living-nodes.ts'
import { StoreOfTest } from './store-of-test.ts'

/** Engines' parts of limits over one store, in which what goes wrong is said by the test. */
class SmallWorld {
  readonly lives = new LivingNodes(seededRandom(1))
  readonly faults = { stored: 0, denied: 0, failed: 0, late: 0, unheard: 0 }
  readonly store = new StoreOfTest(this.lives.clock, seededRandom(2), this.faults)
  readonly granted: string[] = []
  #seed = 3

  open(name: string): SharedLimits {
    const { clock, nodes } = this.lives.add(name)
    const random = seededRandom(++this.#seed)
    const peers = new Peers(nodes, name, random)
    peers.arrived()
    const register = this.store.line(clock)
    const host = { register, peers, clock, random, report: () => undefined, warn: () => undefined }
    const limits = new SharedLimits(host)
    const here = { defined: () => undefined, changed: () => undefined, waiting: () => 0 }
    limits.open(here, new Map([['tag a', { tag: 'a', concurrency: 1 }]]))
    return limits
  }

  ask(limits: SharedLimits, run: string) {
    const granted = (): void => void this.granted.push(run)
    return limits.of('tag a').ask({ run, slot: true, start: true, granted, waits: () => undefined })
  }

  /** Runs that have a slot, as it stands in the store. */
  get holders(): string[] {
    return [...this.store.read().values()].flatMap((document) => {
      const { shares } = document as { shares: Record<string, { holds: string[] }> }
      return Object.values(shares).flatMap(({ holds }) => holds)
    })
  }
}

describe('a slot in a cluster', () => {
  it('is not left behind by a claim that was not answered, arrives late, and is wanted no more', async () => {
    const world = new SmallWorld()
    const limits = world.open('node')
    await world.lives.pass(100)
    world.faults.late = 1
    // Nor is it heard of.
    world.faults.unheard = 1
    const request = world.ask(limits, 'x')
    await world.lives.pass(15)
    world.faults.late = 0
    request.release()
    await world.lives.pass(1_000)
    expect(world.granted).toEqual([])
    expect(world.holders).toEqual([])
  })

  it('is not given back by a former life of its node, which does not know that it is gone', async () => {
    const world = new SmallWorld()
    const first = world.open('node')
    await world.lives.pass(100)
    const request = world.ask(first, 'x')
    await world.lives.pass(100)
    expect(world.holders).toEqual(['x'])
    const second = world.open('node')
    await world.lives.pass(100)
    world.ask(second, 'y')
    await world.lives.pass(1_000)
    expect(world.holders).toEqual(['x'])
    // What the former life had is free by now.
    await world.lives.pass(5_000)
    expect(world.holders).toEqual(['y'])
    request.release()
    await world.lives.pass(1_000)
    expect(world.holders).toEqual(['y'])
    expect(world.granted).toEqual(['x', 'y'])
  })

  it('is free when the clock of the store is set back, after the time of the rate at most', async () => {
    const world = new SmallWorld()
    const limits = world.open('node')
    limits.define('tag a', { tag: 'a', rate: { count: 1, per: 1_000 } })
    const first = world.ask(limits, 'x')
    await world.lives.pass(100)
    first.begun()
    await world.lives.pass(100)
    first.release()
    world.store.setBack(60_000)
    const before = world.lives.clock.now()
    world.ask(limits, 'y')
    await world.lives.until(() => world.granted.length === 2, 100_000)
    expect(world.granted).toEqual(['x', 'y'])
    expect(world.lives.clock.now() - before).toBeGreaterThan(700)
    expect(world.lives.clock.now() - before).toBeLessThan(1_500)
  })
})
