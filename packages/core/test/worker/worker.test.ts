import {
  createEngine,
  currentTaskRun,
  memoryTransport,
  task,
  type Engine,
  type Station,
  type Transport,
} from '@troupe/core'
import { seededRandom, virtualClock } from '@troupe/core/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Questions } from '../../src/engine/questions.ts'
import {
  packAnswer,
  packQuestion,
  unpackAnswer,
  unpackTalk,
  workerTopic,
  type AttemptName,
  type ToOwner,
  type Verdict,
} from '../../src/remote/node-talk.ts'
import { packOffer, type OfferedBody } from '../../src/remote/offers.ts'
import { Courier } from '../../src/remote/courier.ts'
import { unpackReports, type WorkerReport } from '../../src/remote/worker-report.ts'
import { decodeValue, encodeValue } from '../../src/values/codec.ts'

const ran: string[] = []
const gates = new Map<string, () => void>()

task('worker/short', (name: string) => {
  ran.push(name)
  return `${name} is done`
})
task('worker/held', async (name: string) => {
  ran.push(name)
  await new Promise<void>((resolve) => gates.set(name, resolve))
  return `${name} is done`
})
// Two of one name, and nothing tells which is meant.
task('worker/twice', () => 'one')
task('worker/twice', () => 'other')

const queue = { of: 'task', name: 'q' } as const
const nothing = (): void => undefined
const logger = { debug: nothing, info: nothing, warn: nothing, error: nothing }

/** A worker on a memory transport, and an owner that is a test. */
class Stage {
  readonly clock = virtualClock()
  readonly #inner = memoryTransport()
  /** What keeps reports from being safe. */
  hold: Promise<void> | undefined
  readonly transport: Transport = {
    name: 'memory',
    open: (host) => {
      const station = this.#inner.open(host)
      const send = station.mailbox.send.bind(station.mailbox)
      const mailbox: Station['mailbox'] = {
        ...station.mailbox,
        send: async (message) => {
          await this.hold
          await send(message)
        },
      }
      return { ...station, mailbox }
    },
  }
  readonly worker: Engine
  readonly owner: Station
  readonly errors: unknown[] = []
  readonly asked: AttemptName[] = []
  readonly told: ToOwner[] = []
  verdict: Verdict | undefined = 'run'
  readonly #questions: Questions
  readonly #courier: Courier

