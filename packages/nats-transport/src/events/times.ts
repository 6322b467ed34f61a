/** How long things take, in milliseconds. Shorter only in tests. */
export interface EventTimes {
  /** For how long a pull waits. */
  readonly pullMs: number
  /** How much later its news may come before it counts as lost. */
  readonly lateMs: number
  /** How long to wait before the consumer is looked for again: doubling, up to a longest time. */
  readonly firstPauseMs: number
  readonly longestPauseMs: number
}

export const usualEventTimes: EventTimes = {
  pullMs: 2_000,
  lateMs: 1_000,
  firstPauseMs: 50,
  longestPauseMs: 5_000,
}
