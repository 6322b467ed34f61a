import { virtualClock } from '@troupe/core/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Limit, LimitState } from '../../src/engine/limit.ts'
import type { Claim, Claimant } from '../../src/engine/limit-queue.ts'
import { Limiter } from '../../src/engine/limits.ts'

const tags = ['a', 'b', 'c'] as const
type Tag = (typeof tags)[number]

/** What a limit allows; `undefined` where there is none. */
interface Rule {
  readonly concurrency?: number
  readonly rate?: { readonly count: number; readonly per: number }
}

type Step =
  | { readonly do: 'claim'; readonly tags: readonly Tag[]; readonly priority: number }
  | { readonly do: 'release' | 'begin' | 'begin again'; readonly which: number }
  | { readonly do: 'give slots'; readonly tag: Tag; readonly concurrency: number }
  | { readonly do: 'give time'; readonly tag: Tag; readonly per: number }
  | { readonly do: 'remove' | 'set again'; readonly tag: Tag }
  | { readonly do: 'wait'; readonly ms: number }

const anyTag = fc.constantFrom(...tags)
const claim = fc.record({
  do: fc.constant('claim' as const),
  tags: fc.subarray([...tags], { minLength: 1 }),
  priority: fc.nat(2),
})
const someone = fc.record({ do: fc.constantFrom('release', 'begin', 'begin again'), which: fc.nat(20) })
const slots = fc.record({
  do: fc.constant('give slots' as const),
  tag: anyTag,
  concurrency: fc.integer({ min: 1, max: 4 }),
})
const time = fc.record({
  do: fc.constant('give time' as const),
  tag: anyTag,
  per: fc.integer({ min: 5, max: 50 }),
})
const presence = fc.record({ do: fc.constantFrom('remove', 'set again'), tag: anyTag })
const wait = fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 40 }) })

const concurrency = fc.integer({ min: 1, max: 3 })
const rate = fc.record({ count: fc.integer({ min: 1, max: 3 }), per: fc.integer({ min: 10, max: 30 }) })
const anyRule: fc.Arbitrary<Rule> = fc.oneof(
  fc.record({ concurrency }),
  fc.record({ rate }),
  fc.record({ concurrency, rate }),
)

/** A claimant, and what is known of it without asking the limiter. */
class Waiter implements Claimant {
  readonly hasBegun = false
  readonly priority: number
  readonly order: number
  /** Of the limits that count it. */
  tags: readonly Tag[]
  claim: Claim | undefined
  state: 'waits' | 'may begin' | 'runs' | 'gone' = 'waits'
  readonly #world: World

  constructor(world: World, order: number, tags: readonly Tag[], priority: number) {
    this.#world = world
    this.order = order
    this.tags = tags
    this.priority = priority
  }

  slotsGranted(): void {
    this.#world.grant(this)
  }

  get run(): this {
    return this
  }

  get id(): string {
    return `#${this.order}`
  }

  slotsAwaited(): void {
    throw new Error('nobody else is asked here')
  }

  holding(): readonly object[] {
    return []
  }

  deadlocked(): void {
    throw new Error('nobody is part of another here')
  }

  get holds(): boolean {
    return this.state === 'may begin' || this.state === 'runs'
  }

  goesBefore({ priority, order }: Waiter): boolean {
    return this.priority === priority ? this.order < order : this.priority > priority
  }
}

/** A limiter, and a model of it so plain that it can be read: nothing in it is remembered but what was done. */
class World {
  readonly #clock = virtualClock()
  readonly #rules = new Map<Tag, Rule | undefined>()
  readonly #latest = new Map<Tag, Rule>()
  readonly #starts = new Map<Tag, number[]>()
  readonly #limiter: Limiter
  #waiters: Waiter[] = []
  #order = 0

