import type {
  Append,
  Delivery,
  EngineError,
  FlowRunHandle,
  JournalSummary,
  MemoryTransport,
  Offer,
  QueueName,
  FlowRun,
  Station,
} from '@troupe/core'
import { unpackOffer } from '@troupe/core/internal'
import { seededRandom } from '@troupe/core/testing'
import { engineClosed } from '../../../core/src/engine/ambient.ts'
import { inside } from '../../../core/src/engine/start.ts'
import type { Entry } from '../../../core/src/journal/entries.ts'
import { isTerminal } from '../../../core/src/machines/states.ts'
import { ClusterClock, executing, NodeClock } from './clock.ts'
import { defined, type Begun, type Library, type Definitions, type Stage } from './flows.ts'
import {
  Chance,
  isCalm,
  type ClusterPlan,
  type Fault,
  type PausePlan,
  type StartPlan,
  type TaskPlan,
  type When,
} from './plan.ts'
import { spiedTransport } from './spied.ts'

/** Longer than any cluster takes, in virtual milliseconds; and how long it may take to come to rest. */
const mostMs = 40 * 60_000
const restMs = 5 * 60_000

type Engine = ReturnType<Library['createEngine']>

/** One life of a node. */
export interface Life {
  readonly place: number
  readonly name: string
  readonly clock: NodeClock
  readonly engine: Engine
  state: 'up' | 'dead' | 'closing' | 'closed'
}

export interface Started {
  readonly plan: StartPlan
  readonly id: string
  readonly life: Life
  /** What came of it for who started it. */
  state?: string
  value?: unknown
  error?: unknown
}

/** A message of a queue as a node got it. */
interface Got {
  readonly node: string
  readonly id: string
  readonly repeated: boolean
}

/** An entry as it was committed, by whom. */
export interface Committed {
  readonly flowRunId: string
  readonly position: number
  readonly entry: Entry
}

const silent = { debug() {}, info() {}, warn() {}, error() {} }

/** A cluster of a plan that lives, and what was seen of it. */
export class World implements Stage {
  readonly core: Library
  readonly plan: ClusterPlan
  readonly clock: ClusterClock
  readonly transport: MemoryTransport
  readonly observer: Station
  readonly lives: Life[] = []
  readonly log: string[] = []
  readonly bodies: Begun[] = []
  readonly started: Started[] = []
  readonly committed: Committed[] = []
  /** The newest epoch that was written to each journal, and by which node. */
  readonly #writers = new Map<string, { readonly node: string; readonly epoch: number }>()
  /** Which nodes got each attempt, with which messages, and whether those were marked as repetitions. */
  readonly deliveries = new Map<string, readonly Got[]>()
  readonly violations: { readonly check: string; readonly message: string }[] = []
  readonly errors: string[] = []
  /** Flow runs that somebody has tried to cancel. */
  readonly cancelled = new Set<string>()
  crashes = 0
  readonly #definitions: Definitions
  readonly #ends = new Set<string>()
  readonly #waits = new Set<() => void>()
  readonly #throws = new Map<string, number>()
  readonly #due: { readonly fault: Fault; readonly when: Extract<When, { on: 'op' }> }[] = []
  readonly #dueWithBodies: { readonly fault: Fault; readonly when: Extract<When, { on: 'body' }> }[] = []
  readonly #cutOff = new Set<Life>()
  #isOver = false
  #ops = 0
  #seeds = 0

