import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import type { Blobs } from '../ports/blobs.ts'
import { casesOf, type ConformanceCase, type Opened } from './conformance.ts'

/** Blobs that a suite opens, new and empty. @public */
export interface OpenedBlobs extends Opened {
  readonly blobs: Blobs
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const nameOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

async function assertHolds(blobs: Blobs, name: string, bytes: Uint8Array): Promise<void> {
  const got = await blobs.get(name)
  assert.ok(got instanceof Uint8Array)
  assert.equal(Buffer.compare(got, bytes), 0)
}

/** What every store of blobs is held to. @public */
export function blobsConformance(make: () => Promise<OpenedBlobs>): ConformanceCase[] {
  return casesOf(make, {
    async 'names bytes by their SHA-256, and gives them back'({ blobs }) {
      const large = new Uint8Array(3_000_000).map((_, index) => index % 251)
      for (const bytes of [text('a'), text(''), Uint8Array.of(0, 255, 0), large]) {
        const name = await blobs.put(bytes)
        assert.equal(name, nameOf(bytes))
        await assertHolds(blobs, name, bytes)
      }
    },
    async 'stores only the bytes of a view'({ blobs }) {
      const view = text('xxcontentxx').subarray(2, 9)
      assert.equal(await blobs.put(view), nameOf(text('content')))
      await assertHolds(blobs, nameOf(text('content')), text('content'))
    },
    async 'takes the same bytes twice and at once, and gives one name'({ blobs }) {
      const names = await Promise.all(Array.from({ length: 10 }, () => blobs.put(text('same'))))
      assert.deepEqual([...new Set(names)], [nameOf(text('same'))])
      await assertHolds(blobs, nameOf(text('same')), text('same'))
    },
    async 'is untouched by what callers do to their bytes'({ blobs }) {
      const bytes = text('mine')
      const name = await blobs.put(bytes)
      bytes.fill(0)
      const got = await blobs.get(name)
      got?.fill(1)
      await assertHolds(blobs, name, text('mine'))
    },
    async 'has nothing under an unknown name'({ blobs }) {
      assert.equal(await blobs.get(nameOf(text('unknown'))), undefined)
    },
    async 'forgets what is deleted, and only that'({ blobs }) {
      const [kept, gone] = [await blobs.put(text('kept')), await blobs.put(text('gone'))]
      await blobs.delete(gone)
      await blobs.delete(gone)
      await blobs.delete(nameOf(text('unknown')))
      assert.equal(await blobs.get(gone), undefined)
      await assertHolds(blobs, kept, text('kept'))
      assert.equal(await blobs.put(text('gone')), gone)
      await assertHolds(blobs, gone, text('gone'))
    },
  })
}
