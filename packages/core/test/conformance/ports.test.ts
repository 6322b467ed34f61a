import { memoryBlobs } from '@troupe/core'
import {
  blobsConformance,
  clockConformance,
  randomConformance,
  seededRandom,
  virtualClock,
} from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { systemRandom } from '../../src/ports/random.ts'
import { systemClock } from '../../src/ports/system-clock.ts'

describe('memoryBlobs', () => {
  it.each(
    blobsConformance(async () => ({ blobs: memoryBlobs() })).map(({ name, run }) => [name, run] as const),
  )('%s', async (_, run) => {
    await expect(run()).resolves.toBeUndefined()
  })
})

describe('systemClock', () => {
  it.each(
    clockConformance(async () => ({ clock: systemClock() })).map(({ name, run }) => [name, run] as const),
  )('%s', async (_, run) => {
    await expect(run()).resolves.toBeUndefined()
  })
})

describe('virtualClock', () => {
  const open = async () => {
    const clock = virtualClock()
    return { clock, settle: <T>(promise: Promise<T>) => clock.run(promise) }
  }
  it.each(clockConformance(open).map(({ name, run }) => [name, run] as const))('%s', async (_, run) => {
    await expect(run()).resolves.toBeUndefined()
  })

  it('stands still until it is told to go on', async () => {
    const clock = virtualClock(1_000)
    const called: number[] = []
    for (const ms of [30, 10, 20]) clock.at(1_000 + ms, () => called.push(clock.now()))
    await new Promise((resolve) => setImmediate(resolve))
    expect([clock.now(), clock.waiting, called]).toEqual([1_000, 3, []])
    clock.advance(20)
    expect([clock.now(), clock.waiting, called]).toEqual([1_020, 1, [1_010, 1_020]])
    expect(clock.advanceToNext()).toBe(true)
    expect([clock.now(), called]).toEqual([1_030, [1_010, 1_020, 1_030]])
    expect(clock.advanceToNext()).toBe(false)
  })

  it('gives back what a promise that it runs rejects with', async () => {
    const clock = virtualClock()
    const failing = new Promise(
      (_, reject) => void clock.at(clock.now() + 60_000, () => reject(new TypeError('no'))),
    )
    await expect(clock.run(failing)).rejects.toThrow(TypeError)
  })
})

describe('systemRandom', () => {
  it.each(
    randomConformance(async () => ({ random: systemRandom() })).map(({ name, run }) => [name, run] as const),
  )('%s', async (_, run) => {
    await expect(run()).resolves.toBeUndefined()
  })
})

describe('seededRandom', () => {
  it.each(
    randomConformance(async () => ({ random: seededRandom(7) })).map(({ name, run }) => [name, run] as const),
  )('%s', async (_, run) => {
    await expect(run()).resolves.toBeUndefined()
  })

  const words = (seed: number) => {
    const random = seededRandom(seed)
    return Array.from({ length: 6 }, () => random.uint32())
  }

  it('draws the same for the same seed, of which the low 32 bits count', () => {
    expect(words(42)).toEqual(words(42))
    expect(words(2 ** 32 + 42)).toEqual(words(42))
    expect(words(-1)).toEqual(words(2 ** 32 - 1))
    expect(words(43)).not.toEqual(words(42))
  })
})
