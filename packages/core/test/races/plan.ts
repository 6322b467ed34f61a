import { seededRandom } from '@troupe/core/testing'

/** How a body ends in one attempt. */
export type End = 'value' | 'child' | 'throw' | 'failed' | 'abort' | 'again now' | 'again soon' | 'cancelled'

/** What somebody does to a run, or to a limit, while others act. */
export type Act =
  | { readonly kind: 'cancel' | 'pause' | 'resume' | 'look'; readonly run: number }
  | { readonly kind: 'raise'; readonly limit: number }

/** One thing that a body does. */
export type Step =
  /** Takes turns of the event loop, and heeds nothing. */
  | { readonly kind: 'turns'; readonly turns: number }
  /** Takes time: a wait of the engine, which ends with the attempt; one until the signal fires; one that heeds nothing. */
  | { readonly kind: 'sleep' | 'signal' | 'wait'; readonly ms: number }
  | { readonly kind: 'call'; readonly run: number; readonly then: 'await' | 'catch' | 'leave' | 'ignore' }
  /** Waits for all that it has called, whatever becomes of it. */
  | { readonly kind: 'join' }
  | { readonly kind: 'act'; readonly act: Act }

/**
 * When an act comes: after so many turns, at a time, with the so-manieth transition that is shown, hook that is called, or
 * body that ends; and so many microtasks after that.
 */
export interface When {
  readonly on: 'turn' | 'ms' | 'transition' | 'hook' | 'end'
  readonly count: number
  readonly microtasks: number
}

/** What `retryOn` says, and whether at once. */
export type Asked = 'yes' | 'no' | 'yes, later' | 'no, later' | 'throws'

export interface RunPlan {
  readonly index: number
  /** `r0` is the first root, `r0.1` the second call of its body. */
  readonly name: string
  readonly kind: 'flow' | 'task'
  readonly parent: RunPlan | undefined
  readonly calls: RunPlan[]
  readonly retries: number
  readonly retryDelay: number | [number, number] | undefined
  readonly retryJitter: number
  readonly retryOn: Asked | undefined
  readonly timeout: number | false
  readonly waitTimeout: number | false
  readonly grace: number
  readonly priority: number
  readonly tags: readonly string[]
  readonly onBodyError: 'wait' | 'cancel'
  readonly cleanup: boolean
  readonly cached: boolean
  /** Begins when the call before it has completed. */
  readonly waitsForLast: boolean
  readonly hooked: boolean
  readonly steps: Step[]
  /** How its attempts end; the last repeats. */
  readonly ends: readonly End[]
}

export interface LimitPlan {
  readonly target: { readonly tag: string } | { readonly task: string } | { readonly flow: string }
  readonly concurrency: number
  readonly rate: { readonly count: number; readonly per: number } | undefined
}

/** A small world of runs that get in each other's way. */
export interface ScenePlan {
  readonly seed: number
  readonly strictValues: boolean
  /** How late the journal answers at the most, before and after it has stored something. */
  readonly lateTurns: number
  readonly lateMs: number
  /** How likely time goes on though the event loop is not at rest, at each turn. */
  readonly slip: number
  /** Slots of the task runner. */
  readonly slots: number | undefined
  readonly limits: readonly LimitPlan[]
  readonly runs: readonly RunPlan[]
  readonly acts: readonly { readonly when: When; readonly act: Act }[]
  /** When `engine.watch` and the transitions of each root are subscribed to: at this transition, or in the end. */
  readonly watchFrom: number
}

/** Chance from a seed, in the words of plans. */
export class Chance {
  readonly #random: { number(): number }

  constructor(seed: number) {
    this.#random = seededRandom(seed)
  }

