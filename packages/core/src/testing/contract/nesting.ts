import assert from 'node:assert/strict'
import { flow } from '../../definitions/flow.ts'
import type { TaskFuture } from '../../runs/types.ts'
import { add, give, impatient, leaveSpan, mark, nest, span, spanInside, tree, twice } from './bodies.ts'
import { type Case } from './world.ts'

/** Tasks that submit tasks, and many at once. */
export const nesting: readonly Case[] = [
  {
    name: 'finishes tasks that wait for tasks, 33 deep',
    async test(world) {
      assert.equal(await world.run(() => nest(33)), 33)
    },
  },
  {
    name: 'finishes several deep chains at once',
    async test(world) {
      assert.deepEqual(await world.run(() => [8, 5, 8, 2].map((depth) => nest(depth))), [8, 5, 8, 2])
    },
  },
  {
    name: 'finishes trees of tasks, in two flow runs at once',
    async test(world) {
      const wide = world.start(() => [tree(3, 3), tree(3, 2)])
      const narrow = world.start(() => [tree(2, 3), tree(2, 2)])
      assert.deepEqual(await world.settle(wide), [27, 9])
      assert.deepEqual(await world.settle(narrow), [8, 4])
    },
  },
  {
    name: 'completes a fan-out of 1,000 task runs, each run once, values in order',
    async test(world) {
      const numbers = Array.from({ length: 1_000 }, (_, n) => n)
      let futures: TaskFuture<unknown>[] = []
      const run = world.start(() => (futures = give.map(numbers)))
      assert.deepEqual(await world.settle(run), numbers)
      const histories = new Map<string, string[]>()
      for (const { runId, to } of world.transitions)
        histories.set(runId, [...(histories.get(runId) ?? []), to.name])
      for (const { id } of futures) assert.deepEqual(histories.get(id), ['Pending', 'Running', 'Completed'])
    },
  },
  {
    name: 'starts one task after 1,000 others that it depends on',
    async test(world) {
      const sum = await world.run(() =>
        add(give.map(Array.from({ length: 1_000 }, (_, n) => n)) as TaskFuture<number>[]),
      )
      assert.equal(sum, 499_500)
    },
  },
  {
    name: 'ends a task run after the runs that its body submitted, also where it did not wait for them',
    async test(world) {
      let parent: TaskFuture<string> | undefined
      const run = world.start(() => (parent = leaveSpan(world.file(), 'child', world.tick)))
      await world.settle(run)
      const child = world.transitions.find(({ parentRunId }) => parentRunId === parent?.id)
      assert.ok(child !== undefined && parent !== undefined)
      const ended = world.transitions.findIndex(
        ({ runId, to }) => runId === child.runId && to.name === 'Completed',
      )
      assert.ok(ended !== -1 && ended < world.when(parent, 'Completed'))
    },
  },
  {
    name: 'gives the slot of a body that waits to what it waits for, and counts no more than the limit',
    async test(world) {
      const count = Math.min(world.slots, 5) + 2
      await world.run(() =>
        Array.from({ length: count }, (_, n) => spanInside(world.file(), `${n}`, world.tick)),
      )
      world.overlapped(world.lines(), Math.min(world.slots, count))
      assert.equal(world.lines().length, 4 * count)
    },
  },
  {
    name: 'keeps its limit where bodies go on by a timer while they wait for a run',
    async test(world) {
      const count = Math.min(world.slots, 5) + 2
      const values = await world.run(() =>
        Array.from({ length: count }, () => impatient(world.file(), world.tick, 3 * world.tick)),
      )
      assert.deepEqual(
        values,
        Array.from({ length: count }, () => 'went on'),
      )
    },
  },
  {
    name: 'keeps its limit where a body waits for one run in several places',
    async test(world) {
      const count = Math.min(world.slots, 5) + 2
      await world.run(() => [
        ...Array.from({ length: count }, () => twice(world.file(), world.tick)),
        ...Array.from({ length: count }, (_, n) => span(world.file('others'), `${n}`, 2 * world.tick)),
      ])
    },
  },
  {
    name: 'runs the tasks of a subflow on the runner of its caller',
    async test(world) {
      const part = flow('contract/part', async (name: string) => {
        await Promise.all(['1', '2', '3'].map((n) => span(world.file(), `${name}${n}`, world.tick)))
        return mark(world.file('marks'), name)
      })
      assert.deepEqual(await world.run(() => [part('a'), part('b')]), ['a', 'b'])
      const slots = world.mode === 'sequential' ? 2 : world.slots
      world.overlapped(world.lines(), Math.min(slots, 6))
    },
  },
]
