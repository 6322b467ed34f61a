import type { RunHandle, Station } from '@troupe/core'
import {
  Courier,
  packQuestion,
  packReports,
  unpackAnswer,
  unpackOffer,
  unpackTalk,
  workerTopic,
  type AttemptName,
  type ToWorker,
  type WorkerReport,
} from '@troupe/core/internal'
import { seededRandom } from '@troupe/core/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { encodeValue } from '../../../core/src/values/codec.ts'
import { Questions } from '../../../core/src/engine/questions.ts'
import { VirtualCluster, remoteFlow } from './support.ts'
import { noted } from './tasks.ts'

/** A worker that a test plays. */
class Played {
  readonly name: string
  readonly told: ToWorker[] = []
  readonly #cluster: VirtualCluster
  readonly #station: Station
  readonly #questions: Questions
  #owner = { node: '', topic: '' }
  #reports = 0

  constructor(cluster: VirtualCluster, name: string) {
    this.#cluster = cluster
    this.name = name
    const { clock } = cluster
    const host = {
      node: name,
      clock,
      random: seededRandom(9),
      report: () => undefined,
      cutOff: () => undefined,
    }
    this.#station = cluster.transport.open(host)
    this.#questions = new Questions(this.#station.nodes, name)
    const ask = this.#questions.ask.bind(this.#questions)
    const courier = new Courier({ ...host, ask, gone: async () => [] })
    this.#questions.answer(workerTopic, async (bytes) => {
      const talk = unpackTalk(bytes)
      return 'post' in talk
        ? courier.receive(talk.post, (item) => this.told.push(item as ToWorker))
        : encodeValue([])
    })
  }

  async announce(): Promise<void> {
    const info = { node: this.name, flows: [], queues: { default: 4 } }
    await this.#cluster.settle(this.#station.nodes.announce(this.name, info))
  }

  /** Takes what is in the queue. */
  async take(): Promise<AttemptName[]> {
    const runs: AttemptName[] = []
    const taking = this.#station.queue.take({ of: 'task', name: 'default' }, (delivery) => {
      const { owner, bodies } = unpackOffer(delivery.body)
      this.#owner = owner
      for (const { start } of bodies) runs.push([start.runId, start.attempt])
      delivery.done()
    })
    taking.want(10)
    await this.#cluster.pass(50)
    await this.#cluster.settle(taking.stop())
    return runs
  }

  /** The other has taken the same. */
  hears(other: Played): void {
    this.#owner = other.#owner
  }

  async report([runId, attempt]: AttemptName, given: Partial<WorkerReport> & { value?: unknown } = {}) {
    const { value, ...rest } = given
    const result = 'value' in given ? { bytes: encodeValue(value) } : undefined
    const report = { runId, attempt, node: this.name, refused: undefined, asked: false, result, ...rest }
    const [flowRunId = ''] = runId.split('.')
    const id = `report:${this.name}:${++this.#reports}`
    const body = packReports([report])
    await this.#cluster.settle(this.#station.mailbox.send({ id, flowRunId, body, owner: 'owner' }))
    await this.#cluster.pass(50)
  }

  async mayBegin(run: AttemptName, session = 'session'): Promise<unknown> {
    const question = packQuestion({ ask: 'may begin', node: this.name, session, runs: [run] })
    const { node, topic } = this.#owner
    const answer = await this.#cluster.settle(this.#questions.ask(node, topic, question, 1_000))
    return answer === undefined ? undefined : unpackAnswer(answer)[0]
  }

  /** The runs that it was told to stop. */
  get stopped(): AttemptName[] {
    return this.told.flatMap((item) => (item.to === 'stop' ? [item.run] : []))
  }

  close(): Promise<void> {
    return this.#cluster.settle(this.#station.close())
  }
}

