import { RunError } from '../base/errors.ts'
import { Fifo } from '../base/fifo.ts'
import type { CacheKey } from '../definitions/definition.ts'
import { shareOf } from '../definitions/cache-policies.ts'
import type { Cache } from '../ports/cache.ts'
import { decodeValue, encodeValue } from '../values/codec.ts'
import { canonicalHash } from '../values/canonical.ts'
import { messageOf } from './outcome.ts'
import type { EndListener, Hit, Results, Run, Seeker } from './run.ts'

/** One key that a run is making a result for, and the runs that wait for that. */
interface Flight {
  readonly key: string
  leader: Run
  readonly followers: Fifo<Seeker>
}

/**
 * Results of earlier calls. While one run makes the result of a key, equal calls wait for it: where it completes they get
 * its result, and where it does not the next of them makes it.
 */
export class ResultCache implements Results {
  readonly #cache: Cache
  readonly #flights = new Map<string, Flight>()
  readonly #ledBy = new Map<Run, Flight>()
  readonly #following = new Map<Run, Flight>()

  constructor(cache: Cache) {
    this.#cache = cache
  }

  keyOf(run: Run, parameters: readonly unknown[]): string | undefined {
    const { caching } = run.definition.settings
    if (caching === undefined) return undefined
    try {
      return makeKey(run, caching.key, parameters)
    } catch (error) {
      const message =
        `its cache key can't be made, and it runs uncached: ${messageOf(error)}; leave the part out with ` +
        '`inputs({ omit: […] })`, or give `cacheKey`'
      run.host.log('warn', run, { err: error }, message)
      return undefined
    }
  }

  seek(key: string, seeker: Seeker): void {
    const { run } = seeker
    const flight = this.#flights.get(key)
    const { refresh = false } = run.definition.settings.caching ?? {}
    if (flight?.leader === run) seeker.found(undefined)
    else if (flight === undefined) this.#lead(key, seeker, refresh)
    else if (refresh || this.#wouldWaitForItself(run, flight)) seeker.found(undefined)
    else {
      flight.followers.push(seeker)
      this.#following.set(run, flight)
    }
  }

  /**
   * Whether the leader of `flight` waits, by runs below it, for one that `run` is part of: then the run would wait for
   * itself. Only one that is part of a leader can.
   */
  #wouldWaitForItself(run: Run, flight: Flight): boolean {
    if (!this.#isPartOfLeader(run)) return false
    const seen = new Set([flight])
    for (const { leader } of seen) {
      if (run.descendsFrom(leader)) return true
      for (const [follower, followed] of this.#following)
        if (follower.descendsFrom(leader)) seen.add(followed)
    }
    return false
  }

  #isPartOfLeader(run: Run): boolean {
    for (let above = run.caller?.run; above !== undefined; above = above.caller?.run)
      if (this.#ledBy.has(above)) return true
    return false
  }

  #lead(key: string, seeker: Seeker, refresh: boolean): void {
    const flight: Flight = { key, leader: seeker.run, followers: new Fifo() }
    this.#flights.set(key, flight)
    this.#ask(flight, seeker, refresh)
  }

  #ask(flight: Flight, seeker: Seeker, refresh: boolean): void {
    const { run } = seeker
    flight.leader = run
    this.#ledBy.set(run, flight)
    run.whenSettled(new Landing(this, flight))
    if (refresh) {
      seeker.found(undefined)
      return
    }
    void this.read(flight.key, run).then((hit) => {
      if (!seeker.gone && !run.ended) seeker.found(hit)
    })
  }

  async read(key: string, run: Run): Promise<Hit | undefined> {
    try {
      const entry = await this.#cache.get(key)
      if (entry === undefined) return undefined
      const { value, runId, expires } = entry
      if (expires !== undefined && expires <= run.host.clock.now()) return undefined
      return { value: decodeValue(value), runId }
    } catch (error) {
      run.host.log('warn', run, { err: error }, 'its cached result can’t be read, and it runs')
      return undefined
    }
  }

  /** The leader of a flight has ended, and its end is safe. */
  landed(flight: Flight, run: Run): void {
    if (this.#ledBy.get(run) !== flight) return
    if (run.completed) void this.#keep(flight, run)
    else this.#passOn(flight, run)
  }

  abandoned(run: Run): void {
    const flight = this.#ledBy.get(run)
    if (flight !== undefined) this.#passOn(flight, run)
  }

  #passOn(flight: Flight, run: Run): void {
    this.#ledBy.delete(run)
    for (let next = flight.followers.shift(); next !== undefined; next = flight.followers.shift()) {
      this.#following.delete(next.run)
      if (next.gone || next.run.ended) continue
      this.#ask(flight, next, false)
      return
    }
    this.#flights.delete(flight.key)
  }

  async #keep(flight: Flight, run: Run): Promise<void> {
    let value: Uint8Array | undefined
    try {
      value = encodeValue(run.value, { at: 'result' })
      if (run.stateName !== 'Cached') {
        const { expiryMs } = run.definition.settings.caching ?? {}
        const expires = expiryMs === undefined ? undefined : run.host.clock.now() + expiryMs
        await this.#cache.put(flight.key, { value, runId: run.id, expires })
      }
    } catch (error) {
      run.host.log('warn', run, { err: error }, `its result can’t be cached: ${messageOf(error)}`)
    }
    if (value === undefined) {
      this.#passOn(flight, run)
      return
    }
    this.#ledBy.delete(run)
    this.#flights.delete(flight.key)
    for (let next = flight.followers.shift(); next !== undefined; next = flight.followers.shift()) {
      this.#following.delete(next.run)
      if (!next.gone) next.found({ value: decodeValue(value), runId: run.id })
    }
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

/** Of every two tasks, and of every two versions of one, the keys are different. */
function makeKey(run: Run, key: CacheKey, parameters: readonly unknown[]): string | undefined {
  const { name, version, fn } = run.definition
  if ('make' in key) {
    const made = key.make(...parameters)
    if (made === undefined) return undefined
    if (typeof made === 'string') return canonicalHash([name, version, made])
    throw new RunError('RUN_FAILED', `\`cacheKey\` gave no text, but ${messageOf(made)}`)
  }
  const flowParameters = flowBodyAbove(run)?.arguments
  const call = { name, fn, parameters, flowParameters, flowRunId: run.ledger.flowRunId }
  return canonicalHash([
    name,
    version,
    ...key.policies.map((policy) => [policy.name, shareOf(policy, call)] as const),
  ])
}

/** The body of the flow run that a task run belongs to. */
function flowBodyAbove(run: Run): Run['caller'] {
  let above = run.caller
  while (above !== undefined && above.run.definition.kind === 'task') above = above.run.caller
  return above
}