  constructor() {
    const { clock } = this
    const shared = { clock, random: seededRandom(1), logger, transport: this.transport }
    this.worker = createEngine({ ...shared, node: 'worker', serve: { tasks: { q: 2 } }, strictValues: true })
    this.worker.errors.subscribe(({ error }) => this.errors.push(error))
    this.owner = this.transport.open({
      node: 'owner',
      clock,
      random: seededRandom(2),
      report: nothing,
      cutOff: nothing,
    })
    this.#questions = new Questions(this.owner.nodes, 'owner')
    this.#courier = new Courier({
      node: 'owner',
      clock,
      random: seededRandom(3),
      ask: (node, topic, bytes, ms) => this.#questions.ask(node, topic, bytes, ms),
      gone: async () => [],
      report: nothing,
    })
  }

  async open(): Promise<void> {
    await this.settle(this.owner.nodes.announce('owner'))
    this.#questions.answer('tasks', async (bytes) => {
      const talk = unpackTalk(bytes)
      if ('post' in talk) return this.#courier.receive(talk.post, (item) => this.told.push(item as ToOwner))
      const { runs } = talk.question
      this.asked.push(...runs)
      const { verdict } = this
      if (verdict === undefined) return new Promise(() => undefined)
      return packAnswer(runs.map(() => verdict))
    })
    await this.pass(10)
  }

  settle<T>(promise: PromiseLike<T>): Promise<T> {
    return this.clock.run(promise)
  }

  pass(ms: number): Promise<void> {
    return this.clock.run(new Promise<void>((resolve) => void this.clock.at(this.clock.now() + ms, resolve)))
  }

  async offer(id: string, bodies: readonly OfferedBody[], strict = false): Promise<void> {
    const owner = { node: 'owner', topic: 'tasks', epoch: 1 }
    const body = packOffer({ flowRunId: 'flow', owner, strict, flow: undefined, bodies })
    await this.settle(this.owner.queue.offer({ queue, priority: 'normal', id, body }))
    await this.pass(10)
  }

  /** What was reported, as `run attempt value`. */
  async reports(): Promise<string[]> {
    const messages = await this.settle(this.owner.mailbox.pending('flow'))
    return messages.flatMap(({ body }) => unpackReports(body)).map(words)
  }

  async pending(): Promise<readonly string[]> {
    return (await this.settle(this.owner.queue.pending(queue, 100))).ids
  }

  async presence(run: AttemptName, { topic = 'tasks', epoch = 1 } = {}): Promise<unknown> {
    const owner = { node: 'owner', topic }
    const question = packQuestion({ ask: 'owns', owner, flowRuns: [['flow', epoch]], runs: [run] })
    const answer = await this.settle(this.#questions.ask('worker', workerTopic, question, 1_000))
    return answer === undefined ? undefined : unpackAnswer(answer)[0]
  }

  /** What is in these offers was offered again. */
  async ask(run: AttemptName, offers: readonly string[]): Promise<void> {
    const by = { node: 'owner', topic: 'tasks' }
    this.#courier.send({ node: 'worker', topic: workerTopic }, { to: 'ask', run, by, offers })
    await this.pass(10)
  }

  async stop(run: AttemptName, offers: readonly string[]): Promise<void> {
    const by = { node: 'owner', topic: 'tasks' }
    this.#courier.send({ node: 'worker', topic: workerTopic }, { to: 'stop', run, why: 'a test', by, offers })
    await this.pass(10)
  }

  async close(): Promise<void> {
    await this.settle(this.owner.close())
    await this.settle(this.worker.close())
  }
}

function words({ runId, attempt, result, refused }: WorkerReport): string {
  if (refused !== undefined) return `${runId} ${attempt} refused ${refused.code}`
  return `${runId} ${attempt} ${result === undefined ? 'begun' : String(decodeValue(result.bytes))}`
}

function bodyOf(name: string, { task: taskName = 'worker/short', attempt = 1 } = {}): OfferedBody {
  return {
    task: { name: taskName, version: '1' },
    start: {
      runId: `flow.${name}`,
      flowRunId: 'flow',
      name: taskName,
      runName: name,
      attempt,
      tags: [],
      args: { bytes: encodeValue([name]) },
    },
    facts: { cleanup: false, draws: [], ids: [], tryFrom: attempt },
    timeoutMs: undefined,
  }
}

const heldBody = (name: string): OfferedBody => bodyOf(name, { task: 'worker/held' })

