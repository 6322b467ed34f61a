import assert from 'node:assert/strict'
import type { Register } from '../ports/register.ts'
import { casesOf, Told, type ConformanceCase, type Opened } from './conformance.ts'

/** A register that a suite opens, as two nodes see it, with nothing in it. @public */
export interface OpenedRegister extends Opened {
  readonly register: Register
  /** What another node has of it. */
  readonly others: Register
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value)

/** Writes what must be taken. @returns The revision. */
async function put(register: Register, key: string, value: string, expected: number): Promise<number> {
  const revision = await register.put(key, text(value), expected)
  assert.ok(revision !== undefined && revision > expected, `put ${key}: revision ${revision}`)
  return revision
}

async function assertHolds(register: Register, key: string, value: string, revision: number): Promise<void> {
  const found = await register.get(key)
  assert.ok(found?.value instanceof Uint8Array)
  assert.deepEqual([Buffer.from(found.value).toString(), found.revision], [value, revision])
}

/** What every register is held to. @public */
export function registerConformance(make: () => Promise<OpenedRegister>): ConformanceCase[] {
  return casesOf(make, {
    async 'has nothing where nobody wrote'({ register }) {
      assert.equal(await register.get('nothing'), undefined)
      assert.deepEqual([...(await register.keys(''))], [])
    },
    async 'gives every node what was written last, as soon as the write is answered'({ register, others }) {
      let revision = await put(register, 'a', 'first', 0)
      await assertHolds(others, 'a', 'first', revision)
      for (const [index, [writer, reader]] of [
        [others, register],
        [register, others],
        [others, register],
      ].entries()) {
        assert.ok(writer !== undefined && reader !== undefined)
        revision = await put(writer, 'a', `write ${index}`, revision)
        await assertHolds(reader, 'a', `write ${index}`, revision)
      }
    },
    async 'refuses a write on any but the newest revision, and changes nothing'({ register, others }) {
      const first = await put(register, 'a', 'first', 0)
      const second = await put(register, 'a', 'second', first)
      for (const expected of [0, first, second + 1, second + 100])
        assert.equal(await others.put('a', text('late'), expected), undefined, `on ${expected}`)
      assert.equal(await others.put('b', text('late'), second), undefined)
      await assertHolds(others, 'a', 'second', second)
      assert.equal(await others.get('b'), undefined)
    },
    async 'takes one of many writes at once'({ register, others }) {
      const base = await put(register, 'a', 'base', 0)
      for (const [key, expected] of [
        ['a', base],
        ['b', 0],
      ] as const) {
        const writers = [register, others, register, others, register]
        const answers = await Promise.all(
          writers.map((one, index) => one.put(key, text(`${index}`), expected)),
        )
        const winners = answers.flatMap((revision, index) =>
          revision === undefined ? [] : [{ revision, index }],
        )
        assert.equal(winners.length, 1)
        for (const { revision, index } of winners) await assertHolds(others, key, `${index}`, revision)
      }
    },
    async 'counts up when several nodes add to a number in turns'({ register, others }) {
      const add = async (one: Register): Promise<void> => {
        for (;;) {
          const found = await one.get('count')
          const count = found === undefined ? 0 : Number(Buffer.from(found.value).toString())
          if ((await one.put('count', text(`${count + 1}`), found?.revision ?? 0)) !== undefined) return
        }
      }
      await Promise.all([register, others, register, others, register, others].map(add))
      const found = await register.get('count')
      assert.equal(Buffer.from(found?.value ?? []).toString(), '6')
    },
    async 'forgets a key on its newest revision only'({ register, others }) {
      const first = await put(register, 'a', 'first', 0)
      const second = await put(register, 'a', 'second', first)
      await put(register, 'b', 'other', 0)
      assert.equal(await others.delete('a', first), false)
      assert.equal(await others.delete('a', second + 1), false)
      await assertHolds(others, 'a', 'second', second)
      assert.equal(await others.delete('a', second), true)
      assert.equal(await register.get('a'), undefined)
      assert.deepEqual([...(await register.keys(''))], ['b'])
    },
    async 'takes a key anew that was forgotten, with a greater revision'({ register, others }) {
      const first = await put(register, 'a', 'first', 0)
      await register.delete('a', first)
      assert.equal(await others.put('a', text('late'), first), undefined)
      const second = await put(others, 'a', 'second', 0)
      assert.ok(second > first)
      assert.equal(await register.delete('a', first), false)
      await assertHolds(register, 'a', 'second', second)
    },
    async 'lists the keys that begin with a text'({ register, others }) {
      const keys = ['limit.a', 'limit.b', 'limit', 'Limit.a', 'lock.a', "it's %_ ü", 'limit.* >', 'a/b=c']
      for (const key of keys) await put(register, key, key, 0)
      assert.deepEqual([...(await others.keys(''))].toSorted(), keys.toSorted())
      assert.deepEqual([...(await others.keys('limit.'))].toSorted(), ['limit.* >', 'limit.a', 'limit.b'])
      assert.deepEqual([...(await others.keys('limit.a'))], ['limit.a'])
      assert.deepEqual([...(await others.keys('nothing'))], [])
      for (const key of keys) assert.equal(Buffer.from((await others.get(key))?.value ?? []).toString(), key)
    },
    async 'says how much later one write was than another, by one clock'({ register, others }) {
      const first = await put(register, 'a', '', 0)
      const before = (await others.get('a'))?.writtenAt ?? Number.NaN
      await put(others, 'a', '', first)
      await put(others, 'b', '', 0)
      const after = (await register.get('a'))?.writtenAt ?? Number.NaN
      assert.ok(after >= before, `${before}, then ${after}`)
      assert.ok(((await register.get('b'))?.writtenAt ?? Number.NaN) >= after)
      // It is when it was written, and not when it is read.
      assert.equal((await others.get('a'))?.writtenAt, after)
    },
    async 'tells listeners of every key of their prefix that is written or forgotten, on any node'({
      register,
      others,
    }) {
      await put(register, 'x.before', '', 0)
      const told = new Told<string>()
      const all = new Told<string>()
      register.subscribe('x.', told.add)
      others.subscribe('', all.add)
      // What was asked before is done: a listener may be told from a moment after the call on.
      await Promise.all([register.keys('x.'), others.keys('')])
      await put(register, 'x.a', '', 0)
      await put(others, 'y.b', '', 0)
      const revision = await put(others, 'x.c', '', 0)
      await told.until((items) => ['x.a', 'x.c'].every((key) => items.includes(key)))
      await all.until((items) => ['x.a', 'y.b', 'x.c'].every((key) => items.includes(key)))
      const count = told.items.length
      await register.delete('x.c', revision)
      await told.until((items) => items.slice(count).includes('x.c'))
      for (const key of told.items) assert.ok(key.startsWith('x.'), key)
    },
    async 'has written what it tells a listener of'({ register, others }) {
      const told = new Told<() => ReturnType<Register['get']>>()
      others.subscribe('a', (key) => {
        const found = others.get(key)
        told.add(() => found)
      })
      await others.keys('a')
      const revision = await put(register, 'a', 'value', 0)
      await told.until((items) => items.length > 0)
      const found = await Promise.all(told.items.map((read) => read()))
      assert.ok(found.some((one) => one?.revision === revision))
    },
    async 'tells a listener nothing after its subscription ended'({ register, others }) {
      let count = 0
      const end = register.subscribe('a', () => count++)
      const always = new Told<string>()
      register.subscribe('a', always.add)
      await register.keys('')
      end()
      end()
      await put(others, 'a', '', 0)
      await always.atLeast(1)
      assert.equal(count, 0)
    },
    async 'keeps every byte, only those of a view, and is untouched by what callers do to them'({
      register,
      others,
    }) {
      const large = new Uint8Array(100_000).map((_, index) => index % 251)
      await register.put('large', large, 0)
      assert.equal(Buffer.compare((await others.get('large'))?.value ?? text('?'), large), 0)
      await register.put('empty', text(''), 0)
      assert.equal((await others.get('empty'))?.value.length, 0)
      const bytes = text('xxcontentxx')
      const written = register.put('view', bytes.subarray(2, 9), 0)
      bytes.fill(0)
      const revision = await written
      ;(await register.get('view'))?.value.fill(1)
      await assertHolds(others, 'view', 'content', revision ?? 0)
      await assertHolds(register, 'view', 'content', revision ?? 0)
    },
  })
}
