/** What a measurement is told. */
export interface Params {
  /** Runs in one repetition of the work. */
  readonly n: number
  /** Subscribers on the stream of transitions (bare: on each actor, 0 or 1). */
  readonly subscribers: number
  /** Flow runs in one repetition, where the measurement has both. Default: `n`. */
  readonly flows?: number
  /** The work is repeated for at least this much CPU time before the clock starts. */
  readonly warmupMs: number
  /** And for this much between the forced collection and the clock, at most `warmupMs`. Default 300. */
  readonly settlingMs?: number
  /** The work is repeated for at least this much CPU time while the clock runs, and at least once. */
  readonly windowMs: number
  /**
   * No repetition begins after the work was repeated for this much time by the clock, warm-up and window each: for what
   * mostly waits for others. Default: no limit.
   */
  readonly wallMs?: number
  /** Runs in one repetition of the warm-up, when `n` would be too long. Default: `n`. */
  readonly warmupN?: number
  /** Runs at the same time, where the measurement asks for it. Default 1. */
  readonly inFlight?: number
  /** Bytes of each argument and of each result, where the measurement asks for it. Default 8. */
  readonly valueBytes?: number
  /** Servers of a cluster, each of which keeps everything. Default 1. */
  readonly servers?: number
  /** Servers have each message on the disk before they acknowledge it. Default: they sync later. */
  readonly sync?: boolean
  /** Processes that share the work, where the measurement asks for it. Default 1. */
  readonly processes?: number
  /** A slowdown that is to be found: this share of the CPU time of ours is burned besides, where a ratio is measured. Default 0. */
  readonly burn?: number
}

/** Figures by name, such as `runs/s` or `B/run`. */
export type Readings = Readonly<Record<string, number>>

/** One measurement, made in a child process of its own. */
export type Measure = (params: Params) => Promise<Readings>

/** Ends the process's measurement as failed when the work did not do what it says. */
export function expectEqual(what: string, got: number, expected: number): void {
  if (got !== expected) throw new Error(`expected ${expected} ${what}, got ${got}`)
}