describe('the pool of an owner', () => {
  let cluster: VirtualCluster
  let one: Played
  let two: Played
  let run: RunHandle<unknown>
  let first: AttemptName

  beforeEach(async () => {
    cluster = new VirtualCluster()
    one = new Played(cluster, 'one')
    two = new Played(cluster, 'two')
    for (const worker of [one, two]) await worker.announce()
    const flowRun = cluster
      .node('owner')
      .run(remoteFlow('pool', () => noted.with({ maxRecoveries: 9 })('pool', 1)))
    run = flowRun.handle.ignore()
    const [taken] = await one.take()
    if (taken === undefined) throw new TypeError('nothing was offered')
    first = taken
  })

  afterEach(async () => {
    for (const worker of [one, two]) await worker.close()
    await cluster.close()
  })

  const history = async (): Promise<string> => {
    const owner = cluster.engines.get('owner')
    if (owner === undefined) throw new TypeError('there is no owner')
    return cluster.history(owner, first[0])
  }

  it('takes a beginning and an end that are reported as one', async () => {
    await one.report(first, { value: 'found' })
    expect(await cluster.settle(run.result())).toBe('found')
    expect(await history()).toBe('Pending → Running one → Completed')
  })

  it('counts what is reported twice once', async () => {
    await one.report(first)
    await one.report(first)
    await one.report(first, { value: 'found' })
    await one.report(first, { value: 'found again' })
    expect(await cluster.settle(run.result())).toBe('found')
    expect(await history()).toBe('Pending → Running one → Completed')
  })

  it('refuses what a worker reports of an attempt that another one was given, and tells it to stop', async () => {
    await one.report(first)
    await two.report(first)
    await two.report(first, { value: 'of a zombie' })
    expect(two.stopped).toEqual([first])
    expect(one.stopped).toEqual([])
    await one.report(first, { value: 'found' })
    expect(await cluster.settle(run.result())).toBe('found')
  })

  it('refuses what is reported of an attempt that is over, and tells its worker to stop', async () => {
    await one.report(first)
    cluster.transport.partition('one')
    await cluster.pass(3_000)
    cluster.transport.heal('one')
    await one.report(first, { value: 'of a zombie' })
    await one.report(first)
    await cluster.pass(5_000)
    expect(one.stopped).toContainEqual(first)
    const [second] = await two.take()
    expect(second).toEqual([first[0], 2])
    expect(await two.mayBegin([first[0], 2])).toBe('run')
    await two.report([first[0], 2], { value: 'found' })
    expect(await cluster.settle(run.result())).toBe('found')
    expect(await history()).toBe('Pending → Running one → Recovering → Running two → Completed')
  })

  it('does not go on with a body whose runs it does not know', async () => {
    await one.report(first, { asked: true })
    expect(one.stopped).toEqual([first])
    await cluster.pass(100)
    const [second] = await two.take()
    expect(second).toEqual([first[0], 2])
  })

  it('lets one worker begin that asks, however often, and no other', async () => {
    expect(await one.mayBegin(first)).toBe('run')
    expect(await one.mayBegin(first)).toBe('run')
    two.hears(one)
    expect(await two.mayBegin(first)).toBe('drop')
    await one.report(first)
    expect(await one.mayBegin(first)).toBe('drop')
    await one.report(first, { value: 'found' })
    expect(await one.mayBegin(first)).toBe('drop')
    expect(await cluster.settle(run.result())).toBe('found')
  })

  it('tells all workers to ask about what it offers again, before they can have the new offer', async () => {
    // The first one has forgotten what it took.
    const offered = two.told.length
    const [again] = await cluster.settle(
      (async () => {
        for (;;) {
          const taken = await two.take()
          if (taken.length > 0) return taken
          await cluster.pass(1_000)
        }
      })(),
    )
    expect(again).toEqual(first)
    const notice = expect.objectContaining({ to: 'ask', run: first, offers: [`${first[0]}.1`] }) as ToWorker
    expect([one.told, two.told.slice(offered)]).toEqual([[notice], [notice]])
    expect(await one.mayBegin(first)).toBe('run')
    expect(await two.mayBegin(first)).toBe('drop')
  })

  it('begins another attempt where a worker was started anew under the same name', async () => {
    expect(await one.mayBegin(first, 'its first life')).toBe('run')
    expect(await one.mayBegin(first, 'its second life')).toBe('drop')
    await cluster.pass(100)
    const [second] = await two.take()
    expect(second).toEqual([first[0], 2])
  })

  it('fails a run that a worker can not begin, with the reason', async () => {
    await one.report(first, { refused: { code: 'AMBIGUOUS_NAME', message: 'defined twice' } })
    await expect(cluster.settle(run.result())).rejects.toMatchObject({ code: 'AMBIGUOUS_NAME' })
    expect(await history()).toBe('Pending → Failed')
  })
})
