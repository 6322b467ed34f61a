import assert from 'node:assert/strict'
import { waitAll } from '../../runs/wait.ts'
import type { TaskFuture } from '../../runs/types.ts'
import { completed } from '../../runs/endings.ts'
import { fail, flaky, greedy, heedful, mark } from './bodies.ts'
import { assertError, failureOf, type Case } from './world.ts'

/** Trying again, of tasks and of flows. */
export const retries: readonly Case[] = [
  {
    name: 'tries a task again until it completes',
    async test(world) {
      let tried: TaskFuture<number> | undefined
      const run = world.start(() => (tried = flaky.with({ retries: 5 })(world.file(), 'try', 2)))
      assert.equal(await world.settle(run), 3)
      assert.ok(tried !== undefined)
      assert.equal(world.history(tried), 'Pending → Running → Retrying → Retrying → Completed')
      assert.deepEqual(
        world.transitionsOf(tried).map(({ attempt }) => attempt),
        [1, 1, 2, 3, 3],
      )
      assert.deepEqual(world.lines(), ['try 1', 'try 2', 'try 3'])
      assert.equal(world.history(run), 'Pending → Running → Completed')
    },
  },
  {
    name: 'fails a task with its last error when its retries are used up',
    async test(world) {
      let tried: TaskFuture<number> | undefined
      const run = world.start(() => (tried = flaky.with({ retries: 2 })(world.file(), 'try', 9)))
      assertError(await failureOf(world.settle(run)), { name: 'TypeError', message: 'attempt 3 failed' })
      assert.ok(tried !== undefined)
      assert.equal(world.history(tried), 'Pending → Running → Retrying → Retrying → Failed')
      assert.equal(world.lines().length, 3)
    },
  },
  {
    name: 'tries each of many tasks again by itself',
    async test(world) {
      const failures = [0, 1, 2, 3, 0, 1, 2, 3]
      const task = flaky.with({ retries: 3 })
      const values = await world.run(() => failures.map((count, n) => task(world.file(), `${n}`, count)))
      assert.deepEqual(
        values,
        failures.map((count) => count + 1),
      )
    },
  },
  {
    name: 'hands each attempt the arguments as they were passed',
    async test(world) {
      assert.deepEqual(await world.run(() => greedy.with({ retries: 1 })([7])), [7, 2])
    },
  },
  {
    name: 'tries a flow again, and does not run again what completed',
    async test(world) {
      const runs: TaskFuture<unknown>[] = []
      const run = world.start(
        async () => {
          runs.push(mark(world.file(), 'once'))
          await runs.at(-1)
          runs.push(flaky(world.file(), 'body', runs.length < 3 ? 1 : 0))
          await runs.at(-1)
          return completed('done')
        },
        { retries: 3 },
      )
      assert.equal(await world.settle(run), 'done')
      assert.equal(world.history(run), 'Pending → Running → Retrying → Completed')
      assert.equal(world.lines().filter((line) => line === 'once').length, 1)
      assert.equal(runs[2]?.id, runs[0]?.id)
      assert.notEqual(runs[3]?.id, runs[1]?.id)
    },
  },
  {
    name: 'fails a flow when its retries are used up',
    async test(world) {
      const run = world.start(() => fail('no luck'), { retries: 2 })
      assertError(await failureOf(world.settle(run)), { name: 'TypeError', message: 'no luck' })
      assert.equal(world.history(run), 'Pending → Running → Retrying → Retrying → Failed')
      const tasks = world.transitions.filter(({ kind, to }) => kind === 'task' && to.name === 'Failed')
      assert.equal(tasks.length, 3)
    },
  },
  {
    name: 'multiplies the retries of a task and of its flow',
    async test(world) {
      const task = flaky.with({ retries: 2 })
      const run = world.start(() => task(world.file(), 'try', 9), { retries: 1 })
      await failureOf(world.settle(run))
      assert.deepEqual(world.lines(), ['try 1', 'try 2', 'try 3', 'try 1', 'try 2', 'try 3'])
    },
  },
  {
    name: 'does not try a cancelled run again',
    async test(world) {
      let run: TaskFuture<void> | undefined
      await world.run(async () => {
        run = heedful.with({ retries: 3 })(world.file(), 'a')
        await world.reached(run, 'Running')
        await run.cancel()
        await waitAll([run])
        return completed(null)
      })
      assert.ok(run !== undefined)
      assert.equal(world.history(run), 'Pending → Running → Cancelling → Cancelled')
      assert.deepEqual(world.lines(), ['+a', '-a RUN_CANCELLED'])
    },
  },
]