  constructor(given: Readonly<Record<Tag, Rule>>) {
    this.#limiter = new Limiter(
      this.#clock,
      tags.map((tag) => limitOf(tag, given[tag])),
    )
    for (const tag of tags) this.#set(tag, given[tag])
  }

  #set(tag: Tag, changed: Rule): void {
    this.#rules.set(tag, changed)
    this.#latest.set(tag, changed)
  }

  #waiting(tag: Tag): Waiter[] {
    return this.#waiters.filter((waiter) => waiter.state === 'waits' && waiter.tags.includes(tag))
  }

  #held(tag: Tag): number {
    return this.#waiters.filter((waiter) => waiter.holds && waiter.tags.includes(tag)).length
  }

  #hasTime(tag: Tag): boolean {
    const { rate: allowed } = this.#rules.get(tag) ?? {}
    if (allowed === undefined) return true
    const now = this.#clock.now()
    const begun = (this.#starts.get(tag) ?? []).filter((at) => at + allowed.per > now).length
    // Whoever may begin may do so at any moment, and all of them at the same.
    const toBegin = this.#waiters.filter(
      ({ state, tags: own }) => state === 'may begin' && own.includes(tag),
    ).length
    return begun + toBegin < allowed.count
  }

  #hasRoom(tag: Tag): boolean {
    return (
      this.#held(tag) < (this.#rules.get(tag)?.concurrency ?? Number.POSITIVE_INFINITY) && this.#hasTime(tag)
    )
  }

  #begun(waiter: Waiter): void {
    for (const tag of waiter.tags) {
      if (this.#rules.get(tag)?.rate === undefined) continue
      this.#starts.set(tag, [...(this.#starts.get(tag) ?? []), this.#clock.now()])
    }
  }

  #before(waiter: Waiter, tag: Tag): Waiter[] {
    return this.#waiting(tag).filter((other) => other !== waiter && other.goesBefore(waiter))
  }

  grant(waiter: Waiter): void {
    must(waiter.state === 'waits', () => `#${waiter.order} got its slots while it ${waiter.state}`)
    for (const tag of waiter.tags) {
      must(this.#hasRoom(tag), () => `#${waiter.order} got a slot of ${tag}, which has none to give`)
      must(this.#before(waiter, tag).length === 0, () => `#${waiter.order} came before its turn in ${tag}`)
    }
    waiter.state = 'may begin'
  }

  play(step: Step): void {
    if (step.do === 'claim') this.#claim(step.tags, step.priority)
    else if (step.do === 'wait') this.#clock.advance(step.ms)
    else if ('which' in step) this.#tell(step.do, step.which)
    else this.#change(step)
    this.#forget()
  }

  #claim(wanted: readonly Tag[], priority: number): void {
    const counted = wanted.filter((tag) => this.#rules.get(tag) !== undefined)
    const limits = this.#limiter.of({ kind: 'task', name: 'any', tags: wanted })
    must((limits?.length ?? 0) === counted.length, () => `${wanted.join()} are not ${counted.join()}`)
    if (limits === undefined) return
    const waiter = new Waiter(this, ++this.#order, counted, priority)
    this.#waiters.push(waiter)
    waiter.claim = this.#limiter.claim(limits, waiter)
    if (waiter.claim.granted) this.grant(waiter)
  }

  #tell(what: 'release' | 'begin' | 'begin again', which: number): void {
    const able = this.#waiters.filter(
      ({ state }) =>
        (what === 'release' && state !== 'gone') ||
        (what === 'begin' && state === 'may begin') ||
        (what === 'begin again' && state === 'runs'),
    )
    const waiter = able[which % Math.max(1, able.length)]
    if (waiter === undefined) return
    if (what === 'release') this.release(waiter)
    else if (what === 'begin') this.begin(waiter)
    else this.#beginAgain(waiter)
  }

  begin(waiter: Waiter): void {
    waiter.state = 'runs'
    this.#begun(waiter)
    waiter.claim?.begun()
    // A second time changes nothing.
    waiter.claim?.begun()
  }

  #beginAgain(waiter: Waiter): void {
    const rated = waiter.tags.filter((tag) => this.#rules.get(tag)?.rate !== undefined)
    const may = rated.every((tag) => this.#hasTime(tag) && this.#waiting(tag).length === 0)
    must(waiter.claim?.again() === may, () => `#${waiter.order} begins again: ${may}`)
    if (may) waiter.state = 'may begin'
  }

  release(waiter: Waiter): void {
    waiter.state = 'gone'
    waiter.claim?.release()
    // A second time changes nothing.
    waiter.claim?.release()
  }

  #change(step: Extract<Step, { tag: Tag }>): void {
    const { tag } = step
    const before = this.#rules.get(tag)
    if (step.do === 'remove') {
      this.#rules.set(tag, undefined)
      for (const waiter of this.#waiting(tag)) waiter.tags = waiter.tags.filter((own) => own !== tag)
      must(this.#limiter.remove({ tag }) === (before !== undefined), () => `was ${tag} there?`)
      return
    }
    let changed = before ?? this.#latest.get(tag) ?? {}
    if (step.do === 'give slots' && changed.concurrency !== undefined)
      changed = { ...changed, concurrency: step.concurrency }
    if (step.do === 'give time' && changed.rate !== undefined)
      changed = { ...changed, rate: { ...changed.rate, per: step.per } }
    if (before === undefined && step.do !== 'set again') return
    this.#set(tag, changed)
    this.#limiter.set(limitOf(tag, changed))
  }

  /** A limit that was removed, and that nobody holds or waits for, is not there any more, nor are its starts. */
  #forget(): void {
    for (const tag of tags)
      if (this.#rules.get(tag) === undefined && this.#held(tag) + this.#waiting(tag).length === 0)
        this.#starts.delete(tag)
  }

  check(): void {
    const there = tags.filter((tag) => this.#rules.get(tag) !== undefined)
    const listed = this.#limiter.list().map(({ tag, held, waiting }) => `${tag} ${held}/${waiting}`)
    const expected = there.map((tag) => `${tag} ${this.#held(tag)}/${this.#waiting(tag).length}`)
    const [is, should] = [listed.toSorted().join(), expected.join()]
    must(is === should, () => `the limits are ${is}, and should be ${should}`)
    for (const waiter of this.#waiters.filter(({ state }) => state === 'waits')) {
      const { tags: counting } = waiter
      const isFirst = counting.every((tag) => this.#before(waiter, tag).length === 0)
      const couldBegin = isFirst && counting.every((tag) => this.#hasRoom(tag))
      must(!couldBegin, () => `#${waiter.order} waits for ${counting.join()}, which have room`)
    }
    // One deadline at the most for each queue that a rate holds up, and none for nobody.
    const timed = there.filter(
      (tag) => this.#rules.get(tag)?.rate !== undefined && this.#waiting(tag).length > 0,
    )
    const deadlines = this.#clock.waiting
    must(deadlines <= timed.length, () => `${deadlines} deadlines for the queues of ${timed.join()}`)
  }

  /** All give back what they have and leave the queues. */
  end(): void {
    for (const waiter of this.#waiters) {
      if (waiter.state !== 'gone') this.release(waiter)
      this.check()
    }
    must(isIdle(this.#limiter) && this.#clock.waiting === 0, () => 'something is left')
  }

  /** Those that hold slots give them back as time goes by: all others get theirs. */
  drain(): void {
    for (let moves = 0; ; moves++) {
      const holding = this.#waiters.find((waiter) => waiter.holds)
      if (holding?.state === 'may begin' && moves % 3 > 0) this.begin(holding)
      else if (holding !== undefined) this.release(holding)
      else if (!this.#clock.advanceToNext()) break
      this.check()
      must(moves < 10_000, () => 'it never ends')
    }
    const left = this.#waiters.filter(({ state }) => state === 'waits').length
    must(left === 0, () => `${left} wait though nobody holds a slot`)
  }
}

/** In place of `expect`, which takes most of the time of a thousand long games. */
function must(condition: boolean, otherwise: () => string): void {
  if (!condition) throw new Error(otherwise())
}

function isIdle(limiter: Limiter): boolean {
  return limiter.list().every(({ held, waiting }) => held + waiting === 0)
}

function limitOf(tag: Tag, { concurrency: slotsOf, rate: rateOf }: Rule): Limit {
  return {
    tag,
    ...(slotsOf === undefined ? undefined : { concurrency: slotsOf }),
    ...(rateOf === undefined ? undefined : { rate: rateOf }),
  }
}

/** Plays steps of some kinds, each as often as its weight says, on any three limits. @returns What went wrong. */
function holds(
  weights: readonly (readonly [weight: number, step: fc.Arbitrary<unknown>])[],
  rule = anyRule,
): string | undefined {
  const kinds = weights.map(([weight, arbitrary]) => ({ weight, arbitrary: arbitrary as fc.Arbitrary<Step> }))
  const steps = fc.array(fc.oneof(...kinds), { maxLength: 60, size: 'max' })
  const found = fc.check(
    fc.property(fc.record({ a: rule, b: rule, c: rule }), steps, fc.boolean(), (given, played, drains) => {
      const world = new World(given)
      for (const one of played) {
        world.play(one)
        world.check()
      }
      if (drains) world.drain()
      world.end()
    }),
    { numRuns: 1000, includeErrorInReport: true },
  )
  return fc.defaultReportMessage(found)
}

describe('Limiter', () => {
  it('keeps every limit, in order, and forgets nobody, while slots are given, taken, raised and lowered', () => {
    const kinds = [
      [4, claim],
      [3, someone],
      [1, slots],
      [1, wait],
    ] as const
    expect(holds(kinds)).toBeUndefined()
  })

  it('does so while limits are taken away and set again', () => {
    const kinds = [
      [4, claim],
      [3, someone],
      [1, slots],
      [1, presence],
      [1, wait],
    ] as const
    expect(holds(kinds)).toBeUndefined()
  })

  it('does so while the times of rates change', () => {
    const kinds = [
      [4, claim],
      [1, someone],
      [2, time],
      [2, wait],
    ] as const
    expect(holds(kinds, fc.record({ rate }))).toBeUndefined()
  })

  it('hands slots to thousands in order, whoever leaves meanwhile', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(3), { minLength: 500, maxLength: 2000 }),
        fc.integer({ min: 1, max: 9 }),
        (draws, most) => {
          const limiter = new Limiter(virtualClock(), [{ task: 'any', concurrency: most }])
          const limits = limiter.of({ kind: 'task', name: 'any', tags: [] }) ?? []
          const order: number[] = []
          const claims = draws.map((_, number) =>
            limiter.claim(limits, {
              priority: 0,
              order: number,
              run: {},
              id: `#${number}`,
              hasBegun: false,
              slotsAwaited: () => undefined,
              slotsGranted: () => void order.push(number),
              holding: () => [],
              deadlocked: () => undefined,
            }),
          )
          // Two of four leave the queue before their turn.
          const left = new Set(draws.flatMap((draw, number) => (draw < 2 && number >= most ? [number] : [])))
          for (const number of left) claims[number]?.release()
          for (const [number, one] of claims.entries()) if (!left.has(number)) one.release()
          expect(order).toEqual(
            draws.map((_, number) => number).filter((number) => number >= most && !left.has(number)),
          )
          expect(limiter.list()).toEqual([{ task: 'any', concurrency: most, held: 0, waiting: 0 }])
        },
      ),
      { numRuns: 30 },
    )
  })

  it('does little for each run that waits, also where all of them are part of one that holds a slot', () => {
    const clock = virtualClock()
    const limiter = new Limiter(clock, [{ task: 'any', rate: { count: 1, per: 1000 } }])
    const limits = limiter.of({ kind: 'task', name: 'any', tags: [] }) ?? []
    const holder = {}
    let asked = 0
    const waiting = 300
    for (let order = 0; order < waiting; order++)
      limiter.claim(limits, {
        run: {},
        id: `#${order}`,
        hasBegun: false,
        slotsAwaited: () => undefined,
        get priority() {
          asked++
          return 0
        },
        order,
        slotsGranted: () => undefined,
        holding: () => [holder],
        deadlocked: () => undefined,
      })
    // A queue compares each with as many as its logarithm.
    expect(asked).toBeLessThan(waiting * 100)
  })
})

/** A run that submits others when it begins, and ends after them. */
interface Plan {
  readonly tags: readonly Tag[]
  readonly priority: number
  readonly children: readonly Plan[]
  /** Whether it is cancelled, if it still waits when that comes to be done. */
  readonly cancelled: boolean
}

function forests(of: readonly Tag[]): fc.Arbitrary<Plan[]> {
  const { plan } = fc.letrec<{ plan: Plan }>((tie) => ({
    plan: fc.record({
      tags: fc.subarray([...of]),
      priority: fc.nat(2),
      children: fc.oneof({ maxDepth: 3 }, fc.constant([]), fc.array(tie('plan'), { maxLength: 3 })),
      cancelled: fc.boolean(),
    }),
  }))
  return fc.array(plan, { minLength: 1, maxLength: 6 })
}

class Node implements Claimant {
  readonly hasBegun = false
  readonly plan: Plan
  readonly above: Node | undefined
  readonly order: number
  state: 'waits' | 'runs' | 'gone' = 'waits'
  claim: Claim | undefined
  live = 0
  readonly #forest: Forest

  constructor(forest: Forest, plan: Plan, above: Node | undefined) {
    this.#forest = forest
    this.plan = plan
    this.above = above
    this.order = forest.nodes.push(this)
  }

  get run(): this {
    return this
  }

  get id(): string {
    return `#${this.order}`
  }

  slotsAwaited(): void {
    throw new Error('nobody else is asked here')
  }

  get priority(): number {
    return this.plan.priority
  }

  ask(): void {
    const { limiter } = this.#forest
    const limits = limiter.of({ kind: 'task', name: 'any', tags: this.plan.tags })
    if (limits !== undefined) this.claim = limiter.claim(limits, this)
    if (this.claim === undefined || this.claim.granted) this.slotsGranted()
    else if (this.plan.cancelled) this.#forest.later(() => this.state === 'waits' && this.#end())
  }

  slotsGranted(): void {
    must(this.state === 'waits', () => `${this.order} got its slots twice`)
    this.state = 'runs'
    this.claim?.begun()
    this.live = this.plan.children.length
    this.#forest.later(() => {
      for (const plan of this.plan.children) new Node(this.#forest, plan, this).ask()
      if (this.live === 0) this.#end()
    })
  }

  /** The run itself, and those that it is part of. */
  get line(): Node[] {
    return [this, ...(this.above?.line ?? [])]
  }

  holding(): readonly object[] {
    return this.line.filter(({ claim: made }) => made?.granted === true)
  }

  deadlocked(): void {
    must(this.#forest.waitForEver().has(this), () => `${this.order} would have got its slots in the end`)
    this.#end()
  }

  #end(): void {
    this.state = 'gone'
    this.claim?.release()
    const { above } = this
    if (above === undefined) return
    above.live--
    this.#forest.later(() => {
      if (above.live === 0 && above.state === 'runs') above.#end()
    })
  }
}

class Forest {
  readonly limiter: Limiter
  readonly nodes: Node[] = []
  readonly #clock = virtualClock()
  readonly #rules: Readonly<Record<Tag, Rule>>
  readonly #agenda: (() => void)[] = []

  constructor(of: readonly Tag[], given: Readonly<Record<Tag, Rule>>) {
    this.#rules = given
    this.limiter = new Limiter(
      this.#clock,
      of.map((tag) => limitOf(tag, given[tag])),
    )
  }

  later(fn: () => unknown): void {
    this.#agenda.push(fn)
  }

  /** Those that no order of events helps: all who have what they need are above others of them. */
  waitForEver(): ReadonlySet<Node> {
    const stuck = new Set(this.nodes.filter(({ state }) => state === 'waits'))
    const comes = (tag: Tag): boolean => {
      const holders = this.nodes.filter(({ state, plan }) => state === 'runs' && plan.tags.includes(tag))
      const blocked = new Set([...stuck].flatMap(({ line }) => line))
      const { concurrency: most = Number.POSITIVE_INFINITY } = this.#rules[tag]
      return holders.length < most || holders.some((holder) => !blocked.has(holder))
    }
    for (let found: Node | undefined; ; stuck.delete(found)) {
      found = [...stuck].find(({ plan }) => plan.tags.every(comes))
      if (found === undefined) return stuck
    }
  }

  /** @param pick - Which of what is to be done comes next. */
  run(plans: readonly Plan[], pick: () => number): void {
    for (const plan of plans) this.later(() => new Node(this, plan, undefined).ask())
    while (this.#agenda.length > 0 || this.#clock.advanceToNext()) {
      this.#agenda.splice(pick() % Math.max(1, this.#agenda.length), 1)[0]?.()
      // Set as it was, it changes nothing, and is a reason to look again.
      if (pick() % 4 === 0) for (const limit of this.limiter.list()) this.#setAgain(limit)
    }
    const left = this.nodes.filter(({ state }) => state !== 'gone').map(({ order }) => order)
    must(left.length === 0, () => `these never end: ${left.join()}`)
    must(isIdle(this.limiter), () => 'something is left')
  }

  #setAgain({ held: _held, waiting: _waiting, ...limit }: LimitState): void {
    this.limiter.set(limit)
  }
}

function ends(of: readonly Tag[], numRuns: number): string | undefined {
  // Mostly as few as can be: that is where runs get into each other's way.
  const few = fc.record({ concurrency: fc.constantFrom(1, 1, 1, 2, 3) })
  const rarely = fc.record({ concurrency: fc.constantFrom(1, 1, 2), rate })
  const given = fc.oneof(
    { arbitrary: few, weight: 4 },
    { arbitrary: rarely, weight: 1 },
    { arbitrary: fc.record({ rate }), weight: 1 },
  )
  const found = fc.check(
    fc.property(
      forests(of),
      fc.record({ a: given, b: given, c: given }),
      fc.infiniteStream(fc.nat(60)),
      (plans, allowed, picks) => {
        new Forest(of, allowed).run(plans, () => picks.next().value ?? 0)
      },
    ),
    { numRuns, includeErrorInReport: true },
  )
  return fc.defaultReportMessage(found)
}

describe('runs that submit others and end after them', () => {
  it('all end where one limit counts them, and only those fail that would wait for ever', () => {
    expect(ends(['a'], 3000)).toBeUndefined()
  })

  it('all end where several limits count them, and only those fail that would wait for ever', () => {
    expect(ends(tags, 10_000)).toBeUndefined()
  })
})