  constructor(core: Library, plan: ClusterPlan) {
    this.core = core
    this.plan = plan
    this.#definitions = defined(core)
    const chance = new Chance(plan.seed + 1_000_003)
    this.clock = new ClusterClock(() => plan.slip > 0 && chance.is(plan.slip))
    this.transport = core.memoryTransport({ seed: plan.seed, faults: plan.messages })
    this.observer = this.transport.open({
      node: 'observer',
      clock: this.clock,
      random: seededRandom(0),
      report: () => undefined,
      cutOff: () => undefined,
    })
    this.observer.journal.subscribe((flowRunId, first, entries) => this.#committed(flowRunId, first, entries))
  }

  /** Lives until all flow runs have ended, and nothing is left of them. */
  async live(): Promise<this> {
    this.#definitions.play(this)
    this.plan.nodes.forEach((_, place) => this.#open(place, 1))
    for (const fault of this.plan.faults) this.#arrange(fault)
    const whole = this.#direct()
    const isOver = await this.clock.run(whole, mostMs)
    if (isOver) await whole
    else this.violated('comes to its end', await this.#whatIsLeft())
    return this
  }

  async close(): Promise<void> {
    this.#due.length = 0
    this.#isOver = true
    const closeBy = this.clock.now() + 60_000
    const open = new Set<string>()
    for (const { name, engine, state } of this.lives) {
      if (state !== 'up') continue
      open.add(name)
      void engine.close().then(() => open.delete(name))
    }
    while (open.size > 0 && (await this.clock.run(this.clock.sleep(100), 60_000))) {
      if (this.clock.now() < closeBy) continue
      this.violated('comes to its end', `an engine does not close: ${[...open].join(', ')}`)
      break
    }
    this.#definitions.play(undefined)
    for (const { engine } of this.lives) forget(engine)
  }

  violated(check: string, message: string): void {
    this.violations.push({ check, message })
    this.say(`! ${check}: ${message}`)
  }

  say(line: string): void {
    this.log.push(`${this.clock.monotonic()} ${line}`)
  }

  async #direct(): Promise<void> {
    const starts = this.plan.starts.map((start) => this.#start(start))
    await Promise.all(starts)
    await this.#until(() =>
      this.started.every(({ id, life }) => this.#ends.has(id) || this.#isNowhere(id, life)),
    )
    await this.#settle()
  }

  /** Whether a flow run was lost with who started it before it was anywhere. */
  #isNowhere(id: string, { state }: Life): boolean {
    return state !== 'up' && this.committed.every(({ flowRunId }) => flowRunId !== id)
  }

  async #until(isThere: () => boolean): Promise<void> {
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (!isThere()) return
        this.#waits.delete(look)
        resolve()
      }
      this.#waits.add(look)
      look()
    })
  }

  /** What is left behind is taken away within some time. */
  async #settle(): Promise<void> {
    const until = this.clock.now() + restMs
    for (;;) {
      await this.clock.sleep(2_000)
      const left = await this.leftBehind()
      const haveHeard = this.started.every(({ state, life }) => state !== undefined || life.state !== 'up')
      const isQuiet =
        haveHeard && this.#cutOff.size === 0 && this.lives.every(({ state }) => state !== 'closing')
      if (left.length === 0 && isQuiet) return
      if (this.clock.now() < until) continue
      for (const what of left) this.violated('nothing is left behind', what)
      return
    }
  }

  async leftBehind(): Promise<string[]> {
    const { queue, mailbox, journal } = this.observer
    const left: string[] = []
    for (const name of this.#definitions.queues) {
      const { ids } = await queue.pending(name, 100)
      left.push(...ids.map((id) => `${id} in queue ${name.of} ${name.name}`))
    }
    const addressees = (await mailbox.addressees?.(100)) ?? []
    for (const id of addressees) if (!(await this.#isAnswerToDead(id))) left.push(`a message to ${id}`)
    left.push(...(await this.#registered()))
    const live = await journal.list({ ended: false, limit: 100 })
    left.push(...live.map(({ flowRunId, state }) => `flow run ${flowRunId} ${state}`))
    for (const { name, engine, state } of this.lives) {
      if (state !== 'up') continue
      const { liveRuns, leftovers, stalled } = engine.health()
      if (liveRuns > 0) left.push(`${liveRuns} live runs at ${name}`)
      left.push(...[...leftovers, ...stalled].map((what) => `${what} at ${name}`))
    }
    return left
  }

  /** An answer stays for some minutes that comes when whoever asked is dead. */
  async #isAnswerToDead(addressee: string): Promise<boolean> {
    if (!addressee.startsWith('reply-')) return false
    const [answer] = await this.observer.mailbox.pending(addressee)
    return (
      answer === undefined || this.lives.some(({ name, state }) => name === answer.owner && state !== 'up')
    )
  }

  /** What stands in the register, but limits that nobody has anything of: they stay. */
  async #registered(): Promise<string[]> {
    const { register } = this.observer
    const left: string[] = []
    for (const key of await register.keys('')) {
      const registered = await register.get(key)
      if (registered === undefined) continue
      const text = new TextDecoder().decode(registered.value)
      if (!key.startsWith('limits.') || isTaken(text)) left.push(`register ${key} ${text}`)
    }
    return left
  }

  async #whatIsLeft(): Promise<string> {
    const left = this.leftBehind()
    await this.clock.run(left, 10_000)
    return `it goes on and on: ${(await left).join(', ')}`
  }

  // --- nodes ------------------------------------------------------------------------------------------------------------

  #open(place: number, life: number, keep = false): void {
    const { role, skewMs } = this.plan.nodes[place] ?? { role: 'client', skewMs: 0 }
    const before = this.lives.findLast((one) => one.place === place)
    const name =
      keep && before !== undefined ? before.name : `${role[0]}${place}${life === 1 ? '' : `-${life}`}`
    const clock = new NodeClock(this.clock, name, skewMs)
    const { limit } = this.plan
    this.say(`${name} starts`)
    executing.run(name, () => {
      const engine = this.core.createEngine({
        node: name,
        clock,
        random: seededRandom(this.plan.seed * 64 + ++this.#seeds),
        logger: silent,
        transport: spiedTransport(this.transport, {
          asks: (node, what) => this.#asks(node, what),
          offers: (node, offer) => this.#offered(node, offer),
          gets: (node, queue, delivery) => this.#gets(node, queue, delivery),
          says: (node, what) => this.say(`${node} ${what}`),
          appended: (node, append) => this.#appended(node, append),
        }),
        serve: this.#definitions.serve(role),
        limits: role === 'owner' && limit !== undefined ? [this.#definitions.limit(limit)] : [],
        suspendAfter: '30s',
      })
      engine.errors.subscribe((error) => this.#error(name, error))
      this.lives.push({ place, name, clock, engine, state: 'up' })
    })
  }

  #offered(node: string, { id }: Offer): void {
    this.say(`${node} offers ${id}`)
  }

  #gets(node: string, queue: QueueName, { id, body, repeated }: Delivery): void {
    this.say(`${node} gets ${id}${repeated ? ' again' : ''}`)
    for (const key of attemptsIn(queue, body)) {
      const deliveries = this.deliveries.get(key) ?? []
      this.deliveries.set(key, [...deliveries, { node, id, repeated }])
    }
  }

  #error(name: string, { error, runId }: EngineError): void {
    this.errors.push(String((error as { code?: unknown }).code))
    this.say(`${name} says of ${runId ?? 'itself'}: ${String(error)}`)
  }

  /** The life of a place that is up. */
  at(place: number): Life | undefined {
    return this.lives.find((life) => life.place === place && life.state === 'up')
  }

  #arrange(fault: Fault): void {
    const { when } = fault
    if (when.on === 'time') void this.#happens(fault, fault.node, when.ms)
    else if (when.on === 'op') this.#due.push({ fault, when })
    else this.#dueWithBodies.push({ fault, when })
  }

  async #happens(fault: Fault, place: number, afterMs: number): Promise<void> {
    if (afterMs > 0) await this.clock.sleep(afterMs)
    const life = this.at(place)
    if (life === undefined || this.#isOver) return
    if (fault.kind === 'crash') this.#crash(life, fault)
    else if (fault.kind === 'partition') await this.#partition(life, fault.ms)
    else await this.#close(life, fault)
  }

  /** A node asks for something: perhaps that is its last. */
  #asks(node: string, what: string): { before(): void; after(): boolean } | undefined {
    this.#ops++
    const index = this.#due.findIndex(
      ({ when, fault }) => when.op <= this.#ops && this.at(fault.node)?.name === node,
    )
    const [due] = index === -1 ? [] : this.#due.splice(index, 1)
    if (due === undefined) return undefined
    const { fault, when } = due
    const hit = (): void => {
      if (this.at(fault.node)?.name !== node) return
      this.say(`${node} is hit ${when.answered ? 'after' : 'before'} ${what}`)
      void this.#happens(fault, fault.node, 0)
    }
    return {
      before: () => (when.answered ? undefined : hit()),
      after: () => {
        if (when.answered) hit()
        return when.answered && fault.kind === 'crash'
      },
    }
  }

  #crash(life: Life, { backAfterMs, sameName }: Extract<Fault, { kind: 'crash' }>): void {
    this.crashes++
    life.state = 'dead'
    life.clock.isDead = true
    forget(life.engine)
    if (life.engine.health().open) this.transport.crash(life.name)
    this.say(`${life.name} is dead`)
    void this.#again(life.place, backAfterMs, sameName)
    this.#look()
  }

  async #again(place: number, afterMs: number, sameName: boolean): Promise<void> {
    await this.clock.sleep(afterMs)
    const lives = this.lives.filter((life) => life.place === place).length
    if (this.at(place) === undefined && !this.#isOver) this.#open(place, lives + 1, sameName)
  }

  async #partition(life: Life, ms: number): Promise<void> {
    if (this.#cutOff.has(life)) return
    this.say(`${life.name} is cut off`)
    this.transport.partition(life.name)
    this.#cutOff.add(life)
    await this.clock.sleep(ms)
    this.#cutOff.delete(life)
    if (life.state !== 'up') return
    this.say(`${life.name} is healed`)
    this.transport.heal(life.name)
  }

  async #close(life: Life, { graceMs, backAfterMs }: Extract<Fault, { kind: 'close' }>): Promise<void> {
    this.say(`${life.name} closes`)
    life.state = 'closing'
    await executing.run(life.name, () => life.engine.close({ grace: graceMs }))
    if (life.state === 'closing') life.state = 'closed'
    this.say(`${life.name} is closed`)
    this.#look()
    await this.#again(life.place, backAfterMs, false)
  }

  // --- runs -------------------------------------------------------------------------------------------------------------

  async #start(plan: StartPlan): Promise<void> {
    const id = plan.flow.label
    await this.clock.sleep(plan.atMs)
    this.#startAt(plan, plan.by)
    if (plan.twice !== undefined) {
      await this.clock.sleep(1)
      this.#startAt(plan, plan.twice)
    }
    if (plan.pause !== undefined) void this.#pause(id, plan.pause)
    if (plan.cancelAtMs === undefined) return
    void this.#cancel(id, plan.cancelAtMs)
  }

  /** Where that node is not there: by the next one that is. */
  #startAt(plan: StartPlan, place: number): void {
    const life = this.at(place) ?? this.lives.find(({ state }) => state === 'up')
    if (life === undefined) return
    const { flow, on } = plan
    executing.run(life.name, () => {
      const definition = this.#definitions.flowOf(flow)
      const run = life.engine.run(definition.with({ id: flow.label, on }), flow.index)
      this.say(`${life.name} starts ${flow.label}`)
      const started: Started = { plan, id: flow.label, life }
      this.started.push(started)
      this.#follow(run, started)
    })
  }

  #follow(run: FlowRun<unknown>, started: Started): void {
    run.handle.wait().then(
      ({ name }) => {
        started.state = name
        this.say(`${started.life.name} hears that ${started.id} is ${name}`)
      },
      (error: unknown) => this.say(`${started.life.name} hears nothing of ${started.id}: ${String(error)}`),
    )
    run.handle.result().then(
      (value) => (started.value = value),
      (error: unknown) => (started.error = error),
    )
  }

  async #cancel(id: string, afterMs: number): Promise<void> {
    await this.clock.sleep(afterMs)
    await this.#tell(id, async (handle) => {
      this.cancelled.add(id)
      await handle.cancel('enough')
    })
  }

  /** Lets it go on more than once: what holds it may be told to its owner late, or twice. */
  async #pause(id: string, { atMs, forMs }: PausePlan): Promise<void> {
    await this.clock.sleep(atMs)
    await this.#tell(id, (handle) => handle.pause())
    for (let ms = forMs; !this.#ends.has(id) && !this.#isOver; ms = 15_000) {
      await this.clock.sleep(ms)
      await this.#tell(id, (handle) => handle.resume())
    }
  }

  /** A flow run waits for a signal: somebody sends it, again until that is safe. */
  signal(flowRunId: string, name: string): void {
    const key = `${flowRunId} ${name}`
    if (this.#sent.has(key)) return
    this.#sent.add(key)
    void this.clock
      .sleep(300)
      .then(() => this.#tell(flowRunId, async (handle) => handle.signal(name, `signal ${name}`)))
  }

  readonly #sent = new Set<string>()

  /** Somebody who is there tells a flow run something; where it dies of that, somebody else does. */
  async #tell(id: string, tell: (handle: FlowRunHandle<unknown>) => Promise<unknown>): Promise<void> {
    for (let time = 0; !this.#ends.has(id) && time < 200; time++) {
      const places = this.plan.nodes.length
      const life = this.at((places - 1 + time) % places)
      let isTold = false
      if (life !== undefined) {
        const telling = executing.run(life.name, async () => {
          const handle = await life.engine.get(id)
          if (handle?.kind !== 'flow') return
          await tell(handle)
          isTold = true
        })
        await Promise.race([telling.catch(() => undefined), this.clock.sleep(20_000)])
      }
      if (isTold) return
      await this.clock.sleep(500)
    }
  }

  // --- bodies -----------------------------------------------------------------------------------------------------------

  body(run: { readonly id: string; readonly attempt: number }, { label }: TaskPlan): Begun {
    const node = executing.getStore() ?? 'nowhere'
    const begun = {
      runId: run.id,
      label,
      attempt: run.attempt,
      node,
      after: this.committed.length,
      hadEffect: false,
      isOver: false,
    }
    this.say(`${node} begins ${label} ${run.attempt}`)
    this.bodies.push(begun)
    this.#checkLimit()
    for (const { fault, when } of this.#dueWithBodies) {
      if (when.body !== this.bodies.length) continue
      const life = this.lives.find((one) => one.name === node && one.state === 'up')
      this.clock.turn(() => void this.#happens(fault, life?.place ?? fault.node, when.ms))
    }
    return begun
  }

  /** Where nothing goes wrong that would let a body go on whose run has gone on without it. */
  #checkLimit(): void {
    const { limit } = this.plan
    if (limit === undefined || this.cancelled.size > 0 || !isCalm(this.plan)) return
    const busy = new Set(this.bodies.filter(({ isOver }) => !isOver).map(({ runId }) => runId))
    if (busy.size > limit) this.violated('limits hold', `${[...busy].join(', ')} run at once, of ${limit}`)
  }

  effect(begun: Begun): void {
    begun.hadEffect = true
    this.say(`${begun.node} ends ${begun.label} ${begun.attempt}`)
  }

  wait(ms: number): Promise<void> {
    const node = executing.getStore()
    const life = this.lives.findLast(({ name }) => name === node)
    if (life === undefined) throw new RangeError(`a body runs nowhere: ${node}`)
    return new Promise((resolve) => void life.clock.at(life.clock.now() + ms, resolve))
  }

  /** Whether this time the body throws. */
  throws(runId: string, { throws }: TaskPlan): boolean {
    if (throws === 'doomed') return true
    const before = this.#throws.get(runId) ?? 0
    if (before >= throws) return false
    this.#throws.set(runId, before + 1)
    return true
  }

  // --- the journal ------------------------------------------------------------------------------------------------------

  #appended(node: string, { flowRunId, epoch }: Append): void {
    const before = this.#writers.get(flowRunId)
    this.#writers.set(flowRunId, { node, epoch })
    if (before === undefined || before.epoch < epoch || (before.epoch === epoch && before.node === node))
      return
    const told = `${node} wrote epoch ${epoch} of ${flowRunId} after epoch ${before.epoch} of ${before.node}`
    this.violated('one owner at a time', told)
  }

  #committed(flowRunId: string, first: number, entries: readonly Entry[]): void {
    entries.forEach((entry, index) => {
      this.committed.push({ flowRunId, position: first + index, entry })
      this.say(`${flowRunId} ${first + index} ${inWords(entry)}`)
      if (entry.kind === 'transition' && entry.run === 0 && isTerminal(entry.to)) this.#ends.add(flowRunId)
    })
    this.#look()
  }

  #look(): void {
    for (const look of this.#waits) look()
  }

  summaries(): Promise<readonly JournalSummary[]> {
    return this.observer.journal.list({ limit: 1_000 })
  }
}

