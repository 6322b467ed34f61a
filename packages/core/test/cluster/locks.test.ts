import { seededRandom } from '@troupe/core/testing'
import { expect, it } from 'vitest'
import { Lock, Locks } from '../../src/cluster/locks.ts'
import { Peers } from '../../src/cluster/peers.ts'
import { LivingNodes, type LivingNode } from './living-nodes.ts'
import { StoreOfTest } from './store-of-test.ts'

const noFaults = { stored: 0, denied: 0, failed: 0, late: 0, unheard: 0 }

it('a lock that can’t be read keeps no other one of a lost node from being given back, and is told of once', async () => {
  const lives = new LivingNodes(seededRandom(1))
  const store = new StoreOfTest(lives.clock, seededRandom(2), noFaults)
  const told: unknown[] = []
  const start = (name: string): { readonly life: LivingNode; readonly locks: Locks } => {
    const life = lives.add(name)
    const { clock } = life
    const random = seededRandom(3)
    const peers = new Peers(life.nodes, name, random)
    peers.arrived()
    const report = (error: unknown): void => void told.push(error)
    return { life, locks: new Locks('locks.', { register: store.line(clock), peers, clock, random, report }) }
  }
  const lost = start('lost')
  const other = start('other')
  const taken: unknown[] = []
  void lost.locks.tryTake('z').then((lock) => taken.push(lock))
  void other.locks.tryTake('y').then((lock) => taken.push(lock))
  const garbage = new TextEncoder().encode('{"format":2}')
  void store.line(lives.clock).put('locks.a', garbage, 0)
  await lives.until(() => taken.length === 2 && store.read().size === 3, 10_000)
  expect(taken).toEqual([expect.any(Lock), expect.any(Lock)])

  lives.kill(lost.life)
  await lives.until(() => store.read().size === 2, 60_000)
  await lives.pass(30_000)
  expect([...store.read().keys()].toSorted()).toEqual(['locks.a', 'locks.y'])
  expect(told).toMatchObject([{ code: 'UNSUPPORTED_FORMAT' }])
  other.locks.stop()
})
