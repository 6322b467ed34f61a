/**
 * Whatever function of a user's fails, and however: the engine goes on, nothing is unhandled, and the error is found where the documentation
 * says.
 */
import { flow, memoryCache, task, type Flow } from '@troupe/core'
import type { TestEngineOptions } from '@troupe/core/testing'
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { testEngine } from './support.ts'

const mistake = new TypeError('a mistake of the user')
const throws = (): never => {
  throw mistake
}
const rejects = (): Promise<never> => Promise.reject(mistake)

/** How a callback fails. */
const ways = [
  ['throws', throws],
  ['rejects', rejects],
  ['gives nonsense', () => Symbol('nonsense')],
] as const

type Failing = (typeof ways)[number][1]

/** A flow whose run asks a callback. */
type Subject = (failing: Failing) => {
  readonly flow: Flow<[], unknown>
  readonly options?: TestEngineOptions
}

const fails = (): never => {
  throw new RangeError('on purpose')
}

const ofTask = (options: (failing: Failing) => object, body: () => unknown = () => 1): Subject => {
  return (failing) => {
    const asked = task({ name: 'asked', ...options(failing) }, body)
    return { flow: flow('asks', () => asked()) }
  }
}

const schemaOf = (validate: Failing): StandardSchemaV1<unknown[], unknown[]> => ({
  '~standard': { version: 1, vendor: 'test', validate: validate as never },
})

const subjects: readonly (readonly [string, Subject])[] = [
  ['onRunning of a task', ofTask((onRunning) => ({ onRunning }))],
  ['onCompletion of a task', ofTask((onCompletion) => ({ onCompletion }))],
  ['onFailure of a task', ofTask((onFailure) => ({ onFailure }), fails)],
  ['onScheduled of a task', ofTask((onScheduled) => ({ onScheduled, retries: 1, retryDelay: 10 }), fails)],
  [
    'onCompletion of a flow',
    (onCompletion) => ({ flow: flow({ name: 'hooked', onCompletion } as never, () => 1) as never }),
  ],
  ['retryOn', ofTask((retryOn) => ({ retryOn, retries: 1 }), fails)],
  ['retryDelay', ofTask((retryDelay) => ({ retryDelay, retries: 1 }), fails)],
  ['runName', ofTask((runName) => ({ runName }))],
  ['cacheKey', ofTask((cacheKey) => ({ cacheKey }))],
  ['the schema of the parameters', ofTask((validate) => ({ parameters: schemaOf(validate) }))],
  [
    'get of a cache',
    (get) => ({
      flow: flow('cached', () => task({ name: 'cached', cacheKey: () => 'k' }, () => 1)()),
      options: { cache: { ...memoryCache(), get: get as never } },
    }),
  ],
  [
    'put of a cache',
    (put) => ({
      flow: flow('cached', () => task({ name: 'cached', cacheKey: () => 'k' }, () => 1)()),
      options: { cache: { ...memoryCache(), get: async () => undefined, put: put as never } },
    }),
  ],
]

const unhandled: unknown[] = []
const note = (error: unknown): void => void unhandled.push(error)
const after = flow('after', () => task('after', (n: number) => n + 1)(1))

beforeEach(() => {
  unhandled.length = 0
  process.on('unhandledRejection', note)
  process.on('uncaughtException', note)
})

afterEach(() => {
  process.off('unhandledRejection', note)
  process.off('uncaughtException', note)
})

/** Lets what is unhandled come to light. */
const turns = async (): Promise<void> => {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** What is not asked for a promise takes one for nonsense, and waits for none. */
const synchronous: ReadonlySet<string> = new Set(['retryDelay', 'runName', 'cacheKey'])

describe.each(subjects)('%s', (name, subject) => {
  it.each(ways)('that %s is told of, and leaves the engine working', async (way, failing) => {
    const { flow: asks, options } = subject(failing)
    const engine = testEngine(options)
    const heard: unknown[] = []
    engine.errors.subscribe(({ error }) => heard.push(error))
    const run = engine.run(asks as Flow<[], unknown>)
    const end = await engine.settle(run.wait())
    const error = await run.result().catch((failure: unknown) => failure)
    expect(['COMPLETED', 'FAILED']).toContain(end.type)
    expect(await engine.settle(engine.run(after))).toBe(2)
    await engine.close()
    await turns()
    expect(unhandled).toEqual([])
    const isTold = way === 'throws' || (way === 'rejects' && !synchronous.has(name))
    const told = inspect([heard, engine.lines, error], { depth: 10 })
    expect(told).toContain(isTold ? mistake.message : '')
  })
})
