import { seededRandom } from '@troupe/core/testing'
import { describe, expect, it, vi } from 'vitest'
import { Lock, Locks } from '../../src/cluster/locks.ts'
import { Peers } from '../../src/cluster/peers.ts'
import { SharedFlights } from '../../src/cluster/shared-flights.ts'
import { LivingNodes, type LivingNode } from './living-nodes.ts'
import { StoreOfTest, type StoreFaults } from './store-of-test.ts'

// Hundreds of games in each.
vi.setConfig({ testTimeout: 180_000 })

const faulty: StoreFaults = { stored: 0.05, denied: 0.05, failed: 0.03, late: 0.02, unheard: 0.02 }

/** Nodes with locks, over one store. */
class LocksWorld {
  readonly random
  readonly lives
  readonly store
  readonly broken: string[] = []
  readonly #members: { readonly life: LivingNode; readonly locks: Locks }[] = []

  constructor(seed: number) {
    this.random = seededRandom(seed)
    this.lives = new LivingNodes(seededRandom(seed + 1))
    this.store = new StoreOfTest(this.lives.clock, seededRandom(seed + 2), faulty)
  }

  pick(below: number): number {
    return this.random.uint32() % below
  }

  start(name: string): { life: LivingNode; locks: Locks } {
    const life = this.lives.add(name)
    const { clock } = life
    const random = seededRandom(this.random.uint32())
    const peers = new Peers(life.nodes, name, random)
    peers.arrived()
    const register = this.store.line(clock)
    const locks = new Locks('locks.', { register, peers, clock, random, report: () => undefined })
    const member = { life, locks }
    this.#members.push(member)
    return member
  }

  killSome(deaths: number): void {
    for (let number = 0; number < deaths; number++)
      this.lives.clock.at(this.lives.clock.now() + this.pick(2_000), () => {
        const { living } = this.lives
        if (living.length > 1) this.lives.kill(living[this.pick(living.length)]!)
      })
  }

  /** Whoever is gone is seen to be. @returns What is left in the store, and of deadlines */
  async end(): Promise<string[]> {
    await this.lives.pass(30_000)
    const left = [...this.store.read().keys()]
    for (const { life, locks } of this.#members) if (!life.isDead) locks.stop()
    // What the dead wait for comes to nothing.
    await this.lives.pass(10_000)
    const { waiting } = this.lives.clock
    return waiting > 0 ? [...left, `${waiting} deadlines`] : left
  }
}

describe('locks of a cluster', () => {
  it('have one living holder at most, come to all who wait, and are not left, whatever answers are lost and nodes die', async () => {
    const wrong: string[] = []
    let taken = 0
    for (let seed = 1; seed <= 300; seed++) {
      const world = new LocksWorld(seed)
      const holders = new Map<string, LivingNode>()
      let waiting = 0
      const use = async (life: LivingNode, locks: Locks, name: string): Promise<void> => {
        const lock = await locks.take(name)
        if (life.isDead) return
        taken++
        const before = holders.get(name)
        if (before !== undefined && !before.isDead)
          world.broken.push(`${before.name} and ${life.name} have ${name}`)
        holders.set(name, life)
        await new Promise<void>((resolve) => world.lives.after(life, world.random.number() * 50, resolve))
        if (!(await lock.renew())) world.broken.push(`${life.name} lost ${name}`)
        if (!(await lock.isHeld())) world.broken.push(`${life.name} does not hold ${name}`)
        holders.delete(name)
        await lock.release()
        if (await lock.isHeld()) world.broken.push(`${life.name} holds ${name} still`)
      }
      for (let index = 0; index < 4; index++) {
        const { life, locks } = world.start(`node-${index}`)
        for (let number = 0; number < 4; number++)
          world.lives.after(life, world.pick(300), () => {
            waiting++
            void use(life, locks, `lock ${world.pick(2)}`).then(() => waiting--)
          })
      }
      world.killSome(2)
      await world.lives.pass(2_000)
      const lost = (): number => world.lives.all.filter(({ isDead }) => isDead).length * 4
      await world.lives.until(() => waiting <= lost(), 300_000)
      // What the dead began never ends.
      if (waiting > lost()) world.broken.push(`${waiting} wait, of ${lost()} that died`)
      const left = await world.end()
      if (world.broken.length + left.length > 0)
        wrong.push(`seed ${seed}: ${[...world.broken, ...left].join('; ')}`)
    }
    expect(wrong).toEqual([])
    expect(taken).toBeGreaterThan(2_000)
  })

  it('let one make a result while the others wait for it, and another where that one fails or dies', async () => {
    const wrong: string[] = []
    let made = 0
    let found = 0
    for (let seed = 1; seed <= 300; seed++) {
      const world = new LocksWorld(seed)
      const makers = new Map<string, LivingNode>()
      const cache = new Map<string, string>()
      let waiting = 0
      const seek = async (life: LivingNode, flights: SharedFlights, runId: string): Promise<void> => {
        const key = `key ${world.pick(2)}`
        const never = new Promise<void>(() => undefined)
        const read = async (): Promise<string | undefined> => {
          await new Promise<void>((resolve) => world.lives.after(life, world.random.number() * 3, resolve))
          return cache.get(key)
        }
        const { hit, lock } = await flights.seek<string>(key, {
          runId,
          holdsSomething: false,
          over: never,
          read,
          warn: () => undefined,
        })
        if (hit !== undefined) {
          found++
          return
        }
        if (!(lock instanceof Lock)) throw new Error('neither a result nor a lock')
        const before = makers.get(key)
        if (before !== undefined && !before.isDead) world.broken.push(`two make ${key}`)
        if (cache.has(key)) world.broken.push(`${key} is made again`)
        makers.set(key, life)
        made++
        await new Promise<void>((resolve) => world.lives.after(life, world.random.number() * 400, resolve))
        makers.delete(key)
        if (world.pick(3) > 0) cache.set(key, runId)
        flights.letGo(lock)
      }
      for (let index = 0; index < 4; index++) {
        const { life, locks } = world.start(`node-${index}`)
        const flights = new SharedFlights(locks, life.clock)
        for (let number = 0; number < 4; number++)
          world.lives.after(life, world.pick(300), () => {
            waiting++
            void seek(life, flights, `run ${index} ${number}`).then(() => waiting--)
          })
      }
      world.killSome(2)
      await world.lives.pass(2_000)
      const lost = (): number => world.lives.all.filter(({ isDead }) => isDead).length * 4
      await world.lives.until(() => waiting <= lost(), 300_000)
      if (waiting > lost()) world.broken.push(`${waiting} wait, of ${lost()} that died`)
      const left = await world.end()
      if (world.broken.length + left.length > 0)
        wrong.push(`seed ${seed}: ${[...world.broken, ...left].join('; ')}`)
    }
    expect(wrong).toEqual([])
    expect(made).toBeGreaterThan(300)
    expect(found).toBeGreaterThan(1_000)
  })
})
