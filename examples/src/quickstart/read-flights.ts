/** Reads flights from a Parquet file, one row group at a time. */
import { setImmediate } from 'node:timers/promises'

import { asyncBufferFromFile, parquetMetadataAsync, parquetScan } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'

import type { FlightRows } from './summary.ts'

/** Rows handed on at once: some milliseconds of work between two looks at the signal. */
const ROWS_AT_ONCE = 16_384

/** The numbers of the row groups in the file: 0, 1, 2 … */
export async function rowGroupsOf(path: string): Promise<number[]> {
  const { row_groups: groups } = await parquetMetadataAsync(await asyncBufferFromFile(path))
  return [...groups.keys()]
}

/**
 * Yields the flights of one row group, some thousand rows at a time.
 *
 * Decoding is plain computing and would keep this thread to itself for half a second. So after each column
 * and each piece of rows the event loop gets a turn (other task runs, the display, Ctrl-C), and reading stops
 * there when the signal fires.
 */
export async function* readRowGroup(
  path: string,
  group: number,
  signal: AbortSignal,
): AsyncGenerator<FlightRows> {
  const scan = await parquetScan({
    file: await asyncBufferFromFile(path),
    compressors,
    // A Date for each of three million flights would cost more than all the rest of the reading.
    parsers: { timestampFromMicroseconds: (micros) => Number(micros / 1000n) },
  })
  const range = scan.ranges[group]
  if (!range) throw new RangeError(`${path} has no row group ${group}, it has ${scan.ranges.length}`)

  const column = async (name: string): Promise<ArrayLike<unknown>> => {
    await pause(signal)
    return scan.readColumn({ column: name, ...range })
  }
  const departed = numbers(await column('date'))
  const delay = numbers(await column('delay'))
  const distance = numbers(await column('distance'))
  const origin = codes(await column('origin'))
  const destination = codes(await column('destination'))

  for (let start = 0; start < delay.length; start += ROWS_AT_ONCE) {
    await pause(signal)
    const end = start + ROWS_AT_ONCE
    yield {
      departed: departed.subarray(start, end),
      delay: delay.subarray(start, end),
      distance: distance.subarray(start, end),
      origin: origin.slice(start, end),
      destination: destination.slice(start, end),
    }
  }
}

/** Gives the event loop a turn, then stops here if the run was cancelled meanwhile. */
async function pause(signal: AbortSignal): Promise<void> {
  await setImmediate()
  signal.throwIfAborted()
}

// Every column is optional in the file's schema. Number(null) would be 0, a flight exactly on time.
// Loops, because Float64Array.from with a function takes five times as long.
function numbers(column: ArrayLike<unknown>): Float64Array {
  const result = new Float64Array(column.length)
  for (let row = 0; row < column.length; row++) {
    const value = column[row]
    result[row] = value === null || value === undefined ? NaN : Number(value)
  }
  return result
}

function codes(column: ArrayLike<unknown>): string[] {
  const result: string[] = []
  for (let row = 0; row < column.length; row++) {
    const value = column[row]
    result.push(typeof value === 'string' ? value : '')
  }
  return result
}
