import {
  createEngine,
  flow,
  inputs,
  task,
  type Instrumentation,
  type Limit,
  type TaskOptions,
} from '@troupe/core'
import { inspectRuns } from '@troupe/core/xstate'
import { expectEqual } from '../lib/measure.ts'
import type { Measure } from '../lib/measure.ts'
import { throughput } from '../lib/throughput.ts'
import type { Subject } from '../lib/throughput.ts'

interface Set {
  readonly options?: Omit<TaskOptions, 'parameters'>
  readonly limits?: readonly Limit[]
  readonly instrumentation?: Instrumentation
  readonly strictValues?: boolean
  /** A schema that takes everything. */
  readonly checked?: boolean
  /** Each call has a key of its own. */
  readonly keyed?: boolean
  /** Everything is in the cache before it is measured. */
  readonly cached?: boolean
  /** Told to an inspector of XState that does nothing. */
  readonly inspected?: boolean
}

const anything = {
  '~standard': {
    version: 1,
    vendor: 'benchmark',
    validate: (value: unknown) => ({ value: value as [number] }),
    types: undefined as { readonly input: [number]; readonly output: [number] } | undefined,
  },
} as const

/**
 * Each repetition is one flow run that submits `n` task runs at once; each body takes a turn of the event loop.
 *
 * @param ofOne - Task runs of a repetition
 */
function createSubject(set: Set, ofOne: number): Subject {
  const {
    options = {},
    limits = [],
    instrumentation,
    strictValues = false,
    checked,
    keyed,
    cached,
    inspected,
  } = set
  const engine = createEngine({
    limits,
    strictValues,
    ...(instrumentation === undefined ? undefined : { instrumentation }),
  })
  const order: number[] = []
  const run = (i: number): Promise<number> => {
    order.push(i)
    return new Promise<number>((resolve) => setImmediate(resolve, i))
  }
  const name = 'limited'
  const body = checked
    ? task({ name, ...options, parameters: anything }, run)
    : task({ name, ...options }, run)
  const call = keyed ? (i: number) => body.with({ key: `${i}` })(i) : body
  const start = flow('fan-out', async (n: number) => (await Promise.all(submit(n))).length)
  const submit = (n: number): ReturnType<typeof body>[] => Array.from({ length: n }, (_, i) => call(i))
  if (inspected) inspectRuns(engine.transitions, () => undefined)
  let isKnown = !cached
  const know = async (n: number): Promise<void> => {
    if (!isKnown) await start.with({ engine })(n)
    isKnown = true
  }
  return {
    ready: () => know(ofOne),
    work: async (n) => {
      await know(n)
      order.length = 0
      expectEqual('values', await start.with({ engine })(n), n)
      const bodies = order.filter((i, at) => i === at).length
      expectEqual('bodies in order of submission', bodies, cached ? 0 : n)
    },
    close: () => engine.close(),
  }
}

export const measureSet =
  (set: Set): Measure =>
  (params) =>
    throughput(() => createSubject(set, params.n), params)

export const measures: Readonly<Record<string, Measure>> = {
  none: measureSet({}),
  'limit-of-2': measureSet({ limits: [{ task: 'limited', concurrency: 2 }] }),
  'limit-of-n': measureSet({ limits: [{ task: 'limited', concurrency: 1_000_000 }] }),
  rate: measureSet({ limits: [{ task: 'limited', rate: { count: 1_000_000, per: 1 } }] }),
  'retries-and-timeout': measureSet({ options: { retries: 3, retryDelay: '1s', timeout: '1m' } }),
  hooks: measureSet({ options: { onCompletion: () => undefined } }),
  'cache-hit': measureSet({ options: { cache: inputs() }, cached: true }),
  tags: measureSet({ options: { tags: ['one', 'two'] } }),
  parameters: measureSet({ checked: true }),
  keys: measureSet({ keyed: true }),
  inspector: measureSet({ inspected: true }),
  'strict-values': measureSet({ strictValues: true }),
  'cache-miss': measureSet({ options: { cache: inputs(), refreshCache: true } }),
}