  /** An integer from 0 to below `n`. */
  below(n: number): number {
    return Math.floor(this.#random.number() * n)
  }

  /** Whether something of this probability happens. */
  is(probability: number): boolean {
    return this.#random.number() < probability
  }

  of<const T>(items: readonly [T, ...T[]]): T {
    return items[this.below(items.length)] ?? items[0]
  }
}

/** Deadlines are so close that they meet. */
const times: [number, ...number[]] = [1, 1, 2, 2, 3]

/** The scene of a seed. */
export function planScene(seed: number): ScenePlan {
  const chance = new Chance(seed)
  const runs: RunPlan[] = []
  const count = chance.of([2, 3, 3, 4, 4, 5, 6])
  while (runs.length < count) runs.push(planRun(chance, runs))
  for (const run of runs) addSteps(chance, run, count)
  const limits = planLimits(chance)
  const late = chance.of(['never', 'never', 'turns', 'ms'])
  return {
    seed,
    strictValues: chance.is(0.5),
    lateTurns: late === 'turns' ? 1 + chance.below(4) : 0,
    lateMs: late === 'ms' ? 1 + chance.below(2) : 0,
    slip: chance.of([0, 0, 0.1, 0.3]),
    slots: chance.is(0.2) ? 1 + chance.below(2) : undefined,
    limits,
    runs,
    acts: Array.from({ length: 1 + chance.below(4) }, () => ({
      when: planWhen(chance),
      act: planAct(chance, runs.length, limits.length),
    })),
    watchFrom: chance.of([0, 0, 2, 5, 10, Number.POSITIVE_INFINITY]),
  }
}

function planRun(chance: Chance, runs: readonly RunPlan[]): RunPlan {
  const parent = chance.is(0.3) ? undefined : runs[chance.below(runs.length)]
  // Runs below one with a tag would wait for what that has: a few are enough.
  const waitsForParent = parent?.kind === 'task' && parent.tags.length > 0 && !chance.is(0.3)
  const isRoot = parent === undefined || waitsForParent
  const kind = chance.is(isRoot ? 0.55 : 0.2) ? 'flow' : 'task'
  const roots = runs.filter((run) => run.parent === undefined).length
  const run: RunPlan = {
    index: runs.length,
    name: isRoot ? `r${roots}` : `${parent.name}.${parent.calls.length}`,
    kind,
    parent: isRoot ? undefined : parent,
    calls: [],
    retries: chance.of([0, 0, 1, 1, 2]),
    retryDelay: chance.of([undefined, undefined, 0, 1, 1, 2, [0, 1], [1, 0]]),
    retryJitter: chance.is(0.1) ? 0.5 : 0,
    retryOn: chance.is(0.25)
      ? chance.of(['yes', 'no', 'yes, later', 'yes, later', 'no, later', 'throws'])
      : undefined,
    timeout: chance.is(0.5) && chance.of(times),
    waitTimeout: chance.is(0.3) && chance.of(times),
    grace: chance.of([0, 1, 2]),
    priority: chance.of([0, 0, 0, 1]),
    tags: ['a', 'b'].filter((tag) => chance.is(kind === 'flow' ? 0.1 : tag === 'a' ? 0.8 : 0.3)),
    onBodyError: chance.of(['wait', 'wait', 'cancel']),
    cleanup: !isRoot && chance.is(0.1),
    cached: kind === 'task' && chance.is(0.2),
    waitsForLast: !isRoot && parent.calls.length > 0 && chance.is(0.2),
    hooked: chance.is(0.3),
    steps: [],
    ends: Array.from({ length: 1 + chance.below(3) }, () => planEnd(chance)),
  }
  run.parent?.calls.push(run)
  return run
}

function planEnd(chance: Chance): End {
  if (chance.is(0.45)) return 'value'
  return chance.of([
    'child',
    'throw',
    'throw',
    'throw',
    'failed',
    'abort',
    'again now',
    'again soon',
    'cancelled',
  ])
}

function addSteps(chance: Chance, run: RunPlan, runs: number): void {
  const { steps } = run
  for (const { index } of run.calls) {
    steps.push({ kind: 'call', run: index, then: chance.of(['await', 'catch', 'leave', 'leave', 'ignore']) })
    if (chance.is(0.2)) steps.push(planStep(chance, runs))
  }
  const count = chance.of([0, 1, 1, 2, 2])
  for (let n = 0; n < count; n++) steps.splice(chance.below(steps.length + 1), 0, planStep(chance, runs))
  if (run.calls.length > 0 && chance.is(0.5)) steps.push({ kind: 'join' })
}

function planStep(chance: Chance, runs: number): Step {
  const kind = chance.of(['turns', 'turns', 'sleep', 'sleep', 'signal', 'wait', 'wait', 'act'])
  if (kind === 'act') return { kind, act: { kind: 'cancel', run: chance.below(runs) } }
  return kind === 'turns' ? { kind, turns: chance.below(6) } : { kind, ms: chance.of([0, ...times]) }
}

function planLimits(chance: Chance): LimitPlan[] {
  const limits: LimitPlan[] = []
  const add = (probability: number, target: LimitPlan['target']): void => {
    if (!chance.is(probability)) return
    const rate = chance.is(0.1) ? { count: 1 + chance.below(2), per: chance.of(times) } : undefined
    limits.push({ target, concurrency: chance.of([1, 1, 2]), rate })
  }
  add(0.9, { tag: 'a' })
  add(0.5, { tag: 'b' })
  add(0.1, { task: 't' })
  add(0.25, { flow: 'f' })
  return limits
}

function planWhen(chance: Chance): When {
  const on = chance.of(['turn', 'ms', 'ms', 'transition', 'transition', 'hook', 'end', 'end'])
  const count = chance.below({ turn: 30, ms: 5, transition: 20, hook: 8, end: 6 }[on])
  return { on, count: on === 'ms' ? count : count + 1, microtasks: chance.below(6) }
}

function planAct(chance: Chance, runs: number, limits: number): Act {
  const kind = chance.of(['cancel', 'cancel', 'cancel', 'cancel', 'pause', 'pause', 'look', 'raise'])
  if (kind === 'raise' && limits > 0) return { kind, limit: chance.below(limits) }
  return { kind: kind === 'raise' ? 'cancel' : kind, run: chance.below(runs) }
}
