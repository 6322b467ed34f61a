import {
  createEngine,
  flow,
  inputs,
  task,
  type Instrumentation,
  type Limit,
  type TaskOptions,
} from '@troupe/core'
import { expectEqual } from '../lib/measure.ts'
import type { Measure } from '../lib/measure.ts'
import { throughput } from '../lib/throughput.ts'
import type { Subject } from '../lib/throughput.ts'

interface Set {
  readonly options?: Omit<TaskOptions, 'parameters'>
  readonly limits?: readonly Limit[]
  readonly instrumentation?: Instrumentation
}

/** Each repetition is one flow run that submits `n` task runs at once; each body takes a turn of the event loop. */
function createSubject({ options = {}, limits = [], instrumentation }: Set): Subject {
  const engine = createEngine({
    limits,
    ...(instrumentation === undefined ? undefined : { instrumentation }),
  })
  const order: number[] = []
  const body = task({ name: 'limited', ...options }, (i: number) => {
    order.push(i)
    return new Promise<number>((resolve) => setImmediate(resolve, i))
  })
  const start = flow('fan-out', async (n: number) => (await Promise.all(submit(n))).length)
  const submit = (n: number): ReturnType<typeof body>[] => Array.from({ length: n }, (_, i) => body(i))
  return {
    work: async (n) => {
      order.length = 0
      expectEqual('values', await start.with({ engine })(n), n)
      expectEqual('bodies in order of submission', order.filter((i, at) => i === at).length, n)
    },
    close: () => engine.close(),
  }
}

export const measureSet =
  (set: Set): Measure =>
  (params) =>
    throughput(() => createSubject(set), params)

export const measures: Readonly<Record<string, Measure>> = {
  none: measureSet({}),
  'limit-of-2': measureSet({ limits: [{ task: 'limited', concurrency: 2 }] }),
  'limit-of-n': measureSet({ limits: [{ task: 'limited', concurrency: 1_000_000 }] }),
  rate: measureSet({ limits: [{ task: 'limited', rate: { count: 1_000_000, per: 1 } }] }),
  'retries-and-timeout': measureSet({ options: { retries: 3, retryDelay: '1s', timeout: '1m' } }),
  hooks: measureSet({ options: { onCompletion: () => undefined } }),
  'cache-miss': measureSet({ options: { cache: inputs(), refreshCache: true } }),
}
