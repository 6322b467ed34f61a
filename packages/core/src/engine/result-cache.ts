import { RunError, TroupeError, UsageError } from '../base/errors.ts'
import { notPending } from '../base/not-pending.ts'
import { inWords } from '../base/words.ts'
import type { CacheKey } from '../definitions/definition.ts'
import { hashParameters, shareOf } from '../definitions/cache-policies.ts'
import type { Lock } from '../cluster/locks.ts'
import type { SharedFlights } from '../cluster/shared-flights.ts'
import type { Cache, CacheEntry } from '../ports/cache.ts'
import { deadlineAfter } from '../runs/deadline.ts'
import { decodeValue, encodeValue } from '../values/codec.ts'
import { canonicalHash } from '../values/canonical.ts'
import { runOutside } from '../runs/run-context.ts'
import type { Deadlocks, Need, Wait } from './deadlocks.ts'
import { messageOf } from './outcome.ts'
import type { Hit, Results, Seeker } from './results.ts'
import type { EndListener, Run } from './run.ts'

/** One key that a run is making a result for, and the runs that wait for that. */
class Flight implements Need {
  readonly isFree = false
  readonly capacity = 1
  readonly hasQueue = false
  readonly key: string
  leader: Run
  readonly followers = new Set<Seeker<Run>>()
  /** Whether a run that began later makes a result of the key: what this one makes is not kept. */
  superseded = false
  /** What the store had for the leader. */
  found: CacheEntry | undefined
  /** What the leader made; there until the store has it. */
  made: CacheEntry | undefined
  /** Keeps runs on other nodes from making it, too. */
  lock: Lock | undefined

  constructor(key: string, leader: Run) {
    this.key = key
    this.leader = leader
  }

  holders(): Iterable<object> {
    return [this.leader]
  }
}

/** How long the store may take to answer before a run goes on without it: a result that comes later helps nobody. */
const patienceMs = 10_000

/**
 * Results of earlier calls. While one run makes the result of a key, equal calls wait for it: where it completes they get
 * its result, and where it does not the next of them makes it.
 */
export class ResultCache implements Results<Run> {
  readonly #cache: Cache
  readonly #flights = new Map<string, Flight>()
  readonly #ledBy = new Map<Run, Flight>()
  readonly #following = new Map<Seeker<Run>, Following>()
  readonly #deadlocks: Deadlocks
  /** Those who wait for the store, and what ends their patience. */
  readonly #reading = new Map<Seeker<Run>, () => void>()
  /** Those who wait for runs on other nodes, and what ends that. */
  readonly #outside = new Map<Seeker<Run>, () => void>()
  readonly #shared: SharedFlights | undefined
  readonly #flowHashes = new WeakMap<readonly unknown[], string>()

  /** @param shared - Where other nodes have the same cache. */
  constructor(cache: Cache, deadlocks: Deadlocks, shared?: SharedFlights) {
    this.#cache = cache
    this.#shared = shared
    this.#deadlocks = deadlocks
  }

  keyOf(run: Run, parameters: readonly unknown[]): string | undefined {
    const { caching } = run.definition.settings
    if (caching === undefined) return undefined
    try {
      return this.#makeKey(run, caching.key, parameters)
    } catch (error) {
      const advice = TroupeError.is(error, 'NOT_ENCODABLE')
        ? '; leave the part out with `inputs({ omit: […] })`, or give `cacheKey`'
        : ''
      const message = `its cache key can't be made, and it runs uncached: ${messageOf(error)}${advice}`
      run.host.log('warn', run, { err: error }, message)
      return undefined
    }
  }

