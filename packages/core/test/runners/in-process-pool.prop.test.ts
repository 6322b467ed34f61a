import type { Assignment, BodyResult, TaskPool } from '@troupe/core'
import { InProcessPool } from '@troupe/core/internal'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

/** A body to simulate: it works, submits others, waits for them, works. */
interface Plan {
  /** Turns of the event loop that it works before and after. */
  readonly turns: number
  /** Whether it waits for the others, all at once or one by one, only for some turns, twice for each, or not at all. */
  readonly waits: 'for all' | 'for each' | 'impatiently' | 'twice' | 'not'
  readonly children: readonly Plan[]
  /** Taken back this many turns after it was submitted; never where undefined. */
  readonly stoppedAfter: number | undefined
}

const { plan } = fc.letrec<{ plan: Plan }>((tie) => ({
  plan: fc.record({
    turns: fc.nat(3),
    waits: fc.constantFrom('for all', 'for each', 'impatiently', 'twice', 'not'),
    children: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      fc.constant([]),
      fc.array(tie('plan'), { maxLength: 4 }),
    ),
    stoppedAfter: fc.option(fc.nat(6), { nil: undefined, freq: 8 }),
  }),
}))

/** The largest tree takes some 1,000 turns where one body runs at a time. */
const turnsEnough = 10_000

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turn()
}

/** One simulated body, and what the engine's attempt would do with the pool for it. */
class Job implements Assignment {
  readonly gated = false
  readonly epoch = 1
  readonly flowRunId: string
  readonly lease: number
  readonly order: number
  readonly parentLease: number | undefined
  readonly priority = 0
  readonly runId = ''
  readonly attempt = 1
  readonly task = {
    name: 'simulated',
    version: '1',
    origin: { name: 'simulated', version: '1', modules: [] },
  }
  readonly arguments = []
  readonly deadline = undefined
  readonly timeoutMs = undefined
  readonly tags = []
  readonly runsOn = undefined
  readonly offer = undefined
  readonly whenSafe = (go: () => void): void => go()
  readonly whenHeard = (go: () => void): void => go()
  readonly whenWriting = (go: () => void): void => go()
  readonly ended: Promise<void>
  readonly #office: Office
  readonly #plan: Plan
  #end: () => void = () => undefined
  #waits = 0
  #counted = false
  serve(): never {
    throw new Error('never served')
  }

  done = false
  stopped = false
  begun = 0

  constructor(office: Office, made: Plan, flowRunId: string, parent: Job | undefined) {
    this.#office = office
    this.#plan = made
    this.flowRunId = flowRunId
    this.lease = this.order = office.next()
    this.parentLease = parent?.lease
    this.ended = new Promise((resolve) => {
      this.#end = resolve
    })
  }

  invoke(): unknown {
    this.begun++
    this.#count(true)
    return this.#work()
  }

  /** Counted while it has a slot. */
  #count(counted: boolean): void {
    if (this.#counted === counted) return
    this.#counted = counted
    this.#office.count(this.flowRunId, counted ? 1 : -1)
  }

