/**
 * Summaries of flights that can be added up in any order.
 *
 * A summary holds counts and sums only, never rates: counts of two parts add up to the counts of the whole,
 * averages and percentiles do not. Those are worked out once, at the end, in `findings.ts`.
 */

/** The US Department of Transportation counts a flight as late from this many minutes on. */
export const LATE_FROM = 15

/** Delays are counted minute by minute in this range; the first and last bin also hold what lies beyond. */
export const FIRST_MINUTE = -90
export const LAST_MINUTE = 360

const DAY = 86_400_000
const HOUR = 3_600_000

/** Rows of the file, column by column. A missing number is NaN, a missing code is empty. */
export interface FlightRows {
  /** Actual departure, local time at the origin, in milliseconds as if that clock showed UTC. */
  departed: Float64Array
  /** Arrival delay in minutes; negative means early. */
  delay: Float64Array
  /** Miles. */
  distance: Float64Array
  origin: string[]
  destination: string[]
}

/** What is counted for each airport pair, day, hour: how many, how many late, and all their minutes of delay. */
export interface Tally {
  flights: number
  late: number
  minutes: number
}

/** A tally that also keeps how many flights had each delay, so that percentiles can be read off. */
export interface Spread extends Tally {
  /** One count a minute, from FIRST_MINUTE to LAST_MINUTE. */
  byMinute: Uint32Array
}

/** Everything the report needs to know of some flights. Plain data: it travels between threads and machines. */
export interface Summary {
  all: Spread
  miles: number
  /** Rows left out because a value was missing. */
  incomplete: number
  firstDeparture: number
  lastDeparture: number
  smallestDelay: number
  largestDelay: number
  /** By '2001-05'. */
  months: Map<string, Spread>
  /** By hour of the day, 0 to 23. */
  hours: Map<number, Spread>
  /** By weekday × 24 + hour, where Monday is 0. */
  week: Map<number, Tally>
  /** By '2001-05-27'. */
  days: Map<string, Tally>
  /** By origin, then destination. Totals of airports are the sums of their routes. */
  routes: Map<string, Map<string, Tally>>
}

export const emptyTally = (): Tally => ({ flights: 0, late: 0, minutes: 0 })

const emptySpread = (): Spread => ({
  ...emptyTally(),
  byMinute: new Uint32Array(LAST_MINUTE - FIRST_MINUTE + 1),
})

/** The summary of no flights: adding it to another changes nothing. */
export const emptySummary = (): Summary => ({
  all: emptySpread(),
  miles: 0,
  incomplete: 0,
  firstDeparture: Infinity,
  lastDeparture: -Infinity,
  smallestDelay: Infinity,
  largestDelay: -Infinity,
  months: new Map(),
  hours: new Map(),
  week: new Map(),
  days: new Map(),
  routes: new Map(),
})

/** Adds rows to a summary, in place: it is called with a few thousand rows at a time. */
export function addRows(summary: Summary, rows: FlightRows): void {
  // Rows are mostly in order of time, so the day is looked up when it changes, not for each of them.
  let today = NaN
  let day = emptyTally()
  let month = emptySpread()
  for (let row = 0; row < rows.delay.length; row++) {
    const departed = rows.departed[row] ?? NaN
    const delay = rows.delay[row] ?? NaN
    const distance = rows.distance[row] ?? NaN
    const origin = rows.origin[row]
    const destination = rows.destination[row]
    if (Number.isNaN(departed + delay + distance) || !origin || !destination) {
      summary.incomplete++
      continue
    }
    const dayNumber = Math.floor(departed / DAY)
    if (dayNumber !== today) {
      today = dayNumber
      const date = new Date(departed).toISOString()
      day = entry(summary.days, date.slice(0, 10), emptyTally)
      month = entry(summary.months, date.slice(0, 7), emptySpread)
    }
    const hour = Math.floor((departed - dayNumber * DAY) / HOUR)
    // 1 January 1970 was a Thursday, which is 3 when Monday is 0.
    const weekday = (dayNumber + 3) % 7
    countSpread(summary.all, delay)
    countSpread(month, delay)
    countSpread(entry(summary.hours, hour, emptySpread), delay)
    count(day, delay)
    count(entry(summary.week, weekday * 24 + hour, emptyTally), delay)
    count(entry(entry(summary.routes, origin, noRoutes), destination, emptyTally), delay)
    summary.miles += distance
    summary.firstDeparture = Math.min(summary.firstDeparture, departed)
    summary.lastDeparture = Math.max(summary.lastDeparture, departed)
    summary.smallestDelay = Math.min(summary.smallestDelay, delay)
    summary.largestDelay = Math.max(summary.largestDelay, delay)
  }
}

/** Adds up summaries; the order makes no difference. None of them is changed. */
export function mergeSummaries(parts: readonly Summary[]): Summary {
  const whole = emptySummary()
  for (const part of parts) {
    addSpread(whole.all, part.all)
    whole.miles += part.miles
    whole.incomplete += part.incomplete
    whole.firstDeparture = Math.min(whole.firstDeparture, part.firstDeparture)
    whole.lastDeparture = Math.max(whole.lastDeparture, part.lastDeparture)
    whole.smallestDelay = Math.min(whole.smallestDelay, part.smallestDelay)
    whole.largestDelay = Math.max(whole.largestDelay, part.largestDelay)
    addTable(whole.months, part.months, emptySpread, addSpread)
    addTable(whole.hours, part.hours, emptySpread, addSpread)
    addTable(whole.week, part.week, emptyTally, addTally)
    addTable(whole.days, part.days, emptyTally, addTally)
    addTable(whole.routes, part.routes, noRoutes, (routes, more) => {
      addTable(routes, more, emptyTally, addTally)
    })
  }
  return whole
}

/** Adds one tally to another, in place. */
export function addTally(tally: Tally, more: Tally): void {
  tally.flights += more.flights
  tally.late += more.late
  tally.minutes += more.minutes
}

const noRoutes = (): Map<string, Tally> => new Map<string, Tally>()

function count(tally: Tally, delay: number): void {
  tally.flights++
  tally.minutes += delay
  if (delay >= LATE_FROM) tally.late++
}

function countSpread(spread: Spread, delay: number): void {
  count(spread, delay)
  const minute = Math.min(Math.max(Math.floor(delay), FIRST_MINUTE), LAST_MINUTE)
  spread.byMinute[minute - FIRST_MINUTE]! += 1
}

function addSpread(spread: Spread, more: Spread): void {
  addTally(spread, more)
  more.byMinute.forEach((flights, bin) => {
    spread.byMinute[bin]! += flights
  })
}

function addTable<K, V>(
  table: Map<K, V>,
  more: Map<K, V>,
  empty: () => V,
  add: (value: V, more: V) => void,
): void {
  for (const [key, value] of more) add(entry(table, key, empty), value)
}

function entry<K, V>(table: Map<K, V>, key: K, empty: () => V): V {
  let value = table.get(key)
  if (value === undefined) {
    value = empty()
    table.set(key, value)
  }
  return value
}
