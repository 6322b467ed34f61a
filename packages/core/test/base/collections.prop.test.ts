import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Fifo } from '../../src/base/fifo.ts'
import { Heap } from '../../src/base/heap.ts'
import { OrderedQueue } from '../../src/base/ordered-queue.ts'
import { Deadlines } from '../../src/ports/deadlines.ts'

const ascending = (a: number, b: number): number => a - b

describe('Heap', () => {
  it('gives the smallest of what is in it, whatever was added and taken before', () => {
    const steps = fc.array(fc.option(fc.integer({ min: 0, max: 50 }), { freq: 3 }), { maxLength: 300 })
    fc.assert(
      fc.property(steps, (added) => {
        const heap = new Heap<number>((a, b) => a < b)
        const model: number[] = []
        for (const item of added) {
          const [taken, expected] = item === null ? [heap.pop(), model.shift()] : []
          if (item !== null) {
            heap.push(item)
            model.push(item)
            model.sort(ascending)
          }
          expect(taken).toBe(expected)
          expect([heap.size, heap.peek()]).toEqual([model.length, model[0]])
        }
        while (model.length > 0) expect(heap.pop()).toBe(model.shift())
        expect([heap.pop(), heap.size]).toEqual([undefined, 0])
      }),
    )
  })

  it('keeps what a filter keeps, in order', () => {
    fc.assert(
      fc.property(fc.array(fc.integer()), fc.func(fc.boolean()), (items, keep) => {
        const heap = new Heap<number>((a, b) => a < b)
        for (const item of items) heap.push(item)
        heap.filter((item) => keep(item))
        const kept = items.filter((item) => keep(item)).toSorted(ascending)
        expect(kept.map(() => heap.pop())).toEqual(kept)
        expect(heap.size).toBe(0)
      }),
    )
  })
})

describe('OrderedQueue', () => {
  it('gives the smallest of what is in it, whatever was added and taken before', () => {
    const steps = fc.array(fc.option(fc.integer({ min: 0, max: 50 }), { freq: 3 }), { maxLength: 300 })
    fc.assert(
      fc.property(steps, (added) => {
        const queue = new OrderedQueue<number>((a, b) => a < b)
        const model: number[] = []
        for (const item of added) {
          const [taken, expected] = item === null ? [queue.pop(), model.shift()] : []
          if (item !== null) {
            queue.push(item)
            model.push(item)
            model.sort(ascending)
          }
          expect(taken).toBe(expected)
        }
        while (model.length > 0) expect(queue.pop()).toBe(model.shift())
        expect(queue.pop()).toBeUndefined()
      }),
    )
  })
})

describe('Fifo', () => {
  it('gives things in the order in which they came', () => {
    // Runs of pushes and of shifts, long enough to make it move its items.
    const runs = fc.array(fc.tuple(fc.integer({ min: 0, max: 3_000 }), fc.integer({ min: 0, max: 3_000 })), {
      maxLength: 6,
    })
    fc.assert(
      fc.property(runs, (steps) => {
        const fifo = new Fifo<number>()
        let pushed = 0
        let shifted = 0
        for (const [pushes, shifts] of steps) {
          for (let i = 0; i < pushes; i++) fifo.push(pushed++)
          for (let i = 0; i < shifts; i++) {
            const expected = shifted < pushed ? shifted++ : undefined
            if (fifo.peek() !== expected || fifo.shift() !== expected)
              throw new Error(`lost item ${expected}`)
          }
          expect(fifo.size).toBe(pushed - shifted)
        }
        fifo.clear()
        expect([fifo.size, fifo.peek(), fifo.shift()]).toEqual([0, undefined, undefined])
      }),
      { numRuns: 50 },
    )
  })

  it('holds undefined like anything else', () => {
    const fifo = new Fifo<number | undefined>()
    for (const item of [undefined, 1, undefined]) fifo.push(item)
    expect([fifo.size, fifo.shift(), fifo.shift(), fifo.shift(), fifo.size]).toEqual([
      3,
      undefined,
      1,
      undefined,
      0,
    ])
  })
})

describe('Deadlines', () => {
  const deadline = fc.record({ at: fc.integer({ min: 0, max: 40 }), takenBack: fc.boolean() })

  it('calls what is due, earliest first, equal ones in the order of adding, and nothing taken back', () => {
    const ats = fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 10 })
    fc.assert(
      fc.property(fc.array(deadline, { maxLength: 300 }), ats, (added, moments) => {
        const deadlines = new Deadlines()
        const called: number[] = []
        const takeBacks = added.map(({ at }, n) => deadlines.add(at, () => called.push(n)))
        added.forEach(({ takenBack }, n) => takenBack && takeBacks[n]?.())
        const expected = added
          .map(({ at, takenBack }, n) => ({ at, takenBack, n }))
          .filter(({ takenBack }) => !takenBack)
          .toSorted((a, b) => a.at - b.at || a.n - b.n)
        expect(deadlines.size).toBe(expected.length)
        for (const now of [...moments, 50].toSorted(ascending)) {
          deadlines.fire(now)
          const due = expected.filter(({ at }) => at <= now)
          expect(called).toEqual(due.map(({ n }) => n))
          expect(deadlines.size).toBe(expected.length - due.length)
          expect(deadlines.next()).toBe(expected[due.length]?.at ?? Number.POSITIVE_INFINITY)
        }
        for (const takeBack of takeBacks) takeBack()
        expect(deadlines.size).toBe(0)
      }),
    )
  })

  it('calls what a call adds when that is due, and not what a call takes back', () => {
    const deadlines = new Deadlines()
    const called: string[] = []
    let takeBack = (): void => undefined
    deadlines.add(1, () => {
      called.push('first')
      deadlines.add(2, () => called.push('added, due'))
      deadlines.add(9, () => called.push('added, not due'))
      takeBack()
    })
    takeBack = deadlines.add(3, () => called.push('taken back'))
    deadlines.fire(5)
    expect(called).toEqual(['first', 'added, due'])
    expect(deadlines.next()).toBe(9)
  })
})