  /** Of every two tasks, and of every two versions of one, the keys are different. */
  #makeKey(run: Run, key: CacheKey, parameters: readonly unknown[]): string | undefined {
    const { name, version, fn } = run.definition
    if ('make' in key) {
      const text = runOutside(run.host, () => textOf(key.make(...parameters)))
      return text === undefined ? undefined : canonicalHash([name, version, text])
    }
    const flowParameters = (): string | undefined => this.#hashOfFlow(run)
    const call = { name, fn, parameters, flowParameters, flowRunId: run.ledger.flowRunId }
    const shares = key.policies.map((policy) => [policy.name, shareOf(policy, call)] as const)
    return canonicalHash([name, version, ...shares])
  }

  /** Made once for each body: it may change what it was given. */
  #hashOfFlow(run: Run): string | undefined {
    const parameters = flowBodyAbove(run)?.arguments
    if (parameters === undefined) return undefined
    const hash = this.#flowHashes.get(parameters) ?? hashParameters(parameters, 'args of the flow')
    this.#flowHashes.set(parameters, hash)
    return hash
  }

  seek(key: string, seeker: Seeker<Run>): void {
    const { run } = seeker
    const flight = this.#flights.get(key)
    if (run.definition.settings.caching?.refresh === true || flight === undefined) {
      this.#lead(key, seeker)
      return
    }
    const made = flight.made === undefined ? undefined : this.#use(flight.made, run)
    if (made !== undefined) seeker.found(made)
    else if (flight.made !== undefined) this.#lead(key, seeker)
    else if (flight.leader === run) seeker.found(undefined)
    else this.#follow(flight, seeker)
  }

  #follow(flight: Flight, seeker: Seeker<Run>): void {
    const following = new Following(flight, seeker, () => {
      // It would wait for itself: it makes a result of its own.
      this.left(seeker)
      seeker.found(undefined)
    })
    flight.followers.add(seeker)
    this.#following.set(seeker, following)
    this.#deadlocks.add(following)
  }

  /** Its body ran before, or is tried again: it makes a result whatever the store has. */
  goOn(key: string, run: Run): void {
    if (this.#flights.has(key) || this.#ledBy.has(run)) return
    const flight = this.#newFlight(key, run)
    this.#leadWith(flight, run)
    void this.#insist(flight, run, false)
  }

  /** It makes the result whatever others do; they wait for it if they can. */
  async #insist(flight: Flight, run: Run, isNewer: boolean): Promise<void> {
    const lock = await this.#shared?.insist(flight.key, run.id, isNewer)
    if (lock === undefined) return
    if (this.#ledBy.get(run) === flight) flight.lock = lock
    else this.#shared?.letGo(lock)
  }

  #newFlight(key: string, leader: Run): Flight {
    const before = this.#flights.get(key)
    if (before !== undefined) before.superseded = true
    const flight = new Flight(key, leader)
    this.#flights.set(key, flight)
    return flight
  }

  #lead(key: string, seeker: Seeker<Run>): void {
    this.#ask(this.#newFlight(key, seeker.run), seeker)
  }

  #leadWith(flight: Flight, run: Run): void {
    flight.leader = run
    this.#ledBy.set(run, flight)
    run.whenSettled(new Landing(this, flight))
  }

  #ask(flight: Flight, seeker: Seeker<Run>): void {
    const { run } = seeker
    this.#leadWith(flight, run)
    if (run.definition.settings.caching?.refresh === true) {
      void this.#insist(flight, run, true)
      seeker.found(undefined)
      return
    }
    void this.read(flight.key, seeker).then((hit) => {
      if (seeker.gone || run.ended) return
      if (hit === undefined && this.#shared !== undefined) void this.#askOthers(flight, seeker, this.#shared)
      else seeker.found(hit)
    })
  }

  /** A run on another node may be making the result. */
  async #askOthers(flight: Flight, seeker: Seeker<Run>, shared: SharedFlights): Promise<void> {
    const { run } = seeker
    const over = new Promise<void>((resolve) => this.#outside.set(seeker, resolve))
    const { hit, lock } = await shared.seek(flight.key, {
      runId: run.id,
      holdsSomething: seeker.holding().length > 1,
      over,
      read: (madeBy) => this.read(flight.key, seeker, madeBy),
      warn: (message) => run.host.log('warn', run, {}, message),
    })
    this.#outside.delete(seeker)
    if (lock !== undefined && this.#ledBy.get(run) === flight && flight.lock === undefined) flight.lock = lock
    else if (lock !== undefined) shared.letGo(lock)
    if (!seeker.gone && !run.ended) seeker.found(hit)
  }

  /** @param madeBy - Runs that this one waited for: what they made counts however soon it expires. */
  async read(key: string, seeker: Seeker<Run>, madeBy?: ReadonlySet<string>): Promise<Hit | undefined> {
    const { run } = seeker
    const deadline = deadlineAfter(run.host.clock, patienceMs)
    this.#reading.set(seeker, deadline.stop)
    try {
      const late = deadline.done.then((): never => {
        throw new RunError('WAIT_TIMEOUT', `the cache did not answer for ${patienceMs} ms`)
      })
      const entry = await Promise.race([this.#cache.get(key), late])
      if (entry === undefined) return undefined
      const hit = madeBy?.has(entry.runId) === true ? this.#decode(entry, run) : this.#use(entry, run)
      const flight = this.#ledBy.get(run)
      if (hit !== undefined && flight !== undefined) flight.found = entry
      return hit
    } catch (error) {
      run.host.log('warn', run, { err: error }, 'its cached result can’t be read, and it runs')
      return undefined
    } finally {
      deadline.stop()
      this.#reading.delete(seeker)
    }
  }

  /** A copy of the value for one run; undefined where it is too old or can't be read. */
  #use(entry: CacheEntry, run: Run): Hit | undefined {
    const { expires } = entry
    return expires !== undefined && expires <= run.host.clock.now() ? undefined : this.#decode(entry, run)
  }

  #decode({ value, runId }: CacheEntry, run: Run): Hit | undefined {
    try {
      return { value: decodeValue(value), runId }
    } catch (error) {
      run.host.log('warn', run, { err: error }, 'its cached result can’t be read, and it runs')
      return undefined
    }
  }

  left(seeker: Seeker<Run>): void {
    this.#reading.get(seeker)?.()
    this.#reading.delete(seeker)
    this.#outside.get(seeker)?.()
    const following = this.#following.get(seeker)
    if (following === undefined) return
    following.flight.followers.delete(seeker)
    this.#following.delete(seeker)
    this.#deadlocks.delete(following)
  }

  leads(run: Run): boolean {
    return this.#ledBy.has(run)
  }

  /** The leader of a flight has ended, and its end is safe. */
  landed(flight: Flight, run: Run): void {
    if (this.#ledBy.get(run) !== flight) return
    this.#ledBy.delete(run)
    if (!run.completed) {
      this.#passOn(flight)
      return
    }
    const entry = run.stateName === 'Cached' ? flight.found : entryOf(run)
    if (entry === undefined) {
      this.#passOn(flight)
      return
    }
    const { lock } = flight
    flight.lock = undefined
    flight.made = entry
    if (run.stateName === 'Cached' || flight.superseded) {
      if (lock !== undefined) this.#shared?.letGo(lock)
      this.#close(flight)
    } else void this.#keep(flight, lock, run)
    this.#share(flight, entry)
  }

  /**
   * Those who wait get it however soon it expires: they asked while it was made. One that can't be read back helps nobody:
   * then they make their own.
   */
  #share(flight: Flight, entry: CacheEntry): void {
    for (const follower of flight.followers) {
      const hit = this.#decode(entry, follower.run)
      if (hit === undefined) {
        flight.made = undefined
        this.#passOn(flight)
        return
      }
      this.left(follower)
      follower.found(hit)
    }
  }

  async #keep(flight: Flight, lock: Lock | undefined, run: Run): Promise<void> {
    const { made: entry } = flight
    if (entry === undefined) return
    try {
      // On another node, too, a run that began later may be making one.
      if (lock === undefined || (await this.#shared?.isNewest(lock)) !== false)
        await this.#cache.put(flight.key, entry)
    } catch (error) {
      cantKeep(run, error)
    }
    if (lock !== undefined) this.#shared?.letGo(lock)
    if (flight.made === entry) this.#close(flight)
  }

  #close(flight: Flight): void {
    if (this.#flights.get(flight.key) === flight) this.#flights.delete(flight.key)
  }

  /** Another engine has the journal: of what its runs make, no end comes here. */
  lost(ledger: object): void {
    for (const run of this.#ledBy.keys()) if (run.ledger === ledger) this.abandoned(run)
  }

  abandoned(run: Run): void {
    const flight = this.#ledBy.get(run)
    if (flight === undefined) return
    this.#ledBy.delete(run)
    this.#passOn(flight)
  }

  #passOn(flight: Flight): void {
    if (flight.lock !== undefined) this.#shared?.letGo(flight.lock)
    flight.lock = undefined
    for (const next of flight.followers) {
      this.left(next)
      if (next.gone || next.run.ended) continue
      if (flight.superseded) {
        this.seek(flight.key, next)
        continue
      }
      this.#ask(flight, next)
      return
    }
    this.#close(flight)
  }
}

/** A run that waits for the result that another one makes. */
class Following implements Wait {
  readonly isGentle = true
  readonly flight: Flight
  readonly needs: readonly Need[]
  readonly holding: readonly object[]
  readonly giveUp: () => void

  constructor(flight: Flight, seeker: Seeker<Run>, giveUp: () => void) {
    this.flight = flight
    this.needs = [flight]
    this.holding = seeker.holding()
    this.giveUp = giveUp
  }

  comesPlainly(deadlocks: Deadlocks): boolean {
    return !deadlocks.isDoubtful(this.flight)
  }

  isBefore(): boolean {
    return false
  }

  pass(): boolean {
    return false
  }
}

class Landing implements EndListener {
  readonly #results: ResultCache
  readonly #flight: Flight

  constructor(results: ResultCache, flight: Flight) {
    this.#results = results
    this.#flight = flight
  }

  runEnded(run: Run): void {
    this.#results.landed(this.#flight, run)
  }
}

/** @throws UsageError `INVALID_OPTION` */
function textOf(made: unknown): string | undefined {
  if (made === undefined || typeof made === 'string') return made
  const got = notPending(made) instanceof Promise ? 'a promise' : inWords(made)
  throw new UsageError('INVALID_OPTION', `expected \`cacheKey\` to give a text, got ${got}`, {
    details: { option: 'cacheKey' },
  })
}

/** What a run that completed gives to later calls; undefined where its value can't be encoded. */
function entryOf(run: Run): CacheEntry | undefined {
  const { expiryMs } = run.definition.settings.caching ?? {}
  const expires = expiryMs === undefined ? undefined : run.host.clock.now() + expiryMs
  try {
    return { value: encodeValue(run.value, { at: 'result' }), runId: run.id, expires }
  } catch (error) {
    cantKeep(run, error)
    return undefined
  }
}

function cantKeep(run: Run, error: unknown): void {
  run.host.log('warn', run, { err: error }, `its result can’t be cached: ${messageOf(error)}`)
}

/** The body of the flow run that a task run belongs to. */
function flowBodyAbove(run: Run): Run['caller'] {
  let above = run.caller
  while (above !== undefined && above.run.definition.kind === 'task') above = above.run.caller
  return above
}
