import { crc32 } from 'node:zlib'
import type { SqlValue } from './driver.ts'

/** Of the values of a row, in order. */
export function checksumOf(values: readonly SqlValue[]): number {
  return crc32(JSON.stringify(values))
}

/** Of a row that has bytes; `values` are those beside them. */
export function checksumWith(bytes: Uint8Array, values: readonly SqlValue[]): number {
  return crc32(bytes, checksumOf(values))
}
