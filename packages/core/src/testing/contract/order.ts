import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { mark, span, write } from './bodies.ts'
import { pausing, type Case } from './world.ts'

const many = (world: { readonly slots: number }): number => Math.min(3 * world.slots, 12)

/** When bodies run, and how many at once. */
export const order: readonly Case[] = [
  {
    name: 'passes the canary: a task that sleeps and writes, and one that writes at once',
    async test(world) {
      const file = world.file('canary')
      await world.run(() => [write(file, 'foo', 5 * world.tick), write(file, 'bar', 0)])
      // The second to be submitted writes last only where one body runs at a time.
      assert.equal(readFileSync(file, 'utf8'), world.slots === 1 ? 'bar' : 'foo')
    },
  },
  {
    name: 'runs as many bodies of a flow run at once as its limit says, and no more',
    async test(world) {
      await world.run(() =>
        Array.from({ length: many(world) }, (_, n) => span(world.file(), `${n}`, world.tick)),
      )
      world.overlapped(world.lines(), Math.min(world.slots, many(world)))
      assert.equal(world.lines().length, 2 * many(world))
    },
  },
  {
    name: 'starts ready runs in order of submission',
    when: ({ slots }) => slots === 1,
    async test(world) {
      const names = Array.from({ length: 30 }, (_, n) => `${n}`)
      await world.run(() => names.map((name) => mark(world.file(), name)))
      assert.deepEqual(world.lines(), names)
    },
  },
  {
    name: 'starts a run that was submitted earlier before one that was ready earlier',
    when: ({ slots }) => slots === 1,
    async test(world) {
      const file = world.file()
      await world.run(() => {
        const held = span(file, 'held', 5 * world.tick)
        const late = mark.with({ waitFor: pausing(2 * world.tick) })(file, 'submitted first, ready last')
        return [held, late, mark(file, 'submitted last, ready first')]
      })
      assert.deepEqual(world.lines(), [
        '+held',
        '-held',
        'submitted first, ready last',
        'submitted last, ready first',
      ])
    },
  },
  {
    name: 'overlaps two flow runs',
    when: ({ mode, slots }) => mode === 'sequential' || slots > 1,
    async test(world) {
      const runs = ['a', 'b'].map((name) => world.start(() => span(world.file(), name, 5 * world.tick)))
      for (const run of runs) await world.settle(run)
      world.overlapped(world.lines(), 2)
    },
  },
  {
    name: 'runs one body at a time in each of several flow runs',
    modes: ['sequential'],
    async test(world) {
      const file = (name: string): string => world.file(name)
      const runs = ['a', 'b', 'c'].map((name) =>
        world.start(() => Array.from({ length: 5 }, (_, n) => span(file(name), `${n}`, world.tick))),
      )
      for (const run of runs) await world.settle(run)
      for (const name of ['a', 'b', 'c']) {
        world.overlapped(world.lines(name), 1)
        assert.deepEqual(
          world.lines(name).filter((line) => line.startsWith('+')),
          ['+0', '+1', '+2', '+3', '+4'],
        )
      }
    },
  },
  {
    name: 'shares its limit among flow runs',
    when: ({ mode, slots }) => mode !== 'sequential' && slots !== Number.POSITIVE_INFINITY,
    async test(world) {
      const spans = (name: string) =>
        Array.from({ length: world.slots + 1 }, (_, n) => span(world.file(), `${name}${n}`, world.tick))
      const runs = ['a', 'b'].map((name) => world.start(() => spans(name)))
      for (const run of runs) await world.settle(run)
      world.overlapped(world.lines(), world.slots)
    },
  },
  {
    name: 'starts the tasks that a flow body submits after it awaited something',
    async test(world) {
      const file = world.file()
      await world.run(async () => {
        await span(file, 'a', world.tick)
        await Promise.all([mark(file, 'b'), mark(file, 'c')])
        return mark(file, 'd')
      })
      const lines = world.lines()
      assert.deepEqual(
        [lines.slice(0, 2), lines.slice(2, 4).toSorted(), lines[4]],
        [['+a', '-a'], ['b', 'c'], 'd'],
      )
    },
  },
]
