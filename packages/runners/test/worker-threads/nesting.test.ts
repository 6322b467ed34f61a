import { ConcurrentTaskRunner, flow, TroupeError, type RunHandle } from '@troupe/core'
import { afterAll, describe, expect, it } from 'vitest'
import { onThreads } from './support.ts'
import { acted, scenario } from './tasks/nested.ts'

const stage = onThreads({ threads: 4 })
afterAll(() => stage[Symbol.asyncDispose]())

/** How a run with the body ends: its state, and its value or what its error says. */
async function ending(name: string, runner: 'threads' | 'here', retries: number): Promise<unknown> {
  const taskRunner = runner === 'threads' ? stage.runner : new ConcurrentTaskRunner()
  let run: RunHandle<unknown> | undefined
  await stage.engine.run(
    flow({ name: 'nesting', taskRunner }, async () => {
      run = scenario.with({ retries })(name)
      await run.wait()
    }),
  )
  const { name: state, message } = run?.state ?? {}
  const value = await run?.result().catch(told)
  return [state, value, ...(message === undefined ? [] : [message.replaceAll(/-\d+\b/g, '')])]
}

function told(error: unknown): unknown {
  if (TroupeError.is(error)) return error.code
  return error instanceof Error ? `${error.constructor.name}: ${error.message}` : error
}

const done = (value: unknown): unknown => ['Completed', value]
const failed = (message: string, error = `TypeError: ${message}`): unknown => ['Failed', error, message]
const unseen = (message: string): unknown => ['UnobservedFailure', 'UNOBSERVED_FAILURE', message]
const plain = { name: 'nested/facts', runName: expect.any(String) as unknown, attempt: 1 }

const cases: Readonly<Record<string, unknown>> = {
  'awaits a run': done(['a', 'b', 'c']),
  'awaits a run that fails': done([
    'TypeError: one',
    'TypeError: two',
    'TypeError: three',
    'TypeError: four',
  ]),
  'says how a run is': done({
    kind: 'task',
    name: 'nested/give',
    runName: expect.stringMatching(/^nested\/give-\d+$/) as unknown,
    id: true,
    // By the time it is asked, the run may be anywhere.
    first: expect.stringMatching(/^(Pending|Running|Completed)$/) as unknown,
    state: 'Completed',
    type: 'COMPLETED',
  }),
  'waits for the end of a run': done([
    ['Completed', undefined],
    ['Failed', 'no'],
    ['Failed', 'no'],
  ]),
  'waits for a run only so long': done(['Running', 'Cancelled', 'Completed']),
  'cancels a run': done(['Cancelled', 'CANCELLED', 'RUN_CANCELLED']),
  'cancels a run that has ended': done('Completed'),
  'watches the states of a run': done([
    ['Pending', 'Running', 'Completed'],
    ['Pending', 'Running', 'Completed'],
  ]),
  'watches the transitions of a run': done(
    ['Pending 1', 'Running 1', 'Retrying 2', 'Completed 2'].map((line) => `nested/fails-at-first ${line}`),
  ),
  'stops watching a run': done([true, true]),
  'uses a future as a text': done(['FUTURE_AS_VALUE', true]),

  'waits for all': done([
    ['nested/give', 'nested/fail', 'nested/give'],
    [],
    ['Completed', 'Failed', 'Completed'],
  ]),
  'waits for all only so long': done([['nested/give'], ['nested/forever']]),
  'takes runs as they complete': done(['TypeError: early', 'soon', 'late']),
  'takes the first, and cancels the others': done(['first', ['Cancelled', 'Completed', 'Cancelled']]),
  maps: done([[11, 12, 13], [11, 22], 'MAP_LENGTHS']),

  'passes futures as arguments': done([6, { list: [3, { two: 6 }], map: new Map([['k', 6]]) }, { a: 1 }]),
  'passes the future of a run that failed': done(['UPSTREAM_FAILED', 'TypeError: allowed']),
  'waits before a run begins': done(['Completed', 'UPSTREAM_FAILED']),

  'returns a future': done('from below'),
  'returns a future later': done({ held: 'from below' }),
  'returns a list of futures': done(['a', 'b']),
  'returns futures within values': done({ a: 1, list: [2], map: new Map([['k', 3]]) }),
  'returns a future of one that failed': failed('its error'),
  'returns a list of which two failed': ['Failed', 'RUNS_FAILED', '2/3 runs failed'],
  'returns a handle from an async function': done('by its handle'),
  'returns a future of one that it cancelled': [
    'Cancelled',
    'RUN_CANCELLED',
    expect.stringContaining('over'),
  ],
  'returns completed': ['Completed', 'all the same', 'with a message'],
  'returns completed with a future': done('inside'),
  'returns failed': failed('by choice', 'RangeError: by choice'),
  'returns failed with a message': failed('in other words', 'RangeError: by choice'),
  'returns cancelled': ['Cancelled', 'RUN_CANCELLED', expect.stringContaining('not today')],
  'throws abort': failed('in vain at 1'),
  'throws retryAfter': done(3),
  'returns failed with abort': failed('in vain'),
  'fails at first': done(3),

  'looks at no failure': unseen('1/1 runs failed and nobody looked'),
  'ignores a failure': done('value'),
  'only subscribes to a failure': unseen('1/1 runs failed and nobody looked'),
  'waits for a failure': done('value'),
  'looks through waitAll': done('value'),
  'passes a failure on': done('value'),
  'looks at one of two failures': unseen('1/2 runs failed and nobody looked'),

  'calls a flow': done({
    value: {
      body: 'main thread',
      task: expect.any(String) as unknown,
      tags: ['flowing'],
      parameters: [4],
      sum: 5,
    },
    kind: 'flow',
    name: 'nested/below',
    own: true,
  }),
  'pauses a flow that it called': done(['Paused', 'Paused', 'Running', 'after the pause']),
  'cancels a flow that it called': done(['Cancelled', 'RUN_CANCELLED']),
  'calls a flow twice by one key': done(true),

  'calls with options': done({ ...plain, runName: 'called', tags: ['a', 'b'] }),
  'calls with options upon options': done({ ...plain, runName: 'run for x', tags: ['a'] }),
  'calls by another name': done('nested/renamed'),
  'calls with retries': done([3, 3, 'RangeError: attempt 2']),
  'calls with a time limit': done('RUN_TIMED_OUT'),
  'calls with tags around': done([[], ['outer'], ['inner', 'outer', 'own'], ['kept']]),
  'calls what has functions among its options': done([
    { attempt: 3, runName: 'for 2' },
    'RangeError: attempt 3 of for 4',
  ]),

  'calls with bad options': done(['INVALID_OPTION', 'INVALID_OPTION', 'INVALID_DURATION']),
  'waits for what is no run': done(['INVALID_OPTION', 'INVALID_OPTION', 'INVALID_DURATION']),
}
/** Those that are tried again. */
const retried = new Set(['throws abort', 'throws retryAfter', 'returns failed with abort', 'fails at first'])

