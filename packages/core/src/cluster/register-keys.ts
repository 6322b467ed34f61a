import { canonicalHash } from '../values/canonical.ts'

/** A text as a part of a key of the register: letters, digits, `_`, `-`, and `=` with the code of what is none of them. */
export function keyPart(text: string): string {
  let part = ''
  for (const byte of new TextEncoder().encode(text)) {
    const char = String.fromCharCode(byte)
    part += /[\w-]/.test(char) ? char : `=${byte.toString(16).padStart(2, '0')}`
  }
  // Stores have their limits, and people as much patience.
  return part.length <= 120 ? part : `=${canonicalHash(text)}`
}
