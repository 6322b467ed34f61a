import { randomFillSync } from 'node:crypto'

/**
 * Chance, as the engine sees it: the source of ids, jitter, and the draws of bodies.
 *
 * @public
 */
export interface Random {
  /** A number x with 0 ≤ x < 1, 53 random bits. */
  number(): number
  /** A 32-bit unsigned integer. */
  uint32(): number
}

/** Numbers from the operating system's generator, fetched 1,024 at a time. */
export function systemRandom(): Random {
  const pool = new Uint32Array(1024)
  let used = pool.length
  const uint32 = (): number => {
    if (used === pool.length) {
      randomFillSync(pool)
      used = 0
    }
    return pool[used++] ?? 0
  }
  return { uint32, number: () => toUnit(uint32(), uint32()) }
}

/**
 * The same numbers for the same seed: xoshiro128** by Blackman and Vigna, seeded by splitmix32.
 *
 * @param seed - Any integer; only its low 32 bits count.
 * @see https://prng.di.unimi.it/xoshiro128starstar.c
 */
export function seededRandom(seed: number): Random {
  let mix = seed >>> 0
  const next = (): number => {
    mix = (mix + 0x9e3779b9) >>> 0
    let z = mix
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    return (z ^ (z >>> 15)) >>> 0
  }
  let [a, b, c, d] = [next(), next(), next(), next()]
  const rotate = (x: number, by: number): number => ((x << by) | (x >>> (32 - by))) >>> 0
  const uint32 = (): number => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0
    const shifted = (b << 9) >>> 0
    c = (c ^ a) >>> 0
    d = (d ^ b) >>> 0
    b = (b ^ c) >>> 0
    a = (a ^ d) >>> 0
    c = (c ^ shifted) >>> 0
    d = rotate(d, 11)
    return result
  }
  return { uint32, number: () => toUnit(uint32(), uint32()) }
}

/** 53 bits of two words, the density of doubles between 0 and 1. */
function toUnit(high: number, low: number): number {
  return ((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53
}
