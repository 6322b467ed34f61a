import assert from 'node:assert/strict'
import type { Clock } from '../ports/clock.ts'
import { casesOf, type ConformanceCase, type Opened } from './conformance.ts'

/** A clock that a suite opens. @public */
export interface OpenedClock extends Opened {
  readonly clock: Clock
  /** Lets time pass until the promise settles, where it does not pass by itself. */
  readonly settle?: <T>(promise: Promise<T>) => Promise<T>
}

/** Waits are this long, and multiples of it: the suite also runs on real time. */
const step = 5

/** Longer than a Node timer can wait, 2^31 − 1 ms: one that overflows fires at once. */
const far = 2 ** 31 + 1_000

function settle<T>({ settle: pass }: OpenedClock, promise: Promise<T>): Promise<T> {
  return pass === undefined ? promise : pass(promise)
}

const reached = (clock: Clock, deadline: number): Promise<void> =>
  new Promise((resolve) => void clock.at(deadline, resolve))

const turned = (clock: Clock): Promise<void> => new Promise((resolve) => clock.turn(resolve))

const deadlines: Readonly<Record<string, (opened: OpenedClock) => Promise<void>>> = {
  async 'calls in the order of deadlines, whatever the order of asking'(opened) {
    const { clock } = opened
    const start = clock.now()
    const called: number[] = []
    for (const n of [3, 1, 4, 2, 0]) clock.at(start + n * step, () => called.push(n))
    await settle(opened, reached(clock, start + 5 * step))
    assert.deepEqual(called, [0, 1, 2, 3, 4])
  },
  async 'calls equal deadlines in the order in which they were asked for'(opened) {
    // Of clocks that measure waits, deadlines are equal only where they were asked for at the same moment; in the past
    // they are all due at once.
    const { clock } = opened
    const called: number[] = []
    const past = clock.now() - 1_000
    for (let n = 0; n < 100; n++) clock.at(past, () => called.push(n))
    await settle(opened, reached(clock, clock.now() + step))
    assert.deepEqual(
      called,
      Array.from({ length: 100 }, (_, n) => n),
    )
  },
  async 'never calls early'(opened) {
    const { clock } = opened
    for (const wait of [1, step, 3 * step]) {
      const before = clock.monotonic()
      await settle(opened, reached(clock, clock.now() + wait))
      const waited = clock.monotonic() - before
      assert.ok(waited >= wait, `waited ${waited} of ${wait} ms`)
    }
  },
  async 'calls a deadline in the past in a later turn, not at once'(opened) {
    const { clock } = opened
    let called = false
    clock.at(clock.now() - 60_000, () => {
      called = true
    })
    await Promise.resolve()
    assert.equal(called, false)
    await settle(opened, reached(clock, clock.now()))
    assert.equal(called, true)
  },
  async 'does not call what was taken back, and the rest all the same'(opened) {
    const { clock } = opened
    const start = clock.now()
    const called: string[] = []
    const first = clock.at(start + step, () => called.push('first'))
    clock.at(start + 2 * step, () => called.push('second'))
    const third = clock.at(start + 3 * step, () => called.push('third'))
    first()
    third()
    third()
    const last = reached(clock, start + 4 * step)
    await settle(opened, last)
    assert.deepEqual(called, ['second'])
  },
  async 'can take a deadline back from within another, and after it was called'(opened) {
    const { clock } = opened
    const start = clock.now()
    const called: string[] = []
    const later = clock.at(start + 2 * step, () => called.push('later'))
    const first = clock.at(start + step, () => {
      called.push('first')
      later()
    })
    await settle(opened, reached(clock, start + 3 * step))
    first()
    assert.deepEqual(called, ['first'])
  },
  async 'does not call a deadline in 25 days before its time'(opened) {
    const { clock } = opened
    let early = false
    const takeBack = clock.at(clock.now() + far, () => {
      early = true
    })
    await settle(opened, reached(clock, clock.now() + 4 * step))
    takeBack()
    assert.equal(early, false)
  },
  async 'calls deadlines that are asked for by deadlines'(opened) {
    const { clock } = opened
    const called = new Promise<number[]>((resolve) => {
      const depths: number[] = []
      const next = (depth: number): void => {
        depths.push(depth)
        if (depth === 5) resolve(depths)
        else clock.at(clock.now() + (depth % 2), () => next(depth + 1))
      }
      next(0)
    })
    assert.deepEqual(await settle(opened, called), [0, 1, 2, 3, 4, 5])
  },
  async 'keeps up with thousands of deadlines, most of them taken back'(opened) {
    const { clock } = opened
    const start = clock.now()
    let called = 0
    for (let n = 0; n < 5_000; n++) {
      const takeBack = clock.at(start + (n % 4) * step, () => called++)
      if (n % 10 !== 0) takeBack()
    }
    await settle(opened, reached(clock, start + 5 * step))
    assert.equal(called, 500)
  },
}

const turns: Readonly<Record<string, (opened: OpenedClock) => Promise<void>>> = {
  async 'turns in the order of asking, none at once'({ clock }) {
    const called: number[] = []
    for (let n = 0; n < 10; n++) clock.turn(() => called.push(n))
    await Promise.resolve()
    assert.deepEqual(called, [])
    await turned(clock)
    assert.deepEqual(called, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  },
  async 'lets microtasks run to their end between two turns'({ clock }) {
    const seen: string[] = []
    clock.turn(() => {
      seen.push('first')
      void (async () => {
        for (let n = 0; n < 20; n++) await Promise.resolve()
        seen.push('its microtasks')
      })()
    })
    clock.turn(() => seen.push('second'))
    await turned(clock)
    assert.deepEqual(seen, ['first', 'its microtasks', 'second'])
  },
  async 'puts a turn that is asked for in a turn after those asked for before'({ clock }) {
    const seen: string[] = []
    clock.turn(() => {
      seen.push('first')
      clock.turn(() => seen.push('asked for in the first'))
    })
    clock.turn(() => seen.push('second'))
    await turned(clock)
    await turned(clock)
    assert.deepEqual(seen, ['first', 'second', 'asked for in the first'])
  },
  async 'turns while deadlines wait, and they wait on'(opened) {
    const { clock } = opened
    let called = false
    const takeBack = clock.at(clock.now() + 60_000, () => {
      called = true
    })
    for (let n = 0; n < 50; n++) await turned(clock)
    takeBack()
    assert.equal(called, false)
  },
  async 'has a monotonic time that never goes back, and a wall time near it'(opened) {
    const { clock } = opened
    const [wall, steady] = [clock.now(), clock.monotonic()]
    let last = steady
    for (let n = 0; n < 100; n++) {
      await turned(clock)
      assert.ok(clock.monotonic() >= last)
      last = clock.monotonic()
    }
    await settle(opened, reached(clock, clock.now() + 2 * step))
    const apart = clock.now() - wall - (clock.monotonic() - steady)
    assert.ok(Math.abs(apart) < 1_000, `wall time and monotonic time went ${apart} ms apart`)
  },
}

/** What every clock is held to; on real time it takes some 200 ms. @public */
export function clockConformance(make: () => Promise<OpenedClock>): ConformanceCase[] {
  return casesOf(make, { ...deadlines, ...turns })
}
