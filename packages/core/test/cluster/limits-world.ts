import type { Clock, Limit, Random } from '@troupe/core'
import { seededRandom, type VirtualClock } from '@troupe/core/testing'
import { Peers } from '../../src/cluster/peers.ts'
import { SharedLimits } from '../../src/cluster/shared-limits.ts'
import { Deadlocks } from '../../src/engine/deadlocks.ts'
import type { Claim, Claimant } from '../../src/engine/limit-queue.ts'
import { Limiter } from '../../src/engine/limits.ts'
import { LivingNodes, type LivingNode } from './living-nodes.ts'
import { StoreOfTest, type StoreFaults } from './store-of-test.ts'

interface NodeOfTest {
  readonly name: string
  readonly life: LivingNode
  readonly limiter: Limiter
  readonly shared: SharedLimits
  readonly runs: Set<RunOfTest>
}

/** A run that is to have slots, on whichever node it is. */
class RunOfTest implements Claimant {
  readonly hasBegun = false
  readonly id: string
  readonly tags: readonly string[]
  readonly order: number
  readonly priority: number
  state: 'waits' | 'may begin' | 'runs' | 'over' = 'waits'
  attempts: number
  node: NodeOfTest | undefined
  claim: Claim | undefined
  readonly #world: LimitsWorld

  constructor(world: LimitsWorld, order: number, tags: readonly string[]) {
    this.#world = world
    this.order = order
    this.id = `run-${order}`
    this.tags = tags
    this.priority = world.random.uint32() % 3
    this.attempts = 1 + (world.random.uint32() % 2)
  }

  get run(): this {
    return this
  }

  get holds(): boolean {
    return this.state === 'may begin' || this.state === 'runs'
  }

  slotsGranted(): void {
    this.#world.granted(this)
  }

  slotsAwaited(): void {
    if (this.state !== 'waits') this.#world.broken.push(`${this.id} is told to wait, and ${this.state}`)
  }

  holding(): readonly object[] {
    return []
  }

  deadlocked(): void {
    throw new Error('nobody is part of another here')
  }
}

/** Engines' worth of limits, runs that want slots, and nodes that die, on one virtual time and from one seed. */
export class LimitsWorld {
  readonly random: Random
  readonly lives: LivingNodes
  readonly clock: VirtualClock
  readonly store: StoreOfTest
  readonly #nodes: NodeOfTest[] = []
  /** What the store will bear at the most. */
  readonly #limits: readonly Limit[]
  readonly #runs: RunOfTest[] = []
  readonly #starts = new Map<string, number[]>()
  readonly reports: unknown[] = []
  /** What must not be. */
  readonly broken: string[] = []
  readonly log: string[] = []

  constructor(seed: number, limits: readonly Limit[], faults: StoreFaults) {
    this.random = seededRandom(seed)
    this.#limits = limits
    this.lives = new LivingNodes(seededRandom(seed + 2))
    this.clock = this.lives.clock
    this.store = new StoreOfTest(this.clock, seededRandom(seed + 1), faults)
  }

  pick(below: number): number {
    return this.random.uint32() % below
  }

  start(name: string, limits = this.#limits): NodeOfTest {
    const life = this.lives.add(name)
    const { clock } = life
    const random = seededRandom(this.random.uint32())
    const peers = new Peers(life.nodes, name, random)
    peers.arrived()
    // The clocks of the nodes differ.
    const own: Clock = {
      ...clock,
      now: () => clock.now() + name.length * 1_000_000,
      at: (deadline, fn) => clock.at(deadline - name.length * 1_000_000, fn),
    }
    const shared = new SharedLimits({
      register: this.store.line(clock),
      peers,
      clock: own,
      random,
      report: (error) => this.reports.push(error),
      warn: () => undefined,
    })
    const limiter = new Limiter(own, limits, new Deadlocks(), shared)
    const node = { name, life, limiter, shared, runs: new Set<RunOfTest>() }
    this.#nodes.push(node)
    return node
  }

  get living(): readonly NodeOfTest[] {
    return this.#nodes.filter(({ life }) => !life.isDead)
  }

  submit(node: NodeOfTest, tags: readonly string[]): void {
    const run = new RunOfTest(this, this.#runs.length, tags)
    this.#runs.push(run)
    this.#ask(run, node)
  }

  #ask(run: RunOfTest, node: NodeOfTest): void {
    run.state = 'waits'
    run.node = node
    node.runs.add(run)
    const ask = (): void => {
      if (node.life.isDead || run.node !== node || run.state !== 'waits') return
      const limits = node.limiter.of({ kind: 'task', name: 'any', tags: run.tags })
      if (limits === undefined) throw new Error(`no limit counts ${run.id}`)
      run.claim = node.limiter.claim(limits, run)
      if (run.claim.granted) throw new Error('no other node was asked')
    }
    const opening = node.limiter.opening({ kind: 'task', name: 'any', tags: run.tags })
    if (opening === undefined) ask()
    else void opening.then(ask)
  }

