import assert from 'node:assert/strict'
import { TroupeError } from '../../base/errors.ts'
import { completed } from '../../runs/endings.ts'
import type { TaskFuture } from '../../runs/types.ts'
import { waitAll } from '../../runs/wait.ts'
import { heedful, mark, nest, span, spanInside } from './bodies.ts'
import { failureOf, type Case, type World } from './world.ts'

const isLimited = ({ slots }: { readonly slots: number }): boolean => slots !== Number.POSITIVE_INFINITY

/** Starts a flow run that submits these, and waits for all without failing. Resolves when it has submitted them. */
async function submitting<F extends TaskFuture<unknown>>(
  world: World,
  submit: () => F[],
): Promise<{ futures: F[]; run: ReturnType<typeof world.start> }> {
  return new Promise((resolve) => {
    const run = world.start(async () => {
      const futures = submit()
      resolve({ futures, run })
      await waitAll(futures)
      return completed(null)
    })
  })
}

/** As many bodies that wait as there are slots. */
const blockers = (world: World): TaskFuture<void>[] =>
  Array.from({ length: world.slots }, (_, n) => heedful(world.file('blockers'), `${n}`))

/** What becomes of a cancelled run, wherever it is. */
export const cancelling: readonly Case[] = [
  {
    name: 'tells a running body by its signal, and cancels it when the body has ended',
    async test(world) {
      const { futures, run } = await submitting(world, () => [heedful(world.file(), 'a')])
      const [running] = futures as [TaskFuture<void>]
      await world.reached(running, 'Running')
      const state = await world.settle(running.cancel('enough'))
      assert.equal(state.name, 'Cancelled')
      assert.match(state.message ?? '', /enough/)
      assert.equal(world.history(running), 'Pending → Running → Cancelling → Cancelled')
      assert.deepEqual(world.lines(), ['+a', '-a RUN_CANCELLED'])
      assert.ok(TroupeError.is(await failureOf(running), 'RUN_CANCELLED'))
      await world.settle(run)
    },
  },
  {
    name: 'ends a waiting body that is cancelled: what it sleeps for rejects',
    async test(world) {
      const { futures, run } = await submitting(world, () => [span(world.file(), 'a', 1_000_000)])
      const [sleeping] = futures as [TaskFuture<string>]
      await world.reached(sleeping, 'Running')
      const before = world.engine.clock.now()
      await sleeping.cancel()
      assert.ok(world.engine.clock.now() - before < 100_000)
      assert.deepEqual(world.lines(), ['+a'])
      await world.settle(run)
    },
  },
  {
    name: 'cancels a run that waits for its upstream at once, and never runs its body',
    async test(world) {
      const { futures, run } = await submitting(world, () => {
        const upstream = heedful(world.file(), 'upstream') as TaskFuture<unknown>
        return [upstream, mark.with({ waitFor: upstream })(world.file(), 'never')]
      })
      await world.traced(1)
      const [upstream, waiting] = futures as [TaskFuture<unknown>, TaskFuture<unknown>]
      assert.equal((await waiting.cancel()).name, 'Cancelled')
      assert.equal(world.history(waiting), 'Pending → Cancelled')
      await world.settle(upstream.cancel())
      await world.settle(run)
      assert.deepEqual(world.lines(), ['+upstream', '-upstream RUN_CANCELLED'])
    },
  },
  {
    name: 'cancels a run in the turn in which it was submitted',
    async test(world) {
      const { futures, run } = await submitting(world, () => {
        const early = mark(world.file(), 'never')
        void early.cancel('at once')
        return [early, mark(world.file(), 'other')]
      })
      await world.settle(run)
      assert.equal(world.history(futures[0] as TaskFuture<string>), 'Pending → Cancelled')
      assert.deepEqual(world.lines(), ['other'])
    },
  },
  {
    name: 'cancels a run that waits for a slot at once, runs no body, and frees nothing twice',
    when: isLimited,
    async test(world) {
      const { futures, run } = await submitting(world, () => [
        ...(blockers(world) as TaskFuture<unknown>[]),
        ...Array.from({ length: 10 }, (_, n) => span(world.file(), `${n}`, world.tick)),
      ])
      await world.traced(world.slots, 'blockers')
      const queued = futures.slice(world.slots)
      for (const future of queued.slice(0, 5)) {
        assert.equal((await future.cancel()).name, 'Cancelled')
        assert.equal(world.history(future), 'Pending → Cancelled')
      }
      await world.rest()
      assert.deepEqual(world.lines(), [])
      for (const blocker of futures.slice(0, world.slots)) await world.settle(blocker.cancel())
      await world.settle(run)
      assert.deepEqual(
        world
          .lines()
          .filter((line) => line.startsWith('+'))
          .toSorted(),
        ['+5', '+6', '+7', '+8', '+9'],
      )
      world.overlapped(world.lines(), Math.min(world.slots, 5))
    },
  },
  {
    name: 'gives the slot of a cancelled body to the next',
    when: isLimited,
    async test(world) {
      const { futures, run } = await submitting(world, () => [
        ...(blockers(world) as TaskFuture<unknown>[]),
        mark(world.file(), 'next'),
      ])
      await world.traced(world.slots, 'blockers')
      await world.settle((futures[0] as TaskFuture<unknown>).cancel())
      await world.settle(futures.at(-1) as TaskFuture<unknown>)
      assert.deepEqual(world.lines(), ['next'])
      for (const blocker of futures.slice(0, -1)) await world.settle(blocker.cancel())
      await world.settle(run)
    },
  },
  {
    name: 'cancels a flow run when all that it submitted has ended, wherever that was',
    async test(world) {
      const futures: TaskFuture<unknown>[] = []
      const run = world.start(async () => {
        const running = heedful(world.file(), 'running')
        const dependent = mark.with({ waitFor: running })(world.file(), 'never')
        const finished = mark(world.file('finished'), 'finished')
        futures.push(running, dependent, finished, spanInside(world.file('nested'), 'nested', 1_000_000))
        await waitAll(futures)
      })
      await world.traced(1)
      const state = await world.settle(run.cancel('enough'))
      assert.equal(state.name, 'Cancelled')
      assert.ok(TroupeError.is(await failureOf(run), 'RUN_CANCELLED'))
      assert.equal(world.history(run), 'Pending → Running → Cancelling → Cancelled')
      assert.deepEqual(world.lines(), ['+running', '-running RUN_CANCELLED'])
      for (const future of futures) assert.match(future.state.type, /COMPLETED|CANCELLED/)
      assert.equal(futures[1]?.state.name, 'Cancelled')
      assert.equal(world.transitions.at(-1)?.runId, run.id)
      assert.ok(!world.lines('nested').includes('<nested'))
    },
  },
  {
    name: 'cancels a body that lent its slot, with what it waits for',
    async test(world) {
      const count = Math.min(world.slots, 4) + 1
      const { futures, run } = await submitting(world, () =>
        Array.from({ length: count }, (_, n) => spanInside(world.file(), `${n}`, 1_000_000)),
      )
      // The last one begins only where there is a slot besides those of what the others wait for.
      await world.traced(count - 1)
      for (const future of futures) assert.equal((await world.settle(future.cancel())).name, 'Cancelled')
      await world.settle(run)
      assert.equal(world.lines().filter((line) => /^[<-]/.test(line)).length, 0)
    },
  },
  {
    name: 'cancels a chain of bodies that wait for each other',
    async test(world) {
      const deep = world.start(async () => {
        const chain = nest(20)
        await world.rest()
        await chain.cancel('in the middle')
        return completed(null)
      })
      await world.settle(deep)
      const open = world.transitions.filter(
        ({ to }) => to.type === 'CANCELLED' || to.type === 'COMPLETED' || to.type === 'FAILED',
      )
      assert.equal(
        new Set(open.map(({ runId }) => runId)).size,
        new Set(world.transitions.map(({ runId }) => runId)).size,
      )
    },
  },
  {
    name: 'changes nothing where a run that has ended is cancelled',
    async test(world) {
      const { futures, run } = await submitting(world, () => [mark(world.file(), 'a')])
      await world.settle(run)
      const [ended] = futures as [TaskFuture<string>]
      assert.equal((await ended.cancel('late')).name, 'Completed')
      assert.equal((await run.cancel('late')).name, 'Completed')
      assert.equal(world.history(ended), 'Pending → Running → Completed')
    },
  },
]
