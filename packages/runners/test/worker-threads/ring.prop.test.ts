/* oxlint-disable vitest/no-conditional-expect -- both ways are looked at */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  largestResult,
  ResultReader,
  ResultWriter,
  ringBytes,
  type Result,
} from '../../src/worker-threads/results.ts'
import { controlWords, word } from '../../src/worker-threads/wires.ts'

/** Both ends of a ring, as a thread and its pool have them. */
function ring(at = 0): { writer: ResultWriter; reader: ResultReader; control: Int32Array } {
  const control = new Int32Array(new SharedArrayBuffer(controlWords * 4))
  const memory = new SharedArrayBuffer(ringBytes)
  control[word.written] = at
  control[word.read] = at
  return { writer: new ResultWriter(control, memory), reader: new ResultReader(control, memory), control }
}

/** Bytes that tell where they belong. */
function result(lease: number, length: number, thrown = false): Result {
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i++) bytes[i] = (lease * 31 + i * 7) % 256
  return { lease, thrown, micros: lease * 3, bytes }
}

/** How much they take up at least. */
function bytesOf(results: readonly Result[]): number {
  return results.reduce((sum, { bytes }) => sum + 16 + bytes.length, 0)
}

/** As a text, which is compared much faster than its bytes. */
function show(found: Result | undefined): string | undefined {
  if (found === undefined) return undefined
  const { lease, thrown, micros, bytes } = found
  return `${lease} ${thrown} ${micros} ${Buffer.from(bytes).toString('latin1')}`
}

type Step =
  | { readonly write: number; readonly thrown: boolean }
  | { readonly read: number }
  /** Writes until not even an empty result is taken, from this size down. */
  | { readonly fill: number }

const sizes = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 64 }) },
  { weight: 4, arbitrary: fc.integer({ min: 0, max: largestResult }) },
  { weight: 2, arbitrary: fc.constantFrom(0, 1, 3, 4, largestResult - 1, largestResult) },
)
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ write: sizes, thrown: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ read: fc.integer({ min: 1, max: 12 }) }) },
    { weight: 1, arbitrary: fc.constant({ read: Number.POSITIVE_INFINITY }) },
    { weight: 1, arbitrary: fc.record({ fill: fc.integer({ min: largestResult / 2, max: largestResult }) }) },
  ),
  { minLength: 1, maxLength: 60, size: 'max' },
)
/** Where both ends begin: any word, those near the end of the ring above all. */
const beginnings = fc
  .oneof(
    fc.integer({ min: 0, max: ringBytes / 4 - 1 }),
    fc.integer({ min: ringBytes / 4 - 12, max: ringBytes / 4 - 1 }),
  )
  .map((words) => words * 4)

describe('the ring of results', () => {
  it('gives each result that was taken once, whole and in order, wherever the ends are', () => {
    fc.assert(
      fc.property(beginnings, steps, (at, script) => {
        const { writer, reader, control } = ring(at)
        const model: Result[] = []
        let lease = 0
        const write = (size: number, thrown = false): boolean => {
          const written = result(++lease, size, thrown)
          const before = [control[word.written], control[word.read]]
          const isTaken = writer.write(written)
          if (isTaken) model.push(written)
          if (isTaken) expect(bytesOf(model)).toBeLessThan(ringBytes)
          else expect([control[word.written], control[word.read]]).toEqual(before)
          return isTaken
        }
        for (const step of script) {
          if ('write' in step) write(step.write, step.thrown)
          else if ('fill' in step) {
            for (let size = step.fill; size >= 0; size = size === 0 ? -1 : size >> 1) while (write(size));
          } else {
            for (let n = 0; n < step.read; n++) {
              const read = reader.next()
              expect(show(read)).toBe(show(model.shift()))
              if (read === undefined) break
            }
          }
        }
        for (const rest of model) expect(show(reader.next())).toBe(show(rest))
        expect(reader.next()).toBeUndefined()
        expect(control[word.written]).toBe(control[word.read])
      }),
      { numRuns: 100 },
    )
  })

  it('takes any result that may go through it while it is empty, wherever the ends are', () => {
    fc.assert(
      fc.property(beginnings, sizes, (at, size) => {
        const { writer, reader } = ring(at)
        const written = result(5, size)
        expect(writer.write(written)).toBe(true)
        expect(show(reader.next())).toBe(show(written))
        expect(reader.next()).toBeUndefined()
      }),
    )
  })

  it('is full only when little is free: what it refuses is taken when that much was read', () => {
    fc.assert(
      fc.property(beginnings, fc.array(sizes, { minLength: 30, maxLength: 30 }), (at, lengths) => {
        const { writer, reader } = ring(at)
        const held: Result[] = []
        let lease = 0
        let next = result(++lease, lengths[0] ?? 0)
        // Each takes a head of 16 bytes at least, so it is full some time.
        while (writer.write(next)) {
          held.push(next)
          expect(bytesOf(held)).toBeLessThan(ringBytes)
          next = result(++lease, lengths[lease % lengths.length] ?? 0)
        }
        expect(bytesOf(held)).toBeGreaterThan(ringBytes - 3 * (largestResult + 20))
        let freed = 0
        while (freed < 2 * (largestResult + 20)) {
          const read = reader.next()
          expect(show(read)).toBe(show(held.shift()))
          freed += 16 + (read?.bytes.length ?? 0)
        }
        expect(writer.write(next)).toBe(true)
        for (const rest of [...held, next]) expect(show(reader.next())).toBe(show(rest))
        expect(reader.next()).toBeUndefined()
      }),
      { numRuns: 30 },
    )
  })

  it('gives bytes of their own: what is written later does not change them', () => {
    const { writer, reader } = ring()
    writer.write(result(1, 100))
    const read = reader.next()
    // Round the ring once, over the place where it lay.
    for (let n = 0; n < 2 * (ringBytes / largestResult); n++) {
      writer.write(result(n + 2, largestResult))
      reader.next()
    }
    expect(read).toEqual(result(1, 100))
    expect(read?.bytes.buffer).not.toBeInstanceOf(SharedArrayBuffer)
  })

  it('tells which results were thrown', () => {
    const { writer, reader } = ring()
    for (const thrown of [true, false]) writer.write(result(1, 3, thrown))
    expect([reader.next()?.thrown, reader.next()?.thrown]).toEqual([true, false])
  })
})
