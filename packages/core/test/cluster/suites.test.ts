import {
  memoryTransport,
  type ClusterNodes,
  type Delivery,
  type Queue,
  type Register,
  type Station,
  type Transition,
} from '@troupe/core'
import {
  clusterNodesConformance,
  publishingConformance,
  queueConformance,
  registerConformance,
  type ConformanceCase,
} from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { twoNodes } from './support.ts'

/** Cases that a broken adapter does not pass, so that their limit is all that they wait for. */
const patienceMs = 700

async function failures(cases: readonly ConformanceCase[]): Promise<string[]> {
  const ends = await Promise.allSettled(cases.map(({ run }) => run()))
  return cases.flatMap(({ name }, index) => (ends[index]?.status === 'rejected' ? [name] : []))
}

describe('queueConformance', () => {
  const suite = (broken: (queue: Queue) => Partial<Queue>) =>
    queueConformance(async () => {
      const { a, b, ...rest } = twoNodes(memoryTransport())
      const breaking = (queue: Queue): Queue => ({ ...queue, ...broken(queue) })
      return { queue: breaking(a.queue), others: breaking(b.queue), ...rest, patienceMs }
    })
  const mapped =
    (change: (delivery: Delivery) => Delivery) =>
    (queue: Queue): Partial<Queue> => ({
      take: (name, listener) => queue.take(name, (delivery) => listener(change(delivery))),
    })

  it.each<[string, (queue: Queue) => Partial<Queue>]>([
    [
      'takes an id twice',
      (queue) => ({ offer: (offer) => queue.offer({ ...offer, id: `${offer.id}${Math.random()}` }) }),
    ],
    [
      'always says that an offer is new',
      (queue) => ({ offer: async (offer) => (await queue.offer(offer), true) }),
    ],
    ['knows no priorities', (queue) => ({ offer: (offer) => queue.offer({ ...offer, priority: 'normal' }) })],
    [
      'mixes queues of tasks and of flows',
      (queue) => ({
        offer: (offer) => queue.offer({ ...offer, queue: { ...offer.queue, of: 'task' } }),
        take: (name, listener) => queue.take({ ...name, of: 'task' }, listener),
      }),
    ],
    ['loses offers', () => ({ offer: async () => true })],
    [
      'brings more than is wanted',
      (queue) => ({
        take: (name, listener) => {
          const taking = queue.take(name, listener)
          return { ...taking, want: (count) => taking.want(count + 1) }
        },
      }),
    ],
    [
      'delivers twice',
      (queue) => ({
        take: (name, listener) =>
          queue.take(name, (delivery) => {
            listener(delivery)
            listener(delivery)
          }),
      }),
    ],
    ['never tells of a repetition', mapped((delivery) => ({ ...delivery, repeated: false }))],
    ['always tells of a repetition', mapped((delivery) => ({ ...delivery, repeated: true }))],
    ['never forgets what is done', mapped((delivery) => ({ ...delivery, done: () => undefined }))],
    ['forgets what is handed back', mapped((delivery) => ({ ...delivery, handBack: () => delivery.done() }))],
    ['hands back at once', mapped((delivery) => ({ ...delivery, handBack: () => delivery.handBack() }))],
    ['withdraws nothing', () => ({ withdraw: async () => undefined })],
    [
      'goes on taking when it is stopped',
      (queue) => ({
        take: (name, listener) => ({ ...queue.take(name, listener), stop: async () => undefined }),
      }),
    ],
    [
      'counts only what it tells',
      (queue) => ({
        pending: async (name, limit) => {
          const { ids } = await queue.pending(name, limit)
          return { ids, count: ids.length }
        },
      }),
    ],
  ])('refuses a queue that %s', async (_, broken) => {
    expect(await failures(suite(broken))).not.toEqual([])
  })

  it('refuses a queue whose dead keep what they took', async () => {
    const cases = queueConformance(async () => {
      const { a, b, crash: _, ...rest } = twoNodes(memoryTransport())
      return { queue: a.queue, others: b.queue, crash: async () => undefined, ...rest, patienceMs }
    })
    expect(await failures(cases)).toEqual([
      'brings to others what a node held that is dead, and not what it had done',
    ])
  })
})

