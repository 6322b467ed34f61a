/** A result that was found in the cache. */
export interface Hit {
  readonly value: unknown
  /** The run that made it. */
  readonly runId: string
}

/** A run that wants to know whether there is a result. */
export interface Seeker<Run> {
  readonly run: Run
  /** Whether it waits no more. */
  readonly gone: boolean
  /** There is a result; or there is none, and it is this run's part to make one. */
  found(hit: Hit | undefined): void
  /** See `Wait`. */
  holding(): readonly object[]
}

/** Results of earlier calls, and the runs that wait for one that is being made. */
export interface Results<Run> {
  /** The key of a call; undefined where it has none, or none can be made: then the run is told of in the log. */
  keyOf(run: Run, parameters: readonly unknown[]): string | undefined
  /** Looks for a result of the key, or waits for the run that makes it. */
  seek(key: string, seeker: Seeker<Run>): void
  /** The result that is stored; undefined where it is missing, expired or can't be read. */
  read(key: string, seeker: Seeker<Run>): Promise<Hit | undefined>
  /** Its body ran before, or is tried again: it makes a result whatever is stored. */
  goOn(key: string, run: Run): void
  /** It waits no more. */
  left(seeker: Seeker<Run>): void
  /** Whether the run is making a result that others may wait for. */
  leads(run: Run): boolean
  /** A run does not go on to make its result, for now or for good: another one may. */
  abandoned(run: Run): void
}