function attemptsIn({ of }: QueueName, body: Uint8Array): string[] {
  return of === 'flow'
    ? []
    : unpackOffer(body).bodies.map(({ start: { runId, attempt } }) => `${runId} ${attempt}`)
}

function inWords(entry: Entry): string {
  switch (entry.kind) {
    case 'claimed':
      return `claimed ${entry.epoch} by ${entry.node}`
    case 'submitted':
      return `submitted ${entry.runId} ${entry.name} ${entry.to}`
    case 'transition':
      return `run ${entry.run} ${entry.to} ${entry.attempt} ${entry.message ?? ''}`
    default:
      return entry.kind
  }
}

interface LimitInRegister {
  readonly shares: Readonly<
    Record<
      string,
      { readonly holds: readonly string[]; readonly begins: readonly number[]; readonly waits: number }
    >
  >
  readonly queue: readonly string[]
}

/** Whether somebody has a slot of a limit, or a turn. */
function isTaken(text: string): boolean {
  const { shares, queue } = JSON.parse(text) as LimitInRegister
  const taken = Object.values(shares).map(({ holds, begins, waits }) => holds.length + begins.length + waits)
  return queue.length > 0 || taken.some((count) => count > 0)
}

/** Not one of those that are open, for calls outside any run. */
function forget(engine: Engine): void {
  engineClosed((engine as unknown as Record<symbol, object>)[inside] ?? engine)
}
