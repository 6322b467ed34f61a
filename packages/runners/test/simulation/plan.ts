import type { MemoryFaults } from '@troupe/core'
import { seededRandom } from '@troupe/core/testing'

/** One thing that the body of a flow does. */
export type Step =
  | { readonly kind: 'task'; readonly task: TaskPlan; readonly then: 'await' | 'leave' }
  | { readonly kind: 'flow'; readonly flow: FlowPlan; readonly then: 'await' | 'leave' }
  | { readonly kind: 'sleep'; readonly ms: number }
  /** Waits for a signal that somebody sends. */
  | { readonly kind: 'receive'; readonly name: string }
  | { readonly kind: 'draw' }
  /** Waits for all that it has called. */
  | { readonly kind: 'join' }

export interface TaskPlan {
  /** `f0.1`: the second call of the flow `f0`. */
  readonly label: string
  /** How long its body takes, and whether it waits by the engine, which records that. */
  readonly ms: number
  readonly sleeps: boolean
  /** How often its body throws before it does not; `doomed`: always. */
  readonly throws: number | 'doomed'
  readonly retries: number
  readonly retryDelay: number
}

export interface FlowPlan {
  readonly index: number
  readonly label: string
  /** Whether its task runs go to workers. */
  readonly remote: boolean
  readonly steps: readonly Step[]
}

/** Somebody starts a flow run. */
export interface StartPlan {
  readonly atMs: number
  readonly flow: FlowPlan
  /** Place of the node in the plan. */
  readonly by: number
  readonly on: 'here' | 'any'
  /** Another node that starts the same at about the same time. */
  readonly twice: number | undefined
  readonly cancelAtMs: number | undefined
  readonly pause: PausePlan | undefined
}

/** Somebody holds a flow run some time after its start, and lets it go on after that. */
export interface PausePlan {
  readonly atMs: number
  readonly forMs: number
}

/** At some time, with something that the node asks of the transport, or some time after the so-manieth body has begun there. */
export type When =
  | { readonly on: 'time'; readonly ms: number }
  | { readonly on: 'op'; readonly op: number; readonly answered: boolean }
  | { readonly on: 'body'; readonly body: number; readonly ms: number }

export type Fault = {
  /** Place of the node; of one that comes with a body, that is where the body is. */
  readonly node: number
  readonly when: When
} & (
  | { readonly kind: 'crash'; readonly backAfterMs: number; readonly sameName: boolean }
  | { readonly kind: 'partition'; readonly ms: number }
  /** It is closed in an orderly way, and started again. */
  | { readonly kind: 'close'; readonly graceMs: number; readonly backAfterMs: number }
)

export type Role = 'owner' | 'worker' | 'client'

export interface ClusterPlan {
  readonly seed: number
  readonly nodes: readonly { readonly role: Role; readonly skewMs: number }[]
  readonly flows: readonly FlowPlan[]
  readonly starts: readonly StartPlan[]
  /** How many task runs there may be at once, on all nodes together. */
  readonly limit: number | undefined
  readonly messages: MemoryFaults
  readonly faults: readonly Fault[]
  /** How likely time goes on though there is more to do, at each turn. */
  readonly slip: number
}

/** Draws of a plan. */
export class Chance {
  readonly #random

  constructor(seed: number) {
    this.#random = seededRandom(seed)
  }

  is(probability: number): boolean {
    return this.#random.number() < probability
  }

  /** An integer from 0 to `count` - 1. */
  below(count: number): number {
    return Math.floor(this.#random.number() * count)
  }

  between(least: number, most: number): number {
    return least + this.below(most - least + 1)
  }

  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T
  }
}

class Planner {
  readonly #chance: Chance
  readonly flows: FlowPlan[] = []
  #left = 14

  constructor(chance: Chance) {
    this.#chance = chance
  }