describe('registerConformance', () => {
  const suite = (broken: (register: Register) => Partial<Register>) =>
    registerConformance(async () => {
      const { a, b, ...rest } = twoNodes(memoryTransport())
      const breaking = (register: Register): Register => ({ ...register, ...broken(register) })
      return { register: breaking(a.register), others: breaking(b.register), ...rest, patienceMs }
    })
  const newest = async (register: Register, key: string): Promise<number> =>
    (await register.get(key))?.revision ?? 0

  it.each<[string, (register: Register) => Partial<Register>]>([
    [
      'takes every write',
      (register) => ({
        put: async (key, value) => register.put(key, value, await newest(register, key)),
      }),
    ],
    [
      'takes a write on 0 over another',
      (register) => ({
        put: async (key, value, expected) =>
          register.put(key, value, expected === 0 ? await newest(register, key) : expected),
      }),
    ],
    [
      'refuses only to create',
      (register) => ({
        put: async (key, value, expected) =>
          register.put(key, value, expected === 0 ? 0 : await newest(register, key)),
      }),
    ],
    [
      'forgets whatever the revision',
      (register) => ({
        delete: async (key) => register.delete(key, await newest(register, key)),
      }),
    ],
    ['forgets nothing', () => ({ delete: async () => true })],
    ['lists all keys', (register) => ({ keys: () => register.keys('') })],
    ['tells of every key', (register) => ({ subscribe: (_, listener) => register.subscribe('', listener) })],
    ['tells nobody', () => ({ subscribe: () => () => undefined })],
    [
      'goes on telling',
      (register) => ({
        subscribe: (prefix, listener) => (register.subscribe(prefix, listener), () => undefined),
      }),
    ],
    [
      'tells when it was read',
      (register) => {
        let time = 0
        return {
          get: async (key) => {
            const found = await register.get(key)
            return found === undefined ? undefined : { ...found, writtenAt: ++time }
          },
        }
      },
    ],
    [
      'reads what was there a moment ago',
      (register) => {
        let before: Awaited<ReturnType<Register['get']>>
        return {
          get: async (key) => {
            const stale = before
            before = await register.get(key)
            return stale
          },
        }
      },
    ],
  ])('refuses a register that %s', async (_, broken) => {
    expect(await failures(suite(broken))).not.toEqual([])
  })
})

describe('clusterNodesConformance', () => {
  const suite = (broken: (nodes: ClusterNodes) => Partial<ClusterNodes>) =>
    clusterNodesConformance(async () => {
      const { a, b, ...rest } = twoNodes(memoryTransport())
      const breaking = (nodes: ClusterNodes): ClusterNodes => ({ ...nodes, ...broken(nodes) })
      return {
        nodes: breaking(a.nodes),
        name: 'a',
        others: breaking(b.nodes),
        othersName: 'b',
        ...rest,
        patienceMs,
      }
    })

  it.each<[string, (nodes: ClusterNodes) => Partial<ClusterNodes>]>([
    ['lists nobody', () => ({ list: async () => [] })],
    ['tells nothing of its nodes', (nodes) => ({ announce: (node) => nodes.announce(node) })],
    [
      'takes a name twice',
      (nodes) => ({ announce: (node, info) => nodes.announce(node, info).catch(() => undefined) }),
    ],
    ['tells of no lost node', () => ({ lost: () => () => undefined })],
    ['goes on telling', (nodes) => ({ lost: (listener) => (nodes.lost(listener), () => undefined) })],
    [
      'tells of nodes that are there',
      (nodes) => ({
        lost: (listener) => {
          listener('b')
          return nodes.lost(listener)
        },
      }),
    ],
    ['never answers', () => ({ answer: () => () => undefined })],
    [
      'goes on answering',
      (nodes) => ({ answer: (node, listener) => (nodes.answer(node, listener), () => undefined) }),
    ],
    [
      'asks twice',
      (nodes) => ({
        answer: (node, listener) =>
          nodes.answer(node, async (question) => {
            await listener(question.slice())
            return listener(question)
          }),
      }),
    ],
    [
      'waits without end',
      (nodes) => ({
        ask: async (node, question, withinMs) =>
          (await nodes.ask(node, question, withinMs)) ?? new Promise(() => undefined),
      }),
    ],
    [
      'answers each question with what came to the one before',
      (nodes) => {
        let before = new Uint8Array()
        return {
          ask: async (node, question, withinMs) => {
            const stale = before
            before = ((await nodes.ask(node, question, withinMs)) ?? stale).slice()
            return stale
          },
        }
      },
    ],
  ])('refuses nodes of which one %s', async (_, broken) => {
    expect(await failures(suite(broken))).not.toEqual([])
  })
})

describe('publishingConformance', () => {
  type Publish = (transition: Transition) => void
  const suite = (broken: (publish: Publish, transition: Transition) => void) =>
    publishingConformance(async () => {
      const transport = memoryTransport({ publish: true })
      const { a, b, ...rest } = twoNodes(transport)
      const breaking = (station: Station) => (transition: Transition) =>
        broken((one) => station.publish?.(one), transition)
      return {
        station: { publish: breaking(a), close: () => a.close() },
        others: { publish: breaking(b) },
        listen: async (listener) => void transport.published(listener),
        ...rest,
        patienceMs,
      }
    })

  it.each<[string, (publish: Publish, transition: Transition) => void]>([
    ['loses one now and then', (publish, one) => (one.seq % 7 === 0 ? undefined : publish(one))],
    ['publishes twice', (publish, one) => [one, one].forEach((each) => publish(each))],
    [
      'leaves a field out',
      (publish, { parentRunId: gone, ...one }) => publish(gone === '' ? { ...one, parentRunId: gone } : one),
    ],
    ['changes names', (publish, one) => publish({ ...one, flow: one.flow.slice(0, 64) })],
    ['knows no flow runs', (publish, one) => publish({ ...one, flowRunId: 'run' })],
    [
      'publishes late what is of the first run',
      (publish, one) => (one.flowRunId === 'run0' ? setTimeout(() => publish(one), 1) : publish(one)),
    ],
  ])('refuses what %s', async (_, broken) => {
    expect(await failures(suite(broken))).not.toEqual([])
  })
})