  async #work(): Promise<void> {
    const { children, waits } = this.#plan
    await turns(this.#plan.turns)
    const jobs = children.map((child) => this.#office.submit(child, this.flowRunId, this))
    if (waits === 'for all') await Promise.all(jobs.map((job) => this.#wait(job)))
    if (waits === 'twice') await Promise.all(jobs.flatMap((job) => [this.#wait(job), this.#wait(job)]))
    if (waits === 'for each') for (const job of jobs) await this.#wait(job)
    if (waits === 'impatiently') await Promise.race([turns(2), ...jobs.map((job) => this.#wait(job))])
    await turns(this.#plan.turns)
  }

  #wait(job: Job): Promise<void> {
    if (job.done) return Promise.resolve()
    if (this.#waits++ === 0) this.#lend()
    return job.ended.then(
      () =>
        new Promise((resolve) => {
          this.#waits--
          this.#office.pool.reclaim(this, () => {
            resolve()
            if (this.done) return
            this.#count(true)
            if (this.#waits > 0) setImmediate(() => this.#waits > 0 && !this.done && this.#lend())
          })
        }),
    )
  }

  #lend(): void {
    this.#count(false)
    this.#office.pool.lend(this)
  }

  finish(): void {
    this.#count(false)
    this.done = true
    this.#end()
  }

  stop(): void {
    if (this.begun > 0 || this.done) return
    this.stopped = true
    this.#office.pool.stop(this)
    this.finish()
  }
}

/** What the engine is to a pool. */
class Office {
  readonly pool: TaskPool
  readonly jobs: Job[] = []
  readonly errors: unknown[] = []
  readonly #limit: number
  readonly #perFlowRun: boolean
  readonly #running = new Map<string, number>()
  most = 0
  #counter = 0

  constructor(limit: number, perFlowRun: boolean) {
    this.#limit = limit
    this.#perFlowRun = perFlowRun
    const reports = {
      started: (assignment: Assignment): boolean => !(assignment as Job).stopped,
      finished: (assignment: Assignment, result: BodyResult): void => {
        if ('error' in result) this.errors.push(result.error)
        ;(assignment as Job).finish()
      },
      refused: () => undefined,
      lost: () => undefined,
    }
    this.pool = new InProcessPool(
      { reports, remote: undefined, turn: (fn) => void setImmediate(fn), report: () => undefined },
      limit,
      perFlowRun,
    )
  }

  next(): number {
    return ++this.#counter
  }

  count(flowRunId: string, by: number): void {
    const lane = this.#perFlowRun ? flowRunId : ''
    const running = (this.#running.get(lane) ?? 0) + by
    this.#running.set(lane, running)
    this.most = Math.max(this.most, running)
    if (running > this.#limit)
      this.errors.push(new Error(`${running} bodies at once, the limit is ${this.#limit}`))
  }

  submit(made: Plan, flowRunId: string, parent: Job | undefined): Job {
    const job = new Job(this, made, flowRunId, parent)
    this.jobs.push(job)
    this.pool.assign(job)
    if (made.stoppedAfter !== undefined) void turns(made.stoppedAfter).then(() => job.stop())
    return job
  }

  /** Waits until all have ended; not for ever, so that a smaller tree can be found that does not end. */
  async allEnded(): Promise<void> {
    for (let n = 0; n < turnsEnough; n++) {
      if (this.jobs.every(({ done }) => done)) return
      await turn()
    }
    throw new Error(
      `${this.jobs.filter(({ done }) => !done).length} of ${this.jobs.length} bodies never ended`,
    )
  }
}

const leaf: Plan = { turns: 2, waits: 'not', children: [], stoppedAfter: undefined }
const limits = fc.constantFrom(1, 1, 2, 3, 5, Number.POSITIVE_INFINITY)

describe('InProcessPool', () => {
  it('finishes every tree of bodies on every limit, and never runs more at once than the limit says', async () => {
    const roots = fc.array(fc.tuple(plan, fc.constantFrom('a', 'b')), { minLength: 1, maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(roots, limits, fc.boolean(), async (plans, limit, perFlowRun) => {
        const office = new Office(limit, perFlowRun)
        for (const [made, flowRunId] of plans) office.submit(made, flowRunId, undefined)
        await office.allEnded()
        // A stopped body that has just ended gives its slot back in a turn of its own.
        await turns(2)
        expect(office.errors).toEqual([])
        for (const job of office.jobs) expect(job.begun).toBe(job.stopped ? 0 : 1)
        // All slots are free: so many bodies, and no more, run at once now.
        office.most = 0
        const most = Math.min(limit, 6)
        for (let n = 0; n < most + 2; n++) office.submit(leaf, 'a', undefined)
        await office.allEnded()
        expect(office.most).toBe(limit === Number.POSITIVE_INFINITY ? most + 2 : most)
        expect(office.errors).toEqual([])
        await office.pool.close()
      }),
      { numRuns: 300 },
    )
  })

  it('begins nothing after it was closed', async () => {
    const office = new Office(2, false)
    const jobs = Array.from({ length: 5 }, () => office.submit(leaf, 'a', undefined))
    await turn()
    await office.pool.close()
    office.submit(leaf, 'a', undefined)
    await turns(20)
    expect(jobs.map(({ begun }) => begun)).toEqual([1, 1, 0, 0, 0])
    expect(office.jobs.at(-1)?.begun).toBe(0)
  })
})