  granted(run: RunOfTest): void {
    const { node } = run
    if (node === undefined || node.life.isDead || run.state !== 'waits') {
      this.broken.push(`${run.id} got slots, and ${run.state}`)
      return
    }
    run.state = 'may begin'
    for (const limit of this.#limits) {
      if (limit.concurrency === undefined) continue
      const holders = this.#holders(String(limit.tag))
      if (holders.length > limit.concurrency)
        this.broken.push(`${holders.map(({ id }) => id).join()} have ${limit.concurrency} of ${limit.tag}`)
    }
    this.#after(node, this.random.number() * 20, () => this.#begin(run))
  }

  #holders(tag: string): RunOfTest[] {
    return this.#runs.filter(
      ({ holds, node, tags }) => holds && node?.life.isDead === false && tags.includes(tag),
    )
  }

  #after({ life }: NodeOfTest, ms: number, fn: () => void): void {
    this.lives.after(life, ms, fn)
  }

  #begin(run: RunOfTest): void {
    const { node } = run
    if (run.state !== 'may begin' || node === undefined) return
    run.state = 'runs'
    this.log.push(`${Math.round(this.clock.now() % 1e6)} ${run.id} on ${node.name}`)
    for (const tag of run.tags) this.#starts.set(tag, [...(this.#starts.get(tag) ?? []), this.store.now()])
    run.claim?.begun()
    this.#after(node, this.random.number() * 60, () => this.#end(run))
  }

  #end(run: RunOfTest): void {
    const { node } = run
    if (run.state !== 'runs' || node === undefined) return
    run.attempts--
    if (run.attempts > 0 && run.claim?.again() === true) {
      run.state = 'may begin'
      this.#begin(run)
      return
    }
    run.state = 'over'
    node.runs.delete(run)
    run.claim?.release()
    if (run.attempts > 0) this.#after(node, this.random.number() * 30, () => this.#ask(run, node))
  }

  /** One that waits is cancelled. */
  cancel(): void {
    const waiting = this.#runs.filter(({ state, node }) => state === 'waits' && node?.life.isDead === false)
    const run = waiting[this.pick(Math.max(1, waiting.length))]
    if (run === undefined) return
    run.state = 'over'
    run.node?.runs.delete(run)
    run.claim?.release()
  }

  /** A node dies. Its runs go on on others when that is seen, some at once and some later. */
  kill(node: NodeOfTest): void {
    this.lives.kill(node.life, () => {
      for (const run of node.runs)
        this.clock.at(this.clock.now() + this.random.number() * 6_000, () => this.#takeOver(run))
    })
  }

  #takeOver(run: RunOfTest): void {
    const { living } = this
    const node = living[this.pick(living.length)]
    if (node !== undefined) this.#ask(run, node)
  }

  /** A node of the name of one that is gone. */
  startAgain(): void {
    const gone = this.#nodes.filter(
      ({ name, life }) =>
        life.isGone && !this.#nodes.some((other) => other.name === name && !other.life.isGone),
    )
    const node = gone[this.pick(Math.max(1, gone.length))]
    if (node !== undefined) this.start(node.name)
  }

  /** Some node sets the slots of a limit, up to what the world began with. */
  setSomewhere(): void {
    const { tag, concurrency, rate } = this.#limits[this.pick(this.#limits.length)]!
    if (concurrency === undefined) return
    const { limiter } = this.living[this.pick(this.living.length)]!
    const less = 1 + this.pick(concurrency)
    limiter.set({ tag: String(tag), concurrency: less, ...(rate === undefined ? undefined : { rate }) })
  }

  /** The limits as each node knows them. */
  known(): readonly string[] {
    return this.living.map(({ limiter }) =>
      limiter
        .list()
        .map(({ tag, concurrency, held, waiting }) => `${tag} ${concurrency} ${held}/${waiting}`)
        .toSorted()
        .join(),
    )
  }

  /** Lets time pass until nothing is left to be done, or so long. @returns Runs that are not over. */
  async play(ms = 600_000): Promise<readonly string[]> {
    await this.lives.until(() => this.#runs.every(({ state }) => state === 'over'), ms)
    const left = this.#runs.filter(({ state }) => state !== 'over')
    return left.map(({ id, state, node }) => `${id} ${state} on ${node?.name}`)
  }

  /** Windows of the store's time in which more attempts began than a rate allows. */
  tooMany(): string[] {
    return this.#limits.flatMap(({ tag, rate }) => {
      if (rate === undefined) return []
      const starts = this.#starts.get(String(tag)) ?? []
      return starts.flatMap((at, index) => {
        const later = starts[index + rate.count]
        // Sums of parts of milliseconds.
        const isTooMany = later !== undefined && later - at < Number(rate.per) - 1e-3
        return isTooMany ? [`${tag}: ${rate.count + 1} within ${later - at}`] : []
      })
    })
  }

  /** What stands in the store besides definitions. */
  left(): string[] {
    return [...this.store.read()].flatMap(([key, written]) => {
      const { shares, queue } = written as { shares: object; queue: readonly string[] }
      const names = [...Object.keys(shares), ...queue]
      return names.length === 0 ? [] : [`${key}: ${names.join()}`]
    })
  }

  async close(): Promise<void> {
    const closed = Promise.all(
      this.living.map(async ({ shared }) => {
        await shared.close()
        shared.stop()
      }),
    )
    let isClosed = false
    void closed.then(() => (isClosed = true))
    await this.lives.until(() => isClosed, 60_000)
    await closed
  }
}