  flow(label: string, depth: number): FlowPlan {
    const chance = this.#chance
    const steps: Step[] = []
    const flow = { index: this.flows.length, label, remote: chance.is(0.7), steps }
    this.flows.push(flow)
    const count = chance.between(1, 4)
    for (let step = 0; step < count; step++) steps.push(this.#step(`${label}.${step}`, depth))
    if (steps.some((step) => 'then' in step && step.then === 'leave')) steps.push({ kind: 'join' })
    return flow
  }

  #step(label: string, depth: number): Step {
    const chance = this.#chance
    const then = chance.is(0.5) ? 'await' : 'leave'
    const what = chance.below(12)
    if (what === 0) return { kind: 'sleep', ms: chance.of([1, 50, 2_000, 90_000]) }
    if (what === 1) return { kind: 'receive', name: label }
    if (what === 2) return { kind: 'draw' }
    if (what <= 4 && depth < 2 && this.#left > 0)
      return { kind: 'flow', flow: this.flow(label, depth + 1), then }
    return { kind: 'task', task: this.#task(label), then }
  }

  #task(label: string): TaskPlan {
    const chance = this.#chance
    this.#left--
    const retries = chance.is(0.4) ? chance.between(1, 2) : 0
    const throws = chance.is(0.1) ? 'doomed' : chance.is(0.5) ? chance.below(retries + 1) : 0
    return {
      label,
      ms: chance.of([0, 0, 1, 5, 100, 3_000, 6_000]),
      sleeps: chance.is(0.2),
      throws,
      retries,
      retryDelay: chance.of([0, 0, 10, 1_500]),
    }
  }
}

/** What happens in the cluster of a seed. */
export function planCluster(seed: number): ClusterPlan {
  const chance = new Chance(seed * 7919 + 17)
  // Half of the plans are without pauses and limits: what takes many turns of chance is not to be crowded out by them.
  const more = new Chance(seed * 6007 + 29)
  const isFull = seed % 2 === 0
  const roles: Role[] = ['owner', 'owner', ...(chance.is(0.3) ? (['owner'] as const) : [])]
  roles.push('worker', 'worker', 'client')
  const nodes = roles.map((role) => ({ role, skewMs: chance.is(0.5) ? 0 : chance.between(-90_000, 90_000) }))
  const owners = roles.flatMap((role, index) => (role === 'owner' ? [index] : []))
  const client = roles.length - 1
  const planner = new Planner(chance)
  const starts = Array.from({ length: chance.between(1, 2) }, (_, index): StartPlan => {
    const on = chance.is(0.5) ? 'any' : 'here'
    const by = on === 'any' ? chance.of([client, ...owners]) : chance.of(owners)
    return {
      atMs: chance.below(100),
      flow: planner.flow(`f${index}`, 0),
      by,
      on,
      twice: chance.is(0.2) ? chance.of(owners) : undefined,
      cancelAtMs: chance.is(0.15) ? chance.of([20, 150, 2_500, 6_000]) : undefined,
      pause:
        isFull && more.is(0.5)
          ? { atMs: more.of([0, 20, 150, 2_500, 6_000]), forMs: more.of([1, 400, 5_000, 60_000]) }
          : undefined,
    }
  })
  const rough = chance.is(0.6)
  const rate = (most: number): number => (rough && chance.is(0.6) ? chance.between(1, 10) * 0.1 * most : 0)
  const messages = {
    lose: rate(0.15),
    double: rate(0.2),
    delay: rate(0.3),
    delayMs: chance.of([20, 400, 3_000]),
    forget: rate(0.3),
    unanswered: rate(0.1),
  }
  const faults = Array.from({ length: chance.below(5) }, () => faultOf(chance, roles.length))
  return {
    seed,
    nodes,
    flows: planner.flows,
    starts,
    limit: isFull && more.is(0.7) ? more.between(1, 2) : undefined,
    messages,
    faults,
    slip: chance.is(0.5) ? 0 : chance.of([0.001, 0.02]),
  }
}

function faultOf(chance: Chance, nodes: number): Fault {
  const node = chance.below(nodes)
  const when = whenOf(chance)
  const backAfterMs = chance.of([0, 100, 1_000, 3_000, 20_000])
  const kind = chance.below(10)
  if (kind < 3) return { kind: 'partition', node, when, ms: chance.of([300, 1_400, 2_500, 6_000, 40_000]) }
  if (kind < 4) return { kind: 'close', node, when, graceMs: chance.of([0, 50, 5_000]), backAfterMs }
  return { kind: 'crash', node, when, backAfterMs, sameName: chance.is(0.5) }
}

function whenOf(chance: Chance): When {
  const on = chance.below(10)
  if (on < 2) return { on: 'time', ms: chance.of([1, 60, 200, 1_000, 4_000, 20_000]) + chance.below(200) }
  if (on < 5) return { on: 'body', body: chance.between(1, 12), ms: chance.of([0, 1, 50, 1_000]) }
  return { on: 'op', op: Math.ceil(2 ** (chance.below(900) / 100)), answered: chance.is(0.5) }
}

/** Whether nothing goes wrong with nodes and messages, and nobody starts what another one has. */
export function isCalm({ faults, messages, starts }: ClusterPlan): boolean {
  const { lose = 0, double = 0, delay = 0, forget = 0, unanswered = 0 } = messages
  const isWhole = faults.length === 0 && lose + double + delay + forget + unanswered === 0
  return isWhole && starts.every(({ twice }) => twice === undefined)
}

/** What a flow comes to when nothing is cancelled. */
export function resultOf({ steps }: FlowPlan): readonly unknown[] {
  return steps.flatMap((step): unknown[] => {
    switch (step.kind) {
      case 'task':
        return [step.task.throws === 'doomed' ? `${step.task.label} failed` : step.task.label]
      case 'flow':
        return [resultOf(step.flow)]
      case 'receive':
        return [`signal ${step.name}`]
      default:
        return []
    }
  })
}
