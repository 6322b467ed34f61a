import assert from 'node:assert/strict'
import { TroupeError } from '../../base/errors.ts'
import { heedful, mark, span, stubborn } from './bodies.ts'
import { failureOf, type Case } from './world.ts'

/** An engine that is closed while there is work. */
export const closing: readonly Case[] = [
  {
    name: 'starts nothing any more when the engine was closed, and tells running bodies to stop',
    when: ({ outlives }) => !outlives,
    async test(world) {
      const count = 300
      const run = world.start(() => [
        heedful(world.file('first'), 'first'),
        ...Array.from({ length: count }, (_, n) => span(world.file(), `${n}`, 1_000_000)),
      ])
      const failure = failureOf(run)
      await world.traced(1, 'first')
      await world.engine.close()
      assert.ok(TroupeError.is(await failure, 'ENGINE_CLOSED'))
      const begun = world.lines().length
      const free = world.slots === Number.POSITIVE_INFINITY ? count : world.slots - 1
      assert.ok(begun <= free, `${begun} bodies began on ${free} slots`)
      await world.traced(2, 'first')
      await world.rest()
      assert.equal(world.lines().length, begun)
      assert.match(world.lines('first').join(), /^\+first,-first/)
    },
  },
  {
    name: 'starts nothing where the engine is closed in the turn of the call',
    async test(world) {
      const run = world.start(() => mark(world.file(), 'never'))
      const failure = failureOf(run)
      await world.engine.close()
      assert.ok(TroupeError.is(await failure, 'ENGINE_CLOSED'))
      await world.rest()
      assert.deepEqual(world.lines(), [])
    },
  },
  {
    name: 'finishes queued work within the grace of closing',
    async test(world) {
      const holders = Math.min(world.slots, 10)
      const run = world.start(() => [
        ...Array.from({ length: holders }, (_, n) =>
          stubborn(world.file('held'), `${n}`, world.file('gate')),
        ),
        ...Array.from({ length: 20 }, (_, n) => span(world.file(), `${n}`, world.tick)),
      ])
      await world.traced(holders, 'held')
      const closed = world.engine.close({ grace: '1h' })
      world.open('gate')
      // Reading files takes real time, and no virtual time is to pass meanwhile.
      await world.traced(2 * holders, 'held')
      await world.settle(closed)
      assert.equal((await run).length, holders + 20)
      assert.equal(world.lines().length, 40)
    },
  },
]
