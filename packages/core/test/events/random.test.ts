/** Events, lives of engines and faults by chance: every valid event is one flow run, whatever happens in between. */
import {
  createEngine,
  flow,
  JournalError,
  retryAfter,
  sleep,
  type Engine,
  type Intake,
  type Journal,
} from '@troupe/core'
import { virtualClock, type VirtualClock } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../src/ports/random.ts'
import { idOfKey } from '../../src/runs/call-identity.ts'
import { mortalClock } from '../../src/testing/mortal-clock.ts'
import { MemorySource } from './memory-source.ts'
import { journalWith, keptJournal, runsOf, waitOn } from './support.ts'

interface Event {
  readonly key: string
  readonly ms: number
  readonly kind: 'fine' | 'fails' | 'bad' | 'later'
}

const silent = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

type Ending = 'completed' | 'drain' | 'stop' | 'close' | 'graceful' | 'killed'

const endings: readonly Ending[] = ['drain', 'stop', 'close', 'graceful', 'killed']
const seeds = Array.from({ length: 30 }, (_, n) => n + 1)

class World {
  readonly clock: VirtualClock = virtualClock()
  readonly kept: Journal = keptJournal()
  readonly source: MemorySource<Event>
  readonly errors: unknown[] = []
  readonly violations: string[] = []
  readonly ackWhen: 'recorded' | 'finished'
  readonly concurrency: number
  readonly #random
  readonly #created = new Set<string>()
  readonly #ended = new Set<string>()
  readonly #retried = new Map<string, number>()
  #hasFaults = true
  #lives = 0

