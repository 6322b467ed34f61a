import assert from 'node:assert/strict'
import { waitAll } from '../../runs/wait.ts'
import type { TaskFuture } from '../../runs/types.ts'
import { completed } from '../../runs/endings.ts'
import { asksForTime, fail, flaky, givesUp, greedy, heedful, mark } from './bodies.ts'
import { exponentialBackoff } from '../../definitions/retrying.ts'
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
  {
    name: 'waits before each retry as long as it is told: always the same, by a list, by a function',
    async test(world) {
      const { tick } = world
      const delays = [
        [tick, [tick, tick, tick]],
        [
          [tick, 3 * tick],
          [tick, 3 * tick, 3 * tick],
        ],
        [exponentialBackoff(tick), [tick, 2 * tick, 4 * tick]],
      ] as const
      for (const [retryDelay, expected] of delays) {
        const task = flaky.with({ retries: 3, retryDelay: retryDelay as number })
        let tried: TaskFuture<number> | undefined
        await world.run(() => (tried = task(world.file(), 'try', 3)))
        assert.ok(tried !== undefined)
        const waits = Array.from({ length: 3 }, () => 'AwaitingRetry → Retrying').join(' → ')
        assert.equal(world.history(tried), `Pending → Running → ${waits} → Completed`)
        const seen = world.transitionsOf(tried)
        const waited = seen
          .filter(({ to }) => to.name === 'Retrying')
          .map(({ at, seq }) => at - (seen[seq - 2]?.at ?? 0))
        for (const [index, ms] of expected.entries())
          assert.ok(
            (waited[index] ?? 0) >= ms,
            `waited ${waited.join(', ')}, expected ${expected.join(', ')}`,
          )
      }
    },
  },
  {
    name: 'holds no slot while it waits to be tried again',
    when: ({ slots }) => slots === 1,
    async test(world) {
      const { tick } = world
      const values = await world.run(() => [
        flaky.with({ retries: 1, retryDelay: 20 * tick })(world.file(), 'tries', 1),
        mark(world.file(), 'next'),
      ])
      assert.deepEqual(values, [2, 'next'])
      assert.deepEqual(world.lines(), ['tries 1', 'next', 'tries 2'])
    },
  },
  {
    name: 'cancels a run that waits to be tried again at once',
    async test(world) {
      let tried: TaskFuture<number> | undefined
      await world.run(async () => {
        tried = flaky.with({ retries: 1, retryDelay: '1h' })(world.file(), 'try', 1)
        await world.reached(tried, 'AwaitingRetry')
        await tried.cancel()
        await tried.wait()
        return completed(null)
      })
      assert.ok(tried !== undefined)
      assert.equal(world.history(tried), 'Pending → Running → AwaitingRetry → Cancelled')
      assert.deepEqual(world.lines(), ['try 1'])
    },
  },
  {
    name: 'asks `retryOn`, with the error and the attempt, whether to try again',
    async test(world) {
      const asked: [string, number][] = []
      const retryOn = (error: unknown, attempt: number): boolean => {
        asked.push([(error as Error).message, attempt])
        return attempt < 2
      }
      const failing = flaky.with({ retries: 5, retryOn })
      const error = await failureOf(world.run(() => failing(world.file(), 'try', 9)))
      assertError(error, { name: 'TypeError', message: 'attempt 2 failed' })
      assert.deepEqual(asked, [
        ['attempt 1 failed', 1],
        ['attempt 2 failed', 2],
      ])
    },
  },
  {
    name: 'heeds what the body says of its retry: `retryAfter` and `abort`',
    async test(world) {
      let asking: TaskFuture<number> | undefined
      const { tick } = world
      const task = asksForTime.with({ retries: 1, retryDelay: '1h', retryOn: () => false })
      assert.equal(await world.run(() => (asking = task(world.file(), tick))), 2)
      assert.ok(asking !== undefined)
      assert.equal(world.history(asking), 'Pending → Running → AwaitingRetry → Retrying → Completed')
      const error = await failureOf(world.run(() => givesUp.with({ retries: 5 })(world.file('given-up'))))
      assertError(error, { name: 'TypeError', message: 'in vain' })
      assert.deepEqual(world.lines('given-up'), ['tried'])
      const busy = await failureOf(world.run(() => asksForTime(world.file(), tick)))
      assertError(busy, { name: 'TypeError', message: 'busy' })
    },
  },
]
