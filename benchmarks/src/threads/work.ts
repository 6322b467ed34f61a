/** What the bodies of all cases do: the same code on every kind of thread. */

/** Computes for about 5 ms: a chain of multiplications that can't be shortened. */
function compute(seed: number): number {
  let x = (seed | 1) >>> 0
  for (let i = 0; i < 4_000_000; i++) x = Math.imul(x ^ (x >>> 13), 0x5bd1e995) >>> 0
  return x
}

/** The same for about 50 ms. */
function computeLong(seed: number): number {
  let x = seed
  for (let i = 0; i < 10; i++) x = compute(x)
  return x
}

/** Next to nothing. */
function small(i: number): number {
  return i
}

/** Looks at one byte of a large buffer, and gives the buffer back. */
function touch(buffer: ArrayBuffer): ArrayBuffer {
  new Uint8Array(buffer)[0] = 1
  return buffer
}

export const work = { compute, computeLong, small, touch }
