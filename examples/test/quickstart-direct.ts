/** A second reading of the flights that shares no code with the quickstart's own. */
import { asyncBufferFromFile, parquetMetadataAsync, parquetRead } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'

export interface Direct {
  metadataRows: number
  rows: number[]
  delays: number[]
  miles: number[]
  late: number
  early: number
  hourLate: number
  smallest: number
  largest: number
  sortedDelays: Float64Array
  months: Map<string, number>
  hours: Map<string, number>
  weekdays: number[]
  routes: Map<string, number>
  arrivals: Map<string, number>
}

/** Reads whole columns, with Date objects for times, and counts in the plainest way there is. */
export async function readDirectly(path: string): Promise<Direct> {
  const file = await asyncBufferFromFile(path)
  const metadata = await parquetMetadataAsync(file)
  const every: number[][] = []
  const direct: Direct = {
    metadataRows: Number(metadata.num_rows),
    rows: [],
    delays: [],
    miles: [],
    late: 0,
    early: 0,
    hourLate: 0,
    smallest: Infinity,
    largest: -Infinity,
    sortedDelays: new Float64Array(),
    months: new Map(),
    hours: new Map(),
    weekdays: Array.from({ length: 7 }, () => 0),
    routes: new Map(),
    arrivals: new Map(),
  }
  let rowStart = 0
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows)
    const columns = new Map<string, unknown[]>()
    await parquetRead({
      file,
      metadata,
      compressors,
      rowStart,
      rowEnd,
      onChunk: ({ columnName, columnData }) => {
        columns.set(columnName, [...(columns.get(columnName) ?? []), ...Array.from(columnData)])
      },
    })
    rowStart = rowEnd
    const column = <T>(name: string): T[] => (columns.get(name) ?? []) as T[]
    const delays = column<bigint>('delay').map(Number)
    direct.rows.push(delays.length)
    direct.delays.push(sum(delays))
    direct.miles.push(sum(column<bigint>('distance').map(Number)))
    direct.late += delays.filter((delay) => delay >= 15).length
    direct.early += delays.filter((delay) => delay < 0).length
    direct.hourLate += delays.filter((delay) => delay >= 60).length
    every.push(delays)
    const [dates, from, to] = [column<Date>('date'), column<string>('origin'), column<string>('destination')]
    for (const [row, date] of dates.entries()) {
      const text = date.toISOString()
      add(direct.months, text.slice(0, 7))
      add(direct.hours, text.slice(11, 13))
      direct.weekdays[date.getUTCDay()]! += 1
      add(direct.routes, `${from[row]}–${to[row]}`)
      add(direct.arrivals, to[row] ?? '')
    }
  }
  direct.sortedDelays = Float64Array.from(every.flat()).sort()
  direct.smallest = direct.sortedDelays.at(0) ?? NaN
  direct.largest = direct.sortedDelays.at(-1) ?? NaN
  return direct
}

function add(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

export const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
