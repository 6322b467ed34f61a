import assert from 'node:assert/strict'
import { completed } from '../../runs/endings.ts'
import type { TaskFuture } from '../../runs/types.ts'
import { waitAll } from '../../runs/wait.ts'
import { giveLater, heedful, mark, slowAtFirst, span, spanInside } from './bodies.ts'
import { assertError, failureOf, type Case } from './world.ts'

/** Limits of time, of tasks and of flows. */
export const timeLimits: readonly Case[] = [
  {
    name: 'ends a task whose time is up, tells its body, and fails what depends on it; others are not touched',
    async test(world) {
      let slow: TaskFuture<void> | undefined
      let next: TaskFuture<unknown> | undefined
      const other = await world.run(async () => {
        slow = heedful.with({ timeout: 2 * world.tick })(world.file(), 'slow')
        next = giveLater.with({ waitFor: [slow] })('never', 0)
        await waitAll([slow, next])
        return completed(await mark(world.file(), 'other'))
      })
      assert.equal(other, 'other')
      assert.ok(slow !== undefined && next !== undefined)
      assert.equal(world.history(slow), 'Pending → Running → TimedOut')
      assertError(await failureOf(slow), { name: 'RunError', code: 'RUN_TIMED_OUT' })
      assert.equal(world.history(next), 'Pending → UpstreamFailed')
      await world.traced(3)
      // The body may learn of its end on another core than the one that runs the next task.
      assert.deepEqual([...world.lines()].sort(), ['+slow', '-slow RUN_TIMED_OUT', 'other'])
    },
  },
  {
    name: 'lets a task end that is in time, and counts from the start of its body',
    async test(world) {
      const { tick } = world
      // One after the other they take longer than the limit, and each by itself takes much less: also on a busy machine.
      const count = Math.min(world.slots, 4) * 6
      const task = giveLater.with({ timeout: 40 * tick })
      const values = await world.run(() => Array.from({ length: count }, (_, n) => task(n, 8 * tick)))
      assert.deepEqual(
        values,
        Array.from({ length: count }, (_, n) => n),
      )
    },
  },
  {
    name: 'tries a task again that was too slow, with its whole time',
    async test(world) {
      let slow: TaskFuture<number> | undefined
      const task = slowAtFirst.with({ retries: 1, timeout: 4 * world.tick })
      assert.equal(await world.run(() => (slow = task(world.file(), 1000 * world.tick))), 2)
      assert.ok(slow !== undefined)
      assert.equal(world.history(slow), 'Pending → Running → Retrying → Completed')
      assert.deepEqual(world.lines().slice(0, 3), ['+1', '+2', '-2'])
    },
  },
  {
    name: 'cancels what the body of a task had submitted when its time is up, and ends it after that',
    async test(world) {
      let outer: TaskFuture<string> | undefined
      await world.run(async () => {
        outer = spanInside.with({ timeout: 3 * world.tick })(world.file(), 'outer', 1000 * world.tick)
        await outer.wait()
        return completed(null)
      })
      assert.ok(outer !== undefined)
      assert.equal(world.history(outer), 'Pending → Running → TimedOut')
      const inner = world.transitions.filter(({ parentRunId }) => parentRunId === outer?.id)
      assert.equal(inner.at(-1)?.to.name, 'Cancelled')
      assert.ok(world.transitions.indexOf(inner.at(-1) as never) < world.when(outer, 'TimedOut'))
    },
  },
  {
    name: 'ends a flow run whose time is up, with all that it submitted',
    async test(world) {
      const tasks: TaskFuture<string>[] = []
      const run = world.start(
        async () => {
          for (const name of ['a', 'b', 'c']) tasks.push(span(world.file(), name, 1000 * world.tick))
          return waitAll(tasks)
        },
        { timeout: 4 * world.tick },
      )
      assertError(await failureOf(world.settle(run)), { name: 'RunError', code: 'RUN_TIMED_OUT' })
      assert.equal(world.history(run), 'Pending → Running → TimedOut')
      for (const task of tasks) assert.match(world.history(task), /Cancelled$/)
    },
  },
]
