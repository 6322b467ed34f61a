import { createEngine, flow, task } from '@troupe/core'
import { capacity } from '../bare/loops.ts'
import { expectEqual } from '../lib/measure.ts'
import type { Measure } from '../lib/measure.ts'
import { throughput } from '../lib/throughput.ts'
import type { Subject } from '../lib/throughput.ts'
import { subscribeMany } from './subscribers.ts'

const syncBody = task({ name: 'sync-body' }, (i: number) => i)
const asyncBody = task({ name: 'async-body' }, async (i: number) => i)

type Engine = ReturnType<typeof createEngine>
type Body = typeof syncBody

const submit = (body: Body, n: number): ReturnType<Body>[] => Array.from({ length: n }, (_, i) => body(i))

/** Each shape does `n` task runs and gives how many came back. */
const shapes = {
  chain: async (body: Body, n: number) => {
    let sum = 0
    for (let i = 0; i < n; i++) sum += (await body(i)) === i ? 1 : 0
    return sum
  },
  'fan-out': async (body: Body, n: number) => (await Promise.all(submit(body, n))).length,
  'fan-out-capped': async (body: Body, n: number) => {
    let done = 0
    for (let left = n; left > 0; left -= capacity) {
      done += (await Promise.all(submit(body, Math.min(left, capacity)))).length
    }
    return done
  },
  map: async (body: Body, n: number) => {
    const values = await Promise.all(body.map(Array.from({ length: n }, (_, i) => i)))
    return values.length
  },
} satisfies Record<string, (body: Body, n: number) => Promise<number>>

type Shaped = (engine: Engine) => (n: number) => PromiseLike<number>

/** Each repetition is one flow run of `n` task runs, timed until its last transition has been delivered. */
function createSubject(shaped: Shaped, subscriberCount: number): Subject {
  const engine = createEngine()
  const subscribers = subscribeMany(engine, subscriberCount)
  const start = shaped(engine)
  return {
    work: async (n) => {
      const end = subscribers.nextEnd()
      expectEqual('values', await start(n), n)
      await end
      subscribers.check(n)
    },
    close: () => engine.close(),
  }
}

function measureShape(shape: keyof typeof shapes, body: Body): Measure {
  const shaped = flow({ name: shape }, (n: number) => shapes[shape](body, n))
  return (params) =>
    throughput(() => createSubject((engine) => shaped.with({ engine }), params.subscribers), params)
}

export const measures: Readonly<Record<string, Measure>> = {
  'chain-sync': measureShape('chain', syncBody),
  'chain-async': measureShape('chain', asyncBody),
  'fan-out-sync': measureShape('fan-out', syncBody),
  'fan-out-async': measureShape('fan-out', asyncBody),
  'fan-out-capped-sync': measureShape('fan-out-capped', syncBody),
  'map-sync': measureShape('map', syncBody),
}