describe.each(['threads', 'here'] as const)('a body that submits runs (%s)', (runner) => {
  it.each(Object.keys(cases))('%s', async (name) => {
    expect(await ending(name, runner, retried.has(name) ? 3 : 0)).toEqual(cases[name])
  })
})

describe('a body on a thread', () => {
  const says = (name: string): Promise<unknown> => stage.run(() => scenario(name))

  it('is told that functions can not be sent with a call, by the path of the option', async () => {
    expect(await says('calls with a function')).toEqual({
      retryOn: 'NOT_ENCODABLE options.retryOn',
      retryDelay: 'NOT_ENCODABLE options.retryDelay',
      runName: 'NOT_ENCODABLE options.runName',
      hook: 'NOT_ENCODABLE options.onCompletion',
      cache: expect.stringMatching(/^NOT_ENCODABLE options\.cache/) as unknown,
      cacheKey: 'NOT_ENCODABLE options.cacheKey',
      'made at the top': 'NOT_ENCODABLE options.retryOn',
    })
  })

  it('is told of arguments that can not be sent at the call, with their path', async () => {
    expect(await says('calls with what can not be sent')).toEqual([
      'NOT_ENCODABLE args[0].fn',
      expect.stringMatching(/^NATIVE_PROMISE/) as unknown,
      'NOT_ENCODABLE args[1]',
    ])
  })

  it('is told that its engine does not know a task which only threads define', async () => {
    expect(await says('calls a task that only threads know')).toBe('UNKNOWN_DEFINITION')
  })

  it('can not act any more when its run has ended', async () => {
    expect(await says('acts after its end')).toBe('ended')
    expect(await stage.run(() => acted())).toEqual([
      { id: 'nested/scenario', call: 'RUN_ENDED', sleep: 'RUN_ENDED' },
    ])
  })

  it('has its flows executed where the engine is, and their tasks on threads', async () => {
    expect(await says('calls a flow')).toMatchObject({ value: { body: 'main thread', task: 'a thread' } })
  })
})
