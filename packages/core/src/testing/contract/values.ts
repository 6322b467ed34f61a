import assert from 'node:assert/strict'
import { TroupeError } from '../../base/errors.ts'
import { add, draw, fail, failLater, give, giveLater, introspect, throwText } from './bodies.ts'
import { assertError, failureOf, type Case } from './world.ts'

/** Values, errors, and what a body knows of its run. */
export const values: readonly Case[] = [
  {
    name: 'gives the values of sync and of async tasks',
    async test(world) {
      assert.deepEqual(await world.run(() => [give(1), giveLater('two', world.tick), add([1, 2])]), [
        1,
        'two',
        3,
      ])
    },
  },
  {
    name: 'gives back values of every kind, equal to what was passed',
    async test(world) {
      const kinds = {
        json: [null, true, -0.5, 'text ☃', { nested: [[]] }],
        none: undefined,
        numbers: [Number.NaN, Number.POSITIVE_INFINITY, 2n ** 70n],
        date: new Date(0),
        map: new Map<unknown, unknown>([['a', new Set([1, 'b'])]]),
        bytes: Uint8Array.of(1, 2, 255),
        floats: Float64Array.of(0.1, -1),
      }
      assert.deepEqual(await world.run(() => give(kinds)), kinds)
    },
  },
  {
    name: 'gives a value of a megabyte',
    async test(world) {
      const bytes = new Uint8Array(1_000_000).map((_, n) => n % 251)
      const got = await world.run(() => give(bytes))
      assert.ok(got instanceof Uint8Array)
      assert.equal(Buffer.compare(got, bytes), 0)
    },
  },
  {
    name: 'fails a run with the error of its body: its class, its message and its cause',
    async test(world) {
      const run = world.start(() => fail('no luck'))
      const error = await failureOf(world.settle(run))
      assert.ok(error instanceof TypeError)
      assertError(error, { name: 'TypeError', message: 'no luck' })
      assert.ok(error.cause instanceof RangeError)
      assertError(error.cause, { name: 'RangeError', message: 'its cause' })
      assert.equal(world.history(run), 'Pending → Running → Failed')
      assert.deepEqual(world.transitionsOf(run).at(-1)?.to, {
        type: 'FAILED',
        name: 'Failed',
        message: 'no luck',
      })
    },
  },
  {
    name: 'fails a run with a rejection: its class and its code',
    async test(world) {
      const error = await failureOf(world.run(() => failLater('later', world.tick)))
      assertError(error, {
        name: 'RunError',
        message: 'later',
        code: 'RUN_FAILED',
        details: { from: 'a body' },
      })
    },
  },
  {
    name: 'hands an error to the body that awaits it, which may go on',
    async test(world) {
      const value = await world.run(async () => {
        try {
          return await fail('no luck')
        } catch (error) {
          return error instanceof TypeError ? `caught: ${error.message}` : 'caught something else'
        }
      })
      assert.equal(value, 'caught: no luck')
    },
  },
  {
    name: 'makes an error of what is thrown and is none',
    async test(world) {
      const error = await failureOf(world.run(() => throwText()))
      assert.ok(TroupeError.is(error, 'NON_ERROR_THROWN'))
      assert.match(error.message, /no error/)
    },
  },
  {
    name: 'tells a body of its run, at its beginning and after awaits',
    async test(world) {
      const facts = { list: [1, 2] }
      const tagged = introspect.with({ tags: ['a', 'b'], name: 'contract/introspect' })
      let id = ''
      const run = world.start(async () => {
        const asked = tagged('word', facts)
        id = asked.id
        return asked
      })
      const known = await world.settle(run)
      const expected = {
        id,
        name: 'contract/introspect',
        flowRunId: run.id,
        flow: 'contract',
        attempt: 1,
        parameters: ['word', facts],
        tags: ['a', 'b'],
        aborted: false,
      }
      assert.deepEqual(known, [expected, expected, expected])
    },
  },
  {
    name: 'tells each of many bodies at once of its own run',
    async test(world) {
      const ids: string[] = []
      const known = await world.run(() => {
        const asked = Array.from({ length: 20 }, (_, n) => introspect(`${n}`, {}))
        ids.push(...asked.map(({ id }) => id))
        return asked
      })
      for (const [n, id] of ids.entries()) {
        for (const { id: found, parameters } of known[n] ?? [])
          assert.deepEqual([found, parameters[0]], [id, `${n}`])
      }
    },
  },
  {
    name: 'gives bodies time and chance',
    async test(world) {
      const [before, after, chance, uuid] = await world.run(() => draw(3 * world.tick))
      assert.ok(after - before >= 3 * world.tick)
      assert.ok(chance >= 0 && chance < 1)
      assert.match(uuid, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    },
  },
]
