import assert from 'node:assert/strict'
import { completed } from '../../runs/endings.ts'
import type { TaskFuture } from '../../runs/types.ts'
import { waitAll } from '../../runs/wait.ts'
import { mark, stubborn } from './bodies.ts'
import { type Case, type World } from './world.ts'

/** Of runners that can't stop a body that does not yield. */
const modes = ['sequential', 'concurrent'] as const

/** As many bodies that heed nothing as there are slots, and at least one. */
const stubbornOnes = (world: World): TaskFuture<void>[] =>
  Array.from({ length: world.slots === Number.POSITIVE_INFINITY ? 1 : world.slots }, (_, n) =>
    stubborn.with({ grace: '1m' })(world.file(), `${n}`, world.file('gate')),
  )

/** Bodies that ignore their signal. */
export const leftovers: readonly Case[] = [
  {
    name: 'gives a body that ignores its signal its grace, then goes on without it and reports it as left over',
    modes,
    async test(world) {
      let ignoring: TaskFuture<void> | undefined
      const run = world.start(async () => {
        ignoring = stubborn.with({ grace: '1m' })(world.file(), 'a', world.file('gate'))
        await waitAll([ignoring])
        return completed(null)
      })
      await world.rest()
      assert.ok(ignoring !== undefined)
      await world.reached(ignoring, 'Running')
      const before = world.engine.clock.now()
      assert.equal((await world.settle(ignoring.cancel())).name, 'Cancelled')
      assert.equal(world.engine.clock.now() - before, 60_000)
      assert.deepEqual(world.health().leftovers, [ignoring.id])
      assert.equal(world.history(ignoring), 'Pending → Running → Cancelling → Cancelled')
      await world.settle(run)
      assert.deepEqual(world.lines(), ['+a'])
      await settled(world, 1)
      assert.deepEqual(world.health().leftovers, [])
      assert.equal(world.history(ignoring), 'Pending → Running → Cancelling → Cancelled')
    },
  },
  {
    name: 'keeps the slot of a body that is left over until it settles',
    modes,
    when: ({ slots }) => slots !== Number.POSITIVE_INFINITY,
    async test(world) {
      let next: TaskFuture<string> | undefined
      const run = world.start(async () => {
        const ignoring = stubbornOnes(world)
        await world.rest()
        await Promise.all(ignoring.map((future) => future.cancel()))
        next = mark(world.file(), 'next')
        await waitAll([...ignoring, next])
        return completed(null)
      })
      // The grace ends by virtual time, and `next` is submitted then.
      while (next === undefined) await world.settle(passed(world, 60_000))
      await world.rest()
      assert.equal(world.history(next), 'Pending')
      await settled(world, world.slots)
      await world.settle(run)
      // The first body that settles gives its slot to it.
      assert.ok(world.lines().indexOf('next') > world.lines().findIndex((line) => line.startsWith('-')))
      assert.equal(world.lines().length, 2 * world.slots + 1)
    },
  },
  {
    name: 'cancels a flow run whose task ignores its signal, after the grace',
    modes,
    async test(world) {
      const run = world.start(async () => waitAll(stubbornOnes(world)), { grace: '2m' })
      await world.rest()
      assert.equal((await world.settle(run.cancel())).name, 'Cancelled')
      assert.equal(
        world.health().leftovers.length,
        world.slots === Number.POSITIVE_INFINITY ? 1 : world.slots,
      )
      await settled(world, world.health().leftovers.length)
    },
  },
]

/** Lets the bodies end, and waits until the engine has noticed. */
async function settled(world: World, count: number): Promise<void> {
  world.open('gate')
  while (world.lines().filter((line) => line.startsWith('-')).length < count) await world.rest()
  await world.rest()
}

function passed(world: World, ms: number): Promise<void> {
  const { clock } = world.engine
  return new Promise((resolve) => void clock.at(clock.now() + ms, resolve))
}
