import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import type { Cache, CacheEntry } from '../ports/cache.ts'
import { casesOf, type ConformanceCase, type Opened } from './conformance.ts'

/** A cache that a suite opens, new and empty, with room for a hundred entries at least. @public */
export interface OpenedCache extends Opened {
  readonly cache: Cache
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value)
/** A key as the engine makes them: 32 hexadecimal digits. */
const keyOf = (name: string): string => createHash('sha256').update(name).digest('hex').slice(0, 32)

function entryOf(value: Uint8Array | string, more: Partial<CacheEntry> = {}): CacheEntry {
  const bytes = typeof value === 'string' ? text(value) : value
  return { value: bytes, runId: 'a0.b1', expires: undefined, ...more }
}

/** Asserts what is under a key; `expires` may be left out of an entry that is for ever. */
async function assertHolds(cache: Cache, key: string, expected: CacheEntry): Promise<void> {
  const got = await cache.get(key)
  assert.ok(got !== undefined, 'expected an entry, got none')
  assert.ok(got.value instanceof Uint8Array)
  assert.equal(Buffer.compare(got.value, expected.value), 0)
  assert.equal(got.runId, expected.runId)
  assert.equal(got.expires, expected.expires)
}

/** What every cache is held to. @public */
export function cacheConformance(make: () => Promise<OpenedCache>): ConformanceCase[] {
  return casesOf(make, {
    async 'has nothing under a key that was never put'({ cache }) {
      assert.equal(await cache.get(keyOf('unknown')), undefined)
    },
    async 'gives back the bytes, the run and the time of an entry'({ cache }) {
      const large = new Uint8Array(3_000_000).map((_, index) => index % 251)
      const entries = [
        entryOf('value'),
        entryOf(''),
        entryOf(Uint8Array.of(0, 255, 0)),
        entryOf(large),
        entryOf('runs for ever', { runId: 'root' }),
        entryOf('expires', { expires: 1_900_000_000_123 }),
        entryOf('expires in a fraction', { expires: 1_900_000_000_123.25 }),
      ]
      for (const [at, entry] of entries.entries()) await cache.put(keyOf(`entry ${at}`), entry)
      for (const [at, entry] of entries.entries()) await assertHolds(cache, keyOf(`entry ${at}`), entry)
    },
    async 'gives an entry whose time has passed, too: the reader has the clock'({ cache }) {
      for (const expires of [0, 1, -1]) {
        await cache.put(keyOf('past'), entryOf('past', { expires }))
        await assertHolds(cache, keyOf('past'), entryOf('past', { expires }))
      }
    },
    async 'gives an entry as often as it is asked'({ cache }) {
      await cache.put(keyOf('again'), entryOf('again'))
      for (let time = 0; time < 5; time++) await assertHolds(cache, keyOf('again'), entryOf('again'))
      const together = await Promise.all(Array.from({ length: 10 }, () => cache.get(keyOf('again'))))
      assert.deepEqual([...new Set(together.map((entry) => entry?.runId))], ['a0.b1'])
    },
    async 'keeps keys apart'({ cache }) {
      const names = Array.from({ length: 100 }, (_, index) => `key ${index}`)
      await Promise.all(names.map((name) => cache.put(keyOf(name), entryOf(name, { runId: name }))))
      for (const name of names) await assertHolds(cache, keyOf(name), entryOf(name, { runId: name }))
    },
    async 'puts an entry whole in the place of the one that was there'({ cache }) {
      await cache.put(keyOf('key'), entryOf('the first, and a long one', { runId: 'first', expires: 5 }))
      await cache.put(keyOf('key'), entryOf('2', { runId: 'second' }))
      await assertHolds(cache, keyOf('key'), entryOf('2', { runId: 'second' }))
      await cache.put(keyOf('key'), entryOf('third', { runId: 'third', expires: 7 }))
      await assertHolds(cache, keyOf('key'), entryOf('third', { runId: 'third', expires: 7 }))
    },
    async 'has one of the entries that were put at once, and never a mixture'({ cache }) {
      const put = (name: string) => cache.put(keyOf('raced'), entryOf(name.repeat(1000), { runId: name }))
      const names = Array.from({ length: 10 }, (_, index) => `run-${index}`)
      await Promise.all(names.map(put))
      const { runId = '' } = (await cache.get(keyOf('raced'))) ?? {}
      assert.ok(names.includes(runId))
      await assertHolds(cache, keyOf('raced'), entryOf(runId.repeat(1000), { runId }))
    },
    async 'stores only the bytes of a view'({ cache }) {
      await cache.put(keyOf('view'), entryOf(text('xxcontentxx').subarray(2, 9)))
      await assertHolds(cache, keyOf('view'), entryOf('content'))
    },
    async 'is untouched by what callers do to their bytes and entries'({ cache }) {
      const bytes = text('mine')
      const entry = { value: bytes, runId: 'a0.b1', expires: undefined as number | undefined }
      await cache.put(keyOf('mine'), entry)
      bytes.fill(0)
      entry.runId = 'changed'
      entry.expires = 1
      const got = await cache.get(keyOf('mine'))
      got?.value.fill(1)
      if (got !== undefined) Object.assign(got, { runId: 'changed', expires: 1 })
      await assertHolds(cache, keyOf('mine'), entryOf('mine'))
    },
    async 'forgets what is deleted, and only that'({ cache }) {
      await cache.put(keyOf('kept'), entryOf('kept'))
      await cache.put(keyOf('gone'), entryOf('gone'))
      await cache.delete(keyOf('gone'))
      await cache.delete(keyOf('gone'))
      await cache.delete(keyOf('unknown'))
      assert.equal(await cache.get(keyOf('gone')), undefined)
      await assertHolds(cache, keyOf('kept'), entryOf('kept'))
      await cache.put(keyOf('gone'), entryOf('back', { runId: 'later' }))
      await assertHolds(cache, keyOf('gone'), entryOf('back', { runId: 'later' }))
    },
  })
}
