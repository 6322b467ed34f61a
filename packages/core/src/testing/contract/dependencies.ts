import assert from 'node:assert/strict'
import { TroupeError } from '../../base/errors.ts'
import { allowFailure, waitAll } from '../../runs/wait.ts'
import type { TaskFuture } from '../../runs/types.ts'
import { completed } from '../../runs/endings.ts'
import { add, fail, give, giveLater, mark, span } from './bodies.ts'
import { failureOf, type Case } from './world.ts'

/** What a task waits for, and what becomes of it when that does not complete. */
export const dependencies: readonly Case[] = [
  {
    name: 'passes futures in arguments on as values, in containers too',
    async test(world) {
      const value = await world.run(() => {
        const one = giveLater(1, world.tick)
        return give({ one, list: [give(2), 3], map: new Map([['four', give(4)]]) })
      })
      assert.deepEqual(value, { one: 1, list: [2, 3], map: new Map([['four', 4]]) })
    },
  },
  {
    name: 'starts a task when the futures in its arguments have completed',
    async test(world) {
      const file = world.file()
      const chain: TaskFuture<string>[] = []
      await world.run(() => {
        chain.push(span(file, 'a', world.tick))
        for (const name of ['b', 'c'])
          chain.push(span.with({ waitFor: chain.at(-1) })(file, name, world.tick))
        chain.push(mark(file, chain[0] as TaskFuture<string>))
        return chain
      })
      assert.deepEqual(
        world.lines().filter((line) => line !== 'a'),
        ['+a', '-a', '+b', '-b', '+c', '-c'],
      )
      assert.ok(world.lines().indexOf('a') > world.lines().indexOf('-a'))
      for (const [before, after] of [
        [0, 1],
        [1, 2],
        [0, 3],
      ] as const) {
        const [first, second] = [chain[before] as TaskFuture<string>, chain[after] as TaskFuture<string>]
        assert.ok(world.when(first, 'Completed') < world.when(second, 'Running'))
      }
    },
  },
  {
    name: 'waits for all of several futures, whichever ends first',
    async test(world) {
      const value = await world.run(() => {
        const numbers = [3, 1, 2].map((n) => giveLater(n, n * world.tick) as TaskFuture<number>)
        const sums = [add(numbers), add(numbers)]
        return add([...sums, ...numbers])
      })
      assert.equal(value, 18)
    },
  },
  {
    name: 'fails what depends on a failed run without running it, naming the run at the root',
    async test(world) {
      const file = world.file()
      const runs: Record<string, TaskFuture<unknown>> = {}
      const run = world.start(async () => {
        const a = give('a')
        const b = fail('b failed')
        const c = mark.with({ waitFor: [a, b] })(file, 'c')
        const d = mark(file, c)
        const e = mark.with({ waitFor: d })(file, 'e')
        const independent = span(file, 'independent', world.tick)
        Object.assign(runs, { a, b, c, d, e, independent })
        await waitAll([a, b, c, d, e, independent])
        return completed(null)
      })
      await world.settle(run)
      const { a, b, c, d, e, independent } = runs as Record<
        'a' | 'b' | 'c' | 'd' | 'e' | 'independent',
        TaskFuture<unknown>
      >
      assert.equal(world.history(a), 'Pending → Running → Completed')
      assert.equal(world.history(b), 'Pending → Running → Failed')
      assert.equal(world.history(independent), 'Pending → Running → Completed')
      for (const downstream of [c, d, e]) {
        assert.equal(world.history(downstream), 'Pending → UpstreamFailed')
        const error = await failureOf(downstream)
        assert.ok(TroupeError.is(error, 'UPSTREAM_FAILED'))
        assert.equal(error.details['rootRunId'], b.id)
        assert.ok(error.message.includes(b.id))
        assert.ok(error.cause instanceof TypeError)
      }
      assert.deepEqual(world.lines(), ['+independent', '-independent'])
    },
  },
  {
    name: 'fails a flow run that returns a run whose upstream failed',
    async test(world) {
      const run = world.start(() => give(fail('no luck')))
      assert.ok(TroupeError.is(await failureOf(world.settle(run)), 'UPSTREAM_FAILED'))
      assert.equal(world.history(run), 'Pending → Running → Failed')
    },
  },
  {
    name: 'runs a task all the same where the failure of its upstream is allowed',
    async test(world) {
      const value = await world.run(() => give(allowFailure(fail('no luck'))))
      assert.ok(value instanceof TypeError)
      assert.equal(value.message, 'no luck')
    },
  },
  {
    name: 'cascades a cancelled upstream like a failed one',
    async test(world) {
      const file = world.file()
      let downstream: TaskFuture<string> | undefined
      await world.run(async () => {
        const upstream = span(file, 'upstream', 100 * world.tick)
        downstream = mark(file, upstream)
        await upstream.cancel('not needed')
        await waitAll([downstream])
        return completed(null)
      })
      assert.equal(world.history(downstream as TaskFuture<string>), 'Pending → UpstreamFailed')
      assert.ok(!world.lines().includes('upstream'))
    },
  },
]