describe('a worker', () => {
  let stage: Stage
  beforeEach(async () => {
    ran.length = 0
    stage = new Stage()
    await stage.open()
  })
  afterEach(() => stage.close())

  it('begins a first delivery at once, and asks nobody', async () => {
    await stage.offer('one', [bodyOf('a'), bodyOf('b')])
    expect(ran).toEqual(['a', 'b'])
    expect(stage.asked).toEqual([])
    expect(await stage.reports()).toEqual(['flow.a 1 a is done', 'flow.b 1 b is done'])
    expect(await stage.pending()).toEqual([])
  })

  it('keeps a delivery until all that was in it is reported, and says of long bodies that they have begun', async () => {
    await stage.offer('one', [bodyOf('short'), heldBody('long')])
    expect(await stage.reports()).toEqual(['flow.short 1 short is done', 'flow.long 1 begun'])
    expect(await stage.pending()).toEqual(['one'])
    expect(await stage.presence(['flow.long', 1])).toBe('runs')
    expect(await stage.presence(['flow.short', 1])).toBe('none')
    gates.get('long')?.()
    await stage.pass(10)
    expect(await stage.reports()).toContain('flow.long 1 long is done')
    expect(await stage.pending()).toEqual([])
  })

  it('keeps a delivery until the report on it is safe', async () => {
    let release = (): void => undefined
    stage.hold = new Promise((resolve) => (release = resolve))
    await stage.offer('one', [bodyOf('unsafe')])
    await stage.pass(1_000)
    expect(ran).toEqual(['unsafe'])
    expect(await stage.pending()).toEqual(['one'])
    release()
    await stage.pass(10)
    expect(await stage.reports()).toEqual(['flow.unsafe 1 unsafe is done'])
    expect(await stage.pending()).toEqual([])
  })

  it('asks the latest owner that it has heard of, whatever an offer says', async () => {
    // The owner of the offers has epoch 1.
    await stage.presence(['flow.a', 1], { topic: 'tasks of the next', epoch: 2 })
    await stage.offer('one', [bodyOf('a')], true)
    expect(stage.asked).toEqual([])
    await stage.presence(['flow.a', 1], { topic: 'tasks', epoch: 3 })
    await stage.pass(30_000)
    expect(stage.asked).toEqual([['flow.a', 1]])
    expect(ran).toEqual(['a'])
  })

  it('asks before it begins what is offered strictly, and forgets what is not to begin', async () => {
    stage.verdict = 'drop'
    await stage.offer('one', [bodyOf('dropped')], true)
    stage.verdict = 'run'
    await stage.offer('two', [bodyOf('granted')], true)
    expect(stage.asked).toEqual([
      ['flow.dropped', 1],
      ['flow.granted', 1],
    ])
    expect(ran).toEqual(['granted'])
    expect(await stage.pending()).toEqual([])
  })

  it('has its slots for others when what asks its owner is stopped before there is an answer', async () => {
    stage.verdict = undefined
    await stage.offer('one', [bodyOf('x'), bodyOf('y')], true)
    expect(stage.asked).toEqual([
      ['flow.x', 1],
      ['flow.y', 1],
    ])
    for (const name of ['x', 'y']) await stage.stop([`flow.${name}`, 1], ['one'])
    await stage.offer('two', [bodyOf('next')])
    expect(ran).toEqual(['next'])
    // By now nobody waits for the answers any more; each slot was given back once.
    await stage.pass(10_000)
    await stage.offer('full', [heldBody('a'), heldBody('b')])
    await stage.offer('three', [bodyOf('last')])
    expect(ran).toEqual(['next', 'a', 'b'])
    for (const name of ['a', 'b']) gates.get(name)?.()
    await stage.pass(100)
    expect(ran).toEqual(['next', 'a', 'b', 'last'])
    expect(await stage.pending()).toEqual([])
  })

  it('says without asking of what is offered strictly that it can not begin', async () => {
    await stage.offer('one', [bodyOf('x', { task: 'worker/twice' })], true)
    expect(stage.asked).toEqual([])
    expect(await stage.reports()).toEqual(['flow.x 1 refused AMBIGUOUS_NAME'])
    expect(await stage.pending()).toEqual([])
  })

  it('asks the latest owner before it begins what one offers that was superseded', async () => {
    await stage.presence(['flow.a', 1], { topic: 'tasks', epoch: 2 })
    stage.verdict = 'drop'
    // In the name of epoch 1.
    await stage.offer('one', [bodyOf('a')])
    expect(stage.asked).toEqual([['flow.a', 1]])
    expect(ran).toEqual([])
    expect(await stage.pending()).toEqual([])
  })

  it('asks before it begins what is delivered again', async () => {
    const [mailbox, delivered] = [stage.owner.mailbox, stage.owner.queue]
    expect(await stage.settle(mailbox.pending('flow'))).toEqual([])
    // Somebody takes it first, and gives it back.
    await stage.settle(stage.worker.close())
    await stage.offer('one', [bodyOf('again')])
    const taking = delivered.take(queue, (delivery) => delivery.handBack())
    taking.want(1)
    await stage.pass(10)
    await stage.settle(taking.stop())
    const { clock, transport } = stage
    const next = createEngine({ clock, transport, logger, node: 'next', serve: { tasks: { q: 1 } } })
    await stage.pass(100)
    expect(stage.asked).toEqual([['flow.again', 1]])
    expect(ran).toEqual(['again'])
    await stage.settle(next.close())
  })

  it('asks before it begins what it has done already, whatever brings it again', async () => {
    await stage.offer('one', [bodyOf('done')])
    expect(await stage.pending()).toEqual([])
    stage.verdict = 'drop'
    // A copy that nothing tells from a first offer.
    await stage.offer('copy', [bodyOf('done')])
    expect(stage.asked).toEqual([['flow.done', 1]])
    expect(ran).toEqual(['done'])
    expect(await stage.pending()).toEqual([])
  })

  it('gives back what its owner does not answer for, and tells that it has not begun', async () => {
    stage.verdict = undefined
    await stage.offer('one', [bodyOf('unanswered')], true)
    await stage.pass(20_000)
    expect(ran).toEqual([])
    expect(await stage.pending()).toEqual(['one'])
    expect(stage.told).toContainEqual({
      of: 'returned',
      runs: [['flow.unanswered', 1, true]],
      isMissing: false,
    })
    stage.verdict = 'run'
    await stage.pass(20_000)
    expect(ran).toEqual(['unanswered'])
  })

  it('gives back tasks that it does not have, and runs their neighbours', async () => {
    await stage.offer('one', [bodyOf('unknown', { task: 'worker/unknown' })])
    await stage.offer('two', [bodyOf('other', { task: 'worker/unknown' }), bodyOf('neighbour')])
    expect(ran).toEqual(['neighbour'])
    const missing = { of: 'missing', node: 'worker', task: 'worker/unknown', version: '1' }
    expect(stage.told).toContainEqual(missing)
    expect(stage.told).toContainEqual({
      of: 'returned',
      runs: [['flow.other', 1, false]],
      isMissing: true,
    })
    expect(await stage.pending()).toEqual(['one'])
  })

  it('sets aside what can not be read, after some tries, and nothing else is held up', async () => {
    const body = Uint8Array.of(0, 0, 0, 3, 1, 2, 3)
    await stage.settle(stage.owner.queue.offer({ queue, priority: 'high', id: 'bad', body }))
    await stage.offer('good', [bodyOf('good')])
    expect(ran).toEqual(['good'])
    expect(await stage.pending()).toEqual(['bad'])
    await stage.pass(60_000)
    expect(await stage.pending()).toEqual([])
    expect(stage.errors).toEqual([
      expect.objectContaining({ code: 'MALFORMED_PAYLOAD' }),
      expect.objectContaining({
        message: expect.stringMatching(/^bad was taken from its queue for good/) as string,
      }),
    ])
  })

  it('does not begin what is not wanted any more, also where it comes later; what is offered anew begins', async () => {
    await stage.offer('full', [heldBody('x'), heldBody('y')])
    await stage.offer('one', [bodyOf('unwanted'), bodyOf('wanted')])
    await stage.stop(['flow.unwanted', 1], ['one', 'late'])
    for (const name of ['x', 'y']) gates.get(name)?.()
    await stage.pass(10)
    expect(ran).toEqual(['x', 'y', 'wanted'])
    await stage.offer('late', [bodyOf('unwanted')])
    expect(ran).toEqual(['x', 'y', 'wanted'])
    await stage.offer('anew', [bodyOf('unwanted')])
    expect(ran).toEqual(['x', 'y', 'wanted', 'unwanted'])
    expect(await stage.pending()).toEqual([])
  })

  it('asks before it begins what was offered again, whether it has it by then or gets it later', async () => {
    await stage.offer('full', [heldBody('x'), heldBody('y')])
    await stage.offer('one', [bodyOf('here'), bodyOf('other')])
    stage.verdict = 'drop'
    await stage.ask(['flow.here', 1], ['one'])
    await stage.ask(['flow.late', 1], ['late'])
    for (const name of ['x', 'y']) gates.get(name)?.()
    await stage.pass(10)
    await stage.offer('late', [bodyOf('late')])
    expect(stage.asked).toEqual([
      ['flow.here', 1],
      ['flow.late', 1],
    ])
    expect(ran).toEqual(['x', 'y', 'other'])
    expect(await stage.pending()).toEqual([])
  })

  it('asks before it begins what has waited here for seconds: it may have ended elsewhere', async () => {
    // A body that blocks the event loop: no timer fires meanwhile, and what waits ahead is not handed back.
    const monotonic = stage.clock.monotonic.bind(stage.clock)
    let blockedMs = 0
    Object.assign(stage.clock, { monotonic: () => monotonic() + blockedMs })
    task('worker/blocks', async (name: string) => {
      ran.push(name)
      await new Promise<void>((resolve) => gates.set(name, resolve))
      blockedMs += 6_000
    })
    await stage.offer('full', [bodyOf('x', { task: 'worker/blocks' }), heldBody('y'), bodyOf('waited')])
    stage.verdict = 'drop'
    gates.get('x')?.()
    await stage.pass(10)
    expect(stage.asked).toEqual([['flow.waited', 1]])
    expect(ran).toEqual(['x', 'y'])
    gates.get('y')?.()
  })

  it('stops what it executes for a lost owner where the flow run has ended or is forgotten, and nothing else', async () => {
    const { journal, nodes } = stage.owner
    const signals = new Map<string, string>()
    task('worker/heeds', async (name: string) => {
      const { signal } = currentTaskRun()
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      signals.set(name, String((signal.reason as { code?: unknown }).code))
    })
    const at = stage.clock.now()
    const claimed = { kind: 'claimed', at, epoch: 1, node: 'owner' } as const
    const submitted = {
      kind: 'submitted',
      at,
      runKind: 'flow',
      runId: 'flow',
      parent: -1,
      parentAttempt: 0,
      name: 'flow',
      version: '1',
      runName: 'flow',
      identity: undefined,
      inputs: encodeValue([]),
      to: 'Pending',
      tags: undefined,
    } as const
    await stage.settle(
      Promise.resolve(
        journal.append({ flowRunId: 'flow', expected: 0, epoch: 1, entries: [claimed, submitted] }),
      ),
    )
    await stage.offer('one', [bodyOf('waits', { task: 'worker/heeds' })])
    await stage.settle(nodes.withdraw('owner'))
    await stage.pass(120_000)
    expect(await stage.pending()).toEqual(['one'])
    expect(signals.size).toBe(0)
    await stage.settle(journal.delete('flow'))
    await stage.pass(60_000)
    expect(Object.fromEntries(signals)).toEqual({ waits: 'OWNERSHIP_LOST' })
    expect(await stage.pending()).toEqual([])
  })

  it('does not run twice what is delivered twice', async () => {
    await stage.offer('one', [heldBody('once')])
    await stage.offer('two', [heldBody('once')])
    expect(ran).toEqual(['once'])
    gates.get('once')?.()
    await stage.pass(10)
    expect(ran).toEqual(['once'])
    expect(await stage.pending()).toEqual([])
  })

  it('takes no more than there is room for while bodies are long', async () => {
    for (let n = 0; n < 6; n++) await stage.offer(`offer ${n}`, [heldBody(`held ${n}`)])
    expect(ran).toEqual(['held 0', 'held 1'])
    const taken: string[] = []
    const taking = stage.owner.queue.take(queue, (delivery) => {
      taken.push(delivery.id)
      delivery.handBack(60_000)
    })
    taking.want(10)
    await stage.pass(10)
    expect(taken).toEqual(['offer 2', 'offer 3', 'offer 4', 'offer 5'])
    await stage.settle(taking.stop())
    for (const open of gates.values()) open()
  })

  it('gives back what it has taken ahead when a body turns out to be long', async () => {
    for (let n = 0; n < 20; n++) await stage.offer(`short ${n}`, [bodyOf(`short ${n}`)])
    for (const name of ['x', 'y']) await stage.offer(name, [heldBody(name)])
    await stage.offer('ahead', [bodyOf('ahead')])
    expect(ran.slice(-2)).toEqual(['x', 'y'])
    const taken: string[] = []
    const taking = stage.owner.queue.take(queue, (delivery) => {
      taken.push(delivery.id)
      delivery.done()
    })
    taking.want(1)
    await stage.pass(100)
    expect(taken).toEqual(['ahead'])
    expect(ran).not.toContain('ahead')
    await stage.settle(taking.stop())
    for (const open of gates.values()) open()
  })
})
