import assert from 'node:assert/strict'
import { inputs } from '../../definitions/cache-policies.ts'
import { completed } from '../../runs/endings.ts'
import type { TaskFuture } from '../../runs/types.ts'
import { waitAll } from '../../runs/wait.ts'
import { flaky, give, heedful, mark, span, spanInside } from './bodies.ts'
import { assertError, failureOf, type Case, type World } from './world.ts'

const tagged = span.with({ tags: ['contract/scarce'] })
const setLimit = (world: World, concurrency: number): void =>
  world.engine.limits.set({ tag: 'contract/scarce', concurrency })
const usage = (world: World): unknown =>
  world.engine.limits.list().map(({ held, waiting }) => ({ held, waiting }))

/** Limits, priorities, and results that are used again. */
export const limits: readonly Case[] = [
  {
    name: 'runs no more at once than a limit allows, over all flow runs, in order of submission',
    async test(world) {
      setLimit(world, 2)
      const { tick } = world
      const futures: TaskFuture<string>[] = []
      const start = (names: string[]) =>
        world.start(() => {
          const own = names.map((name) => tagged(world.file(), name, 2 * tick))
          futures.push(...own)
          return own
        })
      await world.settle(Promise.all([start(['a', 'b', 'c']), start(['d', 'e', 'f'])]))
      world.overlapped(world.lines(), Math.min(2, world.mode === 'sequential' ? 2 : world.slots))
      const begun = world.lines().filter((line) => line.startsWith('+'))
      assert.equal(begun.length, 6)
      const waited = futures.filter((future) => world.history(future).includes('AwaitingConcurrencySlot'))
      assert.ok(waited.length >= 4)
      for (const future of waited)
        assert.equal(world.history(future), 'Pending → AwaitingConcurrencySlot → Running → Completed')
      assert.deepEqual(usage(world), [{ held: 0, waiting: 0 }])
    },
  },
  {
    name: 'gives a slot back however its run ends',
    async test(world) {
      setLimit(world, 1)
      const scarce = { tags: ['contract/scarce'] }
      const { tick } = world
      await world.run(async () => {
        const slow = heedful.with({ ...scarce, timeout: 2 * tick })(world.file(), 'slow')
        const fails = flaky.with({ ...scarce, retries: 1, retryDelay: tick })(world.file(), 'fails', 9)
        const gone = heedful.with(scarce)(world.file(), 'gone')
        const last = mark.with(scarce)(world.file(), 'last')
        await world.reached(gone, 'Running')
        await gone.cancel()
        await waitAll([slow, fails, gone, last])
        return completed(null)
      })
      assert.ok(world.lines().includes('last'))
      assert.deepEqual(usage(world), [{ held: 0, waiting: 0 }])
    },
  },
  {
    name: 'fails a run that needs a slot which the run that waits for it holds',
    async test(world) {
      setLimit(world, 1)
      // Tags nest: what it submits is counted, too.
      const outer = spanInside.with({ tags: ['contract/scarce'] })
      const error = await failureOf(world.run(() => outer(world.file(), 'outer', world.tick)))
      assertError(error, { name: 'RunError', code: 'LIMIT_DEADLOCK' })
    },
  },
  {
    name: 'starts what is more urgent first',
    when: ({ slots }) => slots === 1,
    async test(world) {
      await world.run(() => [
        span(world.file(), 'first', world.tick),
        span.with({ priority: -1 })(world.file(), 'low', world.tick),
        span(world.file(), 'middle', world.tick),
        span.with({ priority: 5 })(world.file(), 'high', world.tick),
      ])
      const begun = world.lines().filter((line) => line.startsWith('+'))
      // The first may have begun before the others were there.
      assert.deepEqual(
        begun.filter((line) => line !== '+first'),
        ['+high', '+middle', '+low'],
      )
    },
  },
  {
    name: 'uses a result again, and runs concurrent equal calls once',
    async test(world) {
      const cached = span.with({ cache: inputs() })
      const calls: TaskFuture<string>[] = []
      const values = await world.run(async () => {
        calls.push(...Array.from({ length: 3 }, () => cached(world.file(), 'same', 2 * world.tick)))
        const first = await Promise.all(calls)
        calls.push(cached(world.file(), 'same', 2 * world.tick))
        return completed([...first, await calls[3]])
      })
      assert.deepEqual(values, ['same', 'same', 'same', 'same'])
      assert.deepEqual(world.lines(), ['+same', '-same'])
      const histories = calls.map((call) => world.history(call))
      assert.deepEqual(histories.toSorted(), [
        ...Array.from({ length: 3 }, () => 'Pending → Cached'),
        'Pending → Running → Completed',
      ])
    },
  },
  {
    name: 'calls hooks after the commit, in order, whatever they do',
    async test(world) {
      const told: string[] = []
      const tell = ({
        transition,
        error,
        value,
      }: {
        transition: { to: { name: string } }
        error: unknown
        value: unknown
      }) => void told.push(`${transition.to.name} ${error instanceof Error ? error.message : String(value)}`)
      const hooks = {
        onScheduled: tell,
        onRunning: tell,
        onCompletion: tell,
        onFailure: [tell, () => Promise.reject(new TypeError('a hook'))],
      }
      const run = world.start(async () => {
        await flaky.with({ ...hooks, retries: 1, retryDelay: world.tick })(world.file(), 'a', 1)
        await flaky.with(hooks)(world.file(), 'b', 9).wait()
        return completed(await give('done'))
      })
      assert.equal(await world.settle(run), 'done')
      await world.rest()
      assert.deepEqual(told, [
        'Running undefined',
        'AwaitingRetry undefined',
        'Retrying undefined',
        'Completed 2',
        'Running undefined',
        'Failed attempt 1 failed',
      ])
      assertError(world.errors[0], { name: 'TypeError', message: 'a hook' })
    },
  },
]
