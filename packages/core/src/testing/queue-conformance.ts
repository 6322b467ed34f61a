import assert from 'node:assert/strict'
import type { Delivery, Offer, Queue, QueueName, QueuePriority, Taking } from '../ports/queue.ts'
import { assertFails, casesOf, Told, type ConformanceCase, type Opened } from './conformance.ts'

/** A queue that a suite opens, as two nodes see it, with nothing in it. @public */
export interface OpenedQueue extends Opened {
  readonly queue: Queue
  /** What another node has of it. */
  readonly others: Queue
  /**
   * The node of `queue` dies with all that it took, as a process that is killed. Resolves when it is dead; what it took goes to
   * others when its time is over. Nothing is asked of `queue` after it.
   */
  readonly crash: () => Promise<void>
  /** The node of `queue` is closed in an orderly way. Nothing but what is refused is asked of `queue` after it. */
  readonly leave: () => Promise<void>
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const main: QueueName = { of: 'task', name: 'main' }

function offerOf(
  id: string,
  { queue = main, priority = 'normal', body = text(`of ${id}`) }: Partial<Offer> = {},
): Offer {
  return { queue, priority, id, body }
}

async function offerAll(queue: Queue, ids: readonly string[], more: Partial<Offer> = {}): Promise<void> {
  for (const id of ids) assert.equal(await queue.offer(offerOf(id, more)), true, `offer ${id}`)
}

/** What one taker got. */
interface Taken {
  readonly told: Told<Delivery>
  readonly taking: Taking
}

function take(queue: Queue, name = main): Taken {
  const told = new Told<Delivery>()
  return { told, taking: queue.take(name, told.add) }
}

/** Takes the next one. */
async function next({ told, taking }: Taken): Promise<Delivery> {
  const count = told.items.length
  taking.want(1)
  const delivery = (await told.atLeast(count + 1))[count]
  assert.ok(delivery !== undefined)
  return delivery
}

const idsOf = (deliveries: readonly Delivery[]): string[] => deliveries.map(({ id }) => id)

/** Resolves when a queue holds so many: what was done is forgotten a moment later. */
async function untilPending(queue: Queue, count: number, name = main): Promise<readonly string[]> {
  for (;;) {
    const pending = await queue.pending(name, 1_000)
    assert.equal(pending.ids.length, pending.count)
    if (pending.count === count) return pending.ids
  }
}

const taking: Readonly<Record<string, (opened: OpenedQueue) => Promise<void>>> = {
  async 'brings an offer with every byte to a taker of another node, whoever came first'({ queue, others }) {
    const bodies = [
      text(''),
      Uint8Array.of(0, 255, 10, 13),
      new Uint8Array(100_000).map((_, index) => index % 251),
    ]
    const taken = take(others)
    taken.taking.want(2)
    for (const [index, body] of bodies.entries()) await queue.offer(offerOf(`id-${index}`, { body }))
    await taken.told.atLeast(2)
    const last = await next(taken)
    for (const { id, body } of taken.told.items) {
      assert.ok(body instanceof Uint8Array)
      assert.equal(Buffer.compare(body, bodies[Number(id.slice(3))] ?? text('?')), 0, id)
    }
    assert.equal(last.id, 'id-2')
  },
  async 'keeps the order of offers of one priority'({ queue }) {
    const ids = ['m', 'a', 'z', 'c', 'b']
    await offerAll(queue, ids)
    const taken = take(queue)
    for (const id of ids) assert.equal((await next(taken)).id, id)
  },
  async 'brings those of greater priority first'({ queue, others }) {
    const priorities: QueuePriority[] = ['low', 'normal', 'high', 'low', 'high', 'normal']
    for (const [index, priority] of priorities.entries())
      assert.equal(await queue.offer(offerOf(`${priority}-${index}`, { priority })), true)
    const taken = take(others)
    for (const id of ['high-2', 'high-4', 'normal-1', 'normal-5', 'low-0', 'low-3'])
      assert.equal((await next(taken)).id, id)
  },
  async 'brings no more than is wanted'({ queue, others }) {
    await offerAll(queue, ['a', 'b', 'c', 'd'])
    const one = take(queue)
    one.taking.want(1)
    one.taking.want(1)
    await one.told.atLeast(2)
    const other = take(others)
    other.taking.want(5)
    // The rest would have gone to the first, who asked before.
    assert.deepEqual(idsOf(await other.told.atLeast(2)), ['c', 'd'])
    assert.deepEqual(idsOf(one.told.items), ['a', 'b'])
  },
  async 'brings an offer to one taker only'({ queue, others }) {
    const told = new Told<Delivery>()
    for (const one of [queue, others, queue]) one.take(main, told.add).want(20)
    const ids = Array.from({ length: 31 }, (_, index) => `id-${index}`)
    for (const id of ids) await queue.offer(offerOf(id))
    assert.deepEqual(idsOf(await told.atLeast(31)).toSorted(), ids.toSorted())
  },
  async 'keeps queues apart, of task runs and of flow runs, whatever they are called'({ queue, others }) {
    const names = ['main', 'Main', 'main.x', 'main *', '>', "it's %_ ü", 'x'.repeat(200)]
    const queues = (['task', 'flow'] as const).flatMap((of) => names.map((name): QueueName => ({ of, name })))
    for (const [index, name] of queues.entries())
      assert.equal(await queue.offer(offerOf('same', { queue: name, body: text(`${index}`) })), true)
    for (const [index, name] of queues.entries()) {
      const delivery = await next(take(others, name))
      assert.deepEqual([delivery.id, Buffer.from(delivery.body).toString()], ['same', `${index}`])
    }
  },
  async 'tells ids apart that look alike'({ queue }) {
    const ids = ['a', 'A', 'a ', 'a.b', 'a.*', '>', "it's %_ ü", 'x'.repeat(200)]
    await offerAll(queue, ids)
    assert.deepEqual((await untilPending(queue, ids.length)).toSorted(), ids.toSorted())
    const taken = take(queue)
    taken.taking.want(ids.length)
    assert.deepEqual(idsOf(await taken.told.atLeast(ids.length)), ids)
  },
  async 'is untouched by what callers do to bytes'({ queue, others }) {
    const bytes = text('xxcontentxx')
    const offered = queue.offer(offerOf('a', { body: bytes.subarray(2, 9) }))
    bytes.fill(0)
    assert.equal(await offered, true)
    const first = await next(take(queue))
    assert.equal(Buffer.from(first.body).toString(), 'content')
    first.body.fill(0)
    first.handBack()
    assert.equal(Buffer.from((await next(take(others))).body).toString(), 'content')
  },
}

const offering: typeof taking = {
  async 'takes an offer of one id once: while it waits, while it is held, and when it was done a moment ago'({
    queue,
    others,
  }) {
    assert.equal(await queue.offer(offerOf('a')), true)
    assert.equal(await others.offer(offerOf('a', { body: text('another') })), false)
    const taken = take(queue)
    const delivery = await next(taken)
    assert.equal(Buffer.from(delivery.body).toString(), 'of a')
    assert.equal(await others.offer(offerOf('a')), false)
    delivery.done()
    await untilPending(others, 0)
    assert.equal(await others.offer(offerOf('a')), false)
    assert.equal(await others.offer(offerOf('b')), true)
    assert.equal((await next(taken)).id, 'b')
  },
  async 'takes an offer of one id once of many that come at once'({ queue, others }) {
    const answers = await Promise.all([queue, others, queue, others].map((one) => one.offer(offerOf('a'))))
    assert.deepEqual(
      answers.toSorted((a, b) => Number(a) - Number(b)),
      [false, false, false, true],
    )
    assert.deepEqual(await untilPending(queue, 1), ['a'])
  },
  async 'tells what waits and what is held, and forgets what is done'({ queue, others }) {
    assert.deepEqual(await queue.pending({ of: 'task', name: 'unknown' }, 10), { ids: [], count: 0 })
    await offerAll(queue, ['a', 'b', 'c'])
    const taken = take(queue)
    const a = await next(taken)
    assert.deepEqual((await untilPending(others, 3)).toSorted(), ['a', 'b', 'c'])
    const { ids, count } = await others.pending(main, 2)
    assert.deepEqual([ids.length, count], [2, 3])
    a.done()
    a.done()
    assert.deepEqual((await untilPending(others, 2)).toSorted(), ['b', 'c'])
    ;(await next(taken)).done()
    ;(await next(taken)).done()
    assert.deepEqual(await untilPending(others, 0), [])
  },
  async 'takes back an offer that nobody has taken, and only that'({ queue, others }) {
    await offerAll(queue, ['a', 'b', 'c'])
    const taken = take(queue)
    const a = await next(taken)
    await others.withdraw(main, 'b')
    await others.withdraw(main, 'b')
    await others.withdraw(main, 'unknown')
    await others.withdraw(main, 'a')
    assert.equal((await next(taken)).id, 'c')
    assert.deepEqual((await untilPending(others, 2)).toSorted(), ['a', 'c'])
    // What is held stays its taker's.
    a.handBack()
    const again = await next(take(others))
    assert.deepEqual([again.id, again.repeated], ['a', true])
  },
}

const returning: typeof taking = {
  async 'brings a new offer as one that was not delivered before'({ queue, others }) {
    await offerAll(queue, ['a', 'b'])
    assert.equal((await next(take(queue))).repeated, false)
    assert.equal((await next(take(others))).repeated, false)
  },
  async 'brings what is handed back to others, as repeated, and to nobody twice'({ queue, others }) {
    await offerAll(queue, ['a'])
    const first = await next(take(queue))
    first.handBack()
    first.handBack()
    const second = await next(take(others))
    assert.deepEqual([second.id, second.repeated], ['a', true])
    // Without effect: it is another's.
    first.handBack()
    first.done()
    second.handBack()
    const third = take(others)
    assert.equal((await next(third)).id, 'a')
    await offerAll(queue, ['b'])
    assert.equal((await next(third)).id, 'b')
    assert.deepEqual((await untilPending(others, 2)).toSorted(), ['a', 'b'])
  },
  async 'holds back for a while what is handed back with a delay, and not what comes after it'({
    queue,
    others,
  }) {
    await offerAll(queue, ['a', 'b', 'c'])
    ;(await next(take(queue))).handBack(1_000)
    const taken = take(others)
    assert.equal((await next(taken)).id, 'b')
    assert.equal((await next(taken)).id, 'c')
    const late = await next(taken)
    assert.deepEqual([late.id, late.repeated], ['a', true])
  },
  async 'leaves a taker that stops what it got, and gives back what it only wanted'({ queue, others }) {
    const stopped = take(queue)
    await offerAll(queue, ['a'])
    const a = await next(stopped)
    stopped.taking.want(5)
    await stopped.taking.stop()
    await stopped.taking.stop()
    stopped.taking.want(5)
    await offerAll(queue, ['b', 'c'])
    const taken = take(others)
    taken.taking.want(3)
    assert.deepEqual(idsOf(await taken.told.atLeast(2)), ['b', 'c'])
    assert.deepEqual(idsOf(stopped.told.items), ['a'])
    a.handBack()
    assert.deepEqual(idsOf(await taken.told.atLeast(3)), ['b', 'c', 'a'])
  },
  async 'loses nothing of what is on its way when a taker stops'({ queue, others }) {
    const ids = Array.from({ length: 20 }, (_, index) => `id-${index}`)
    await offerAll(queue, ids)
    const stopped = take(queue)
    stopped.taking.want(20)
    await stopped.taking.stop()
    const got = idsOf(stopped.told.items)
    const taken = take(others)
    taken.taking.want(20)
    const rest = idsOf(await taken.told.atLeast(20 - got.length))
    assert.deepEqual([...got, ...rest].toSorted(), ids.toSorted())
  },
  async 'brings to others what a node held that is dead, and not what it had done'({ queue, others, crash }) {
    await offerAll(others, ['a', 'b', 'c', 'd'])
    const taken = take(queue)
    ;(await next(taken)).done()
    await untilPending(others, 3)
    await next(taken)
    await next(taken)
    await crash()
    const heir = take(others)
    heir.taking.want(4)
    const got = await heir.told.atLeast(3)
    assert.deepEqual(idsOf(got).toSorted(), ['b', 'c', 'd'])
    for (const { id, repeated } of got) assert.equal(repeated, id !== 'd', id)
    // The dead take nothing more.
    await offerAll(others, ['e'])
    assert.equal((await heir.told.atLeast(4))[3]?.id, 'e')
  },
  async 'brings to others what a node held that is closed'({ queue, others, leave }) {
    await offerAll(others, ['a', 'b', 'c'])
    const taken = take(queue)
    ;(await next(taken)).done()
    await next(taken)
    taken.taking.want(1)
    await taken.told.atLeast(3)
    await leave()
    const heir = take(others)
    heir.taking.want(2)
    assert.deepEqual(idsOf(await heir.told.atLeast(2)).toSorted(), ['b', 'c'])
    await assertFails(() => queue.offer(offerOf('d')), 'offer')
    await assertFails(() => queue.pending(main, 1), 'pending')
    await assertFails(() => queue.withdraw(main, 'b'), 'withdraw')
    assert.deepEqual((await untilPending(others, 2)).toSorted(), ['b', 'c'])
  },
}

/** What every queue is held to. Real time may pass, of a lease, in the case of the dead node. @public */
export function queueConformance(make: () => Promise<OpenedQueue>): ConformanceCase[] {
  return casesOf(make, { ...taking, ...offering, ...returning })
}
