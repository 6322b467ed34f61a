/** So few bytes are copied one by one: to make a view of them costs more. */
const few = 64

/** A copy of some bytes, with memory of its own: the `slice` of a Buffer would be a view of all that it came with. */
export function copyOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const copy = new Uint8Array(end - start)
  if (copy.length > few) copy.set(bytes.subarray(start, end))
  else for (let i = 0; i < copy.length; i++) copy[i] = bytes[start + i] ?? 0
  return copy
}