  constructor(seed: number) {
    this.#random = seededRandom(seed)
    this.ackWhen = this.chance(0.5) ? 'recorded' : 'finished'
    this.concurrency = 1 + this.below(5)
    this.kept.subscribe((flowRunId, first, entries) => {
      if (first === 1) this.#created.add(flowRunId)
      for (const entry of entries)
        if (entry.kind === 'transition' && entry.run === 0 && ['Completed', 'Failed'].includes(entry.to))
          this.#ended.add(flowRunId)
    })
    this.source = new MemorySource<Event>({
      clock: this.clock,
      keepAliveMs: 10_000,
      bury: async () => {
        if (this.#hasFaults && this.chance(0.3)) throw new RangeError('the cellar is locked')
        await waitOn(this.clock, this.below(50))
      },
    })
    const kinds = ['fine', 'fine', 'fine', 'fails', 'bad', 'later'] as const
    const known = Array.from({ length: 25 }, (_, n): Event => ({
      key: `event-${n}`,
      ms: this.below(3_000),
      kind: kinds[this.below(kinds.length)] ?? 'fine',
    }))
    for (let n = 0; n < 45; n++) {
      const event = n < known.length ? known[n] : known[this.below(known.length)]
      if (event !== undefined) this.source.add(event, event.key)
    }
    this.source.onDone = ({ event }) => {
      const id = this.idOf(event)
      if (event.kind === 'bad') this.violations.push(`${event.key} is bad, and was acknowledged`)
      else if (!this.#created.has(id))
        this.violations.push(`${event.key} was acknowledged before it was recorded`)
      else if (this.ackWhen === 'finished' && !this.#ended.has(id))
        this.violations.push(`${event.key} was acknowledged before it had ended`)
    }
  }

  below(limit: number): number {
    return Math.floor(this.#random.number() * limit)
  }

  chance(of: number): boolean {
    return this.#random.number() < of
  }

  idOf({ key }: Event): string {
    return idOfKey('accept-chance', `accept-chance/${key}`)
  }

  /** One engine with its intake, from its opening to its end. */
  async live(ending: Ending): Promise<void> {
    const isLast = ending === 'completed'
    this.#hasFaults = !isLast
    const life = { isDead: false }
    const clock = mortalClock(this.clock)
    const engine = createEngine({
      node: `life-${++this.#lives}`,
      clock,
      random: seededRandom(this.#lives * 1_000 + this.concurrency),
      journal: this.#journalOf(life),
      recover: true,
      logger: silent,
    })
    engine.errors.subscribe(({ error }) => this.errors.push(error))
    const intake = this.#intakeOf(engine)
    intake.statuses.subscribe(({ inFlight, waiting }) => {
      if (inFlight + waiting > this.concurrency) this.violations.push(`${inFlight} + ${waiting} at once`)
    })
    if (isLast) {
      this.source.end()
      await this.clock.run(intake.done)
      await this.clock.run(waitOn(this.clock, 3_600_000))
      await this.clock.run(engine.close())
      return
    }
    for (let n = this.below(6); n > 0; n--) {
      await this.clock.run(waitOn(this.clock, this.below(1_500)))
      if (this.chance(0.3)) intake.pause()
      else intake.resume()
    }
    if (ending === 'killed') {
      life.isDead = true
      clock.die()
      this.source.crash()
      void engine.close()
      return
    }
    if (ending === 'drain' || ending === 'stop') {
      this.#hasFaults = ending === 'stop'
      await this.clock.run(ending === 'drain' ? intake.drain() : intake.stop())
      if (intake.status.state !== 'stopped') this.violations.push(`it is ${intake.status.state}`)
    }
    await this.clock.run(engine.close(ending === 'graceful' ? { grace: this.below(2_000) } : {}))
    if (this.source.count('held') > 0) this.violations.push(`${ending}: events were not handed back`)
  }

  #intakeOf(engine: Engine): Intake {
    const accept = flow('accept-chance', async ({ ms, kind, key }: Event) => {
      await sleep(ms)
      if (kind === 'fails') throw new RangeError(`${key} fails`)
    })
    return engine.on(this.source, accept, {
      concurrency: this.concurrency,
      ackWhen: this.ackWhen,
      parameters: async (event) => {
        await waitOn(this.clock, this.below(20))
        if (event.kind === 'bad') throw new TypeError(`${event.key} is bad`)
        const tries = this.#retried.get(event.key) ?? 0
        this.#retried.set(event.key, tries + 1)
        if (event.kind === 'later' && tries < 2) throw retryAfter(this.below(500))
        return [event]
      },
    })
  }

  /** One that fails and is slow by chance, and does not answer the dead. */
  #journalOf(life: { readonly isDead: boolean }): Journal {
    const asked = async <T>(ask: () => Promise<T>): Promise<T> => {
      if (life.isDead) return new Promise(() => undefined)
      if (this.#hasFaults && this.chance(0.1)) await waitOn(this.clock, this.below(300))
      const unavailable = new JournalError('JOURNAL_UNAVAILABLE', 'the disk is slow')
      if (this.#hasFaults && this.chance(0.05)) throw unavailable
      const answer = await ask()
      if (this.#hasFaults && this.chance(0.05)) throw unavailable
      return life.isDead ? new Promise(() => undefined) : answer
    }
    return journalWith(this.kept, {
      append: (append) => asked(async () => this.kept.append(append)),
      read: (id, from, limit) => asked(() => this.kept.read(id, from, limit)),
      summary: (id) => asked(() => this.kept.summary(id)),
    })
  }
}

describe('an intake whose engines come and go, with faults by chance', () => {
  it.each(seeds)('starts one flow run for each valid event, and loses none (seed %i)', async (seed) => {
    const world = new World(seed)
    for (let lives = world.below(4); lives > 0; lives--)
      await world.live(endings[world.below(endings.length)] ?? 'stop')
    await world.live('completed')
    expect(world.violations).toEqual([])
    expect(world.errors.filter((error) => error instanceof TypeError)).toEqual([])
    const runs = await runsOf(world.kept)
    const events = new Map(world.source.messages.map(({ event }) => [event.key, event]))
    const valid = [...events.values()].filter(({ kind }) => kind !== 'bad')
    expect(runs.map(({ flowRunId }) => flowRunId).toSorted()).toEqual(
      valid.map((event) => world.idOf(event)).toSorted(),
    )
    const stateOf = new Map(runs.map(({ flowRunId, state }) => [flowRunId, state]))
    for (const event of valid)
      expect(stateOf.get(world.idOf(event))).toBe(event.kind === 'fails' ? 'Failed' : 'Completed')
    for (const { event, state } of world.source.messages)
      expect(state).toBe(event.kind === 'bad' ? 'dead' : 'done')
  })
})
