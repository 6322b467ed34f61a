/** Bodies that submit runs, each of which tells what it saw as a value. They behave alike on every task runner. */
import { isMainThread } from 'node:worker_threads'
import {
  abort,
  allowFailure,
  asCompleted,
  cancelled,
  completed,
  currentFlowRun,
  currentTaskRun,
  failed,
  flow,
  inputs,
  opaque,
  retryAfter,
  sleep,
  task,
  TroupeError,
  unmapped,
  waitAll,
  withTags,
  type RunHandle,
  type TaskFuture,
} from '@troupe/core'

export const give = task('nested/give', (value: unknown): unknown => value)
export const later = task('nested/later', async (value: string, ms: number): Promise<string> => {
  await sleep(ms)
  return value
})
export const fail = task('nested/fail', (message: string): never => {
  throw new TypeError(message)
})
const add = task('nested/add', (a: number, b: number): number => a + b)
const forever = task('nested/forever', async (): Promise<void> => {
  await sleep('10m')
})
const facts = task('nested/facts', (..._args: unknown[]) => {
  const { name, runName, tags, attempt } = currentTaskRun()
  return { name, runName, tags, attempt }
})
const failsAtFirst = task('nested/fails-at-first', (failures: number): number => {
  const { attempt } = currentTaskRun()
  if (attempt <= failures) throw new RangeError(`attempt ${attempt}`)
  return attempt
})
/** With functions among its options: it is the definition's own, which the engine has. */
const withFunctions = task(
  {
    name: 'nested/with-functions',
    runName: (n: number) => `for ${n}`,
    retries: 5,
    retryOn: (_error: unknown, attempt: number) => attempt < 3,
    retryDelay: () => 1,
    cache: inputs(),
  },
  (failures: number) => {
    const { attempt, runName } = currentTaskRun()
    if (attempt <= failures) throw new RangeError(`attempt ${attempt} of ${runName}`)
    return { attempt, runName }
  },
)
const remade = withFunctions.with({ retryOn: () => true, name: 'nested/remade' })

/** Known in threads only, as a task that is defined where the program never comes by. */
const secret = isMainThread ? undefined : task('nested/secret', () => 1)

const whereIs = task('nested/where', (): string => (isMainThread ? 'main thread' : 'a thread'))
export const below = flow({ name: 'nested/below', tags: ['flowing'] }, async (n: number) => {
  const { tags, parameters } = currentFlowRun()
  return {
    body: isMainThread ? 'main thread' : 'a thread',
    task: await whereIs(),
    tags,
    parameters,
    sum: add(n, 1),
  }
})
const slowFlow = flow('nested/slow-flow', async () => {
  // Long enough to be seen running, and paused, by a thread that has to ask for its state.
  await sleep(500)
  return give('after the pause')
})

async function errorOf(promise: PromiseLike<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return told(error)
  }
  return 'no error'
}

function thrownBy(fn: () => unknown): unknown {
  try {
    fn()
  } catch (error) {
    return told(error)
  }
  return 'no error'
}

function told(error: unknown): unknown {
  if (TroupeError.is(error)) {
    const { path } = error.details
    return path === undefined ? error.code : `${error.code} ${path as string}`
  }
  return error instanceof Error ? `${error.constructor.name}: ${error.message}` : error
}

function seen<T>(
  source: { subscribe(observer: object): unknown },
  tell: (value: T) => unknown,
): Promise<unknown[]> {
  const values: unknown[] = []
  return new Promise((resolve, reject) => {
    source.subscribe({
      next: (value: T) => void values.push(tell(value)),
      error: reject,
      complete: () => resolve(values),
    })
  })
}

const names = (runs: readonly RunHandle<unknown>[]): string[] => runs.map(({ name }) => name)

/** What a body does, and what it has to say of it. */
export const scenarios: Readonly<Record<string, () => unknown>> = {
  // --- futures
  'awaits a run': async () => [await give('a'), await give('b').result(), await give('c').handle.result()],
  'awaits a run that fails': async () => [
    await errorOf(fail('one')),
    await errorOf(fail('two').result()),
    await fail('three').catch((error: unknown) => told(error)),
    await fail('four').then(undefined, (error: unknown) => told(error)),
  ],
  'says how a run is': async () => {
    const run = give('a')
    const { kind, name, runName, id } = run
    const first = run.state.name
    await run
    const { name: state, type } = run.state
    return { kind, name, runName, id: id.startsWith(currentTaskRun().flowRunId), first, state, type }
  },
  'waits for the end of a run': async () => {
    const states = [await give('a').wait(), await fail('no').wait(), await fail('no').handle.wait()]
    return states.map(({ name, message }) => [name, message])
  },
  'waits for a run only so long': async () => {
    const run = forever()
    while (run.state.name !== 'Running') await sleep(1)
    const { name } = await run.wait({ timeout: 5 })
    const { name: end } = await run.cancel()
    return [name, end, (await give('quick').wait({ timeout: '1m' })).name]
  },
  'cancels a run': async () => {
    const run = forever()
    const { name, type } = await run.cancel('not needed')
    return [name, type, await errorOf(run)]
  },
  'cancels a run that has ended': async () => {
    const run = give('a')
    await run
    return (await run.cancel()).name
  },
  'watches the states of a run': async () => {
    const run = give('a')
    const states = await seen<{ name: string }>(run.states, ({ name }) => name)
    return [states, await seen<{ name: string }>(run.states, ({ name }) => name)]
  },
  'watches the transitions of a run': async () => {
    const run = failsAtFirst.with({ retries: 1 })(1)
    const tell = ({ to, attempt, runName }: { to: { name: string }; attempt: number; runName: string }) =>
      `${runName} ${to.name} ${attempt}`
    return (await seen(run.transitions, tell)).map((line) => String(line).replace(/-\d+ /, ' '))
  },
  'stops watching a run': async () => {
    const run = later('a', 20)
    let count = 0
    const subscription = run.states.subscribe(() => void count++)
    subscription.unsubscribe()
    const at = count
    await run
    return [at <= 1, count === at]
  },
  'uses a future as a text': () => {
    const run = give('a').ignore()
    return [thrownBy(() => `${run as unknown as string}`), JSON.parse(JSON.stringify(run.handle)) !== null]
  },

  // --- several
  'waits for all': async () => {
    const { done, pending } = await waitAll([give('a'), fail('b'), give('c')])
    return [names(done), names(pending), done.map(({ state }) => state.name)]
  },
  'waits for all only so long': async () => {
    const runs = [give('a'), forever()]
    const { done, pending } = await waitAll(runs, { timeout: 30 })
    await runs[1]?.cancel()
    return [names(done), names(pending)]
  },
  'takes runs as they complete': async () => {
    const order: unknown[] = []
    // What had ended before it was asked for would come in the order of the list.
    const early = fail.with({ waitFor: later('asked', 300) })('early')
    const soon = give.with({ waitFor: allowFailure(early) })('soon')
    const late = give.with({ waitFor: soon })('late')
    for await (const run of asCompleted<unknown>([late, early, soon]))
      order.push(await run.result().catch((error: unknown) => told(error)))
    return order
  },
  'takes the first, and cancels the others': async () => {
    const runs: TaskFuture<unknown>[] = [forever(), give('first'), forever()]
    for await (const run of asCompleted<unknown>(runs)) {
      const value = await run.result()
      for (const other of runs) await other.cancel()
      return [value, runs.map(({ state }) => state.name)]
    }
    return undefined
  },
  maps: async () => [
    await Promise.all(add.map([1, 2, 3], unmapped(10))),
    await Promise.all(add.map([give(1) as TaskFuture<number>, 2], [10, give(20) as TaskFuture<number>])),
    thrownBy(() => add.map([1, 2], [1])),
  ],

  // --- dependencies
  'passes futures as arguments': async () => {
    const one = add(1, 2)
    const two = add(one, one)
    return [
      await two,
      await give({ list: [one, { two }], map: new Map([['k', two]]) }),
      await give(opaque({ a: 1 })),
    ]
  },
  'passes the future of a run that failed': async () => [
    await errorOf(give(fail('below'))),
    await give(allowFailure(fail('allowed')) as never).then(told),
  ],
  'waits before a run begins': async () => {
    const first = later('first', 10)
    const second = facts.with({ waitFor: [first] })()
    await second
    return [first.state.name, await errorOf(facts.with({ waitFor: fail('never') })())]
  },

  // --- how it ends
  'returns a future': () => give('from below'),
  'returns a future later': async () => {
    await sleep(1)
    return { held: give('from below') }
  },
  'returns a list of futures': () => [give('a'), later('b', 5)],
  'returns futures within values': () => ({ a: give(1), list: [give(2)], map: new Map([['k', give(3)]]) }),
  'returns a future of one that failed': () => fail('its error'),
  'returns a list of which two failed': () => [give('a'), fail('one'), fail('two')],
  'returns a handle from an async function': async () => give('by its handle').handle,
  'returns a future of one that it cancelled': async () => {
    const run = forever()
    void run.cancel('over')
    return run.handle
  },
  'returns completed': () => {
    fail('nobody looks')
    return completed('all the same', 'with a message')
  },
  'returns completed with a future': () => completed(give('inside')),
  'returns failed': () => failed(new RangeError('by choice')),
  'returns failed with a message': () => failed(new RangeError('by choice'), 'in other words'),
  'returns cancelled': () => cancelled('not today'),
  'throws abort': () => {
    throw abort(new TypeError(`in vain at ${currentTaskRun().attempt}`))
  },
  'throws retryAfter': () => {
    if (currentTaskRun().attempt < 3) throw retryAfter(1, new TypeError('busy'))
    return currentTaskRun().attempt
  },
  'returns failed with abort': () => failed(abort(new TypeError('in vain'))),
  'fails at first': () => {
    if (currentTaskRun().attempt < 3) throw new TypeError('once more')
    return currentTaskRun().attempt
  },

  // --- nobody looked
  'looks at no failure': async () => {
    const run = fail('unseen')
    while (run.state.type !== 'FAILED') await sleep(1)
    return 'value'
  },
  'ignores a failure': () => {
    fail('unseen').ignore()
    return 'value'
  },
  'only subscribes to a failure': async () => {
    await seen(fail('unseen').states, () => '')
    return 'value'
  },
  'waits for a failure': async () => {
    await fail('seen').wait()
    return 'value'
  },
  'looks through waitAll': async () => {
    await waitAll([fail('seen')])
    return 'value'
  },
  'passes a failure on': async () => {
    await give(allowFailure(fail('seen')) as never)
    return 'value'
  },
  'looks at one of two failures': () => {
    fail('seen').catch(() => undefined)
    fail('unseen')
    return 'value'
  },

  // --- subflows
  'calls a flow': async () => {
    const run = below(4)
    const value = await run
    return { value, kind: run.kind, name: run.name, own: run.id !== currentTaskRun().flowRunId }
  },
  'pauses a flow that it called': async () => {
    const run = slowFlow()
    while (run.state.name !== 'Running') await sleep(1)
    const paused = await run.pause()
    const still = await run.wait({ timeout: 30 })
    const resumed = await run.resume()
    return [paused.name, still.name, resumed.name, await run]
  },
  'cancels a flow that it called': async () => {
    const run = slowFlow()
    return [(await run.cancel('no')).name, await errorOf(run)]
  },
  'calls a flow twice by one key': async () => {
    const key = `key of ${currentTaskRun().id}`
    const runs = [below.with({ idempotencyKey: key })(1), below.with({ idempotencyKey: key })(1)]
    await Promise.all(runs)
    return runs[0]?.id === runs[1]?.id
  },

  // --- options
  'calls with options': async () =>
    facts.with({
      tags: ['a', 'b'],
      runName: 'called',
      priority: 3,
      timeout: '1m',
      retries: 2,
      grace: '1s',
    })(),
  'calls with options upon options': async () =>
    facts
      .with({ tags: ['a'] })
      .with({ runName: 'run for {0}' })
      .with({ retries: 1 })('x'),
  'calls by another name': async () => (await facts.with({ name: 'nested/renamed' })()).name,
  'calls with retries': async () => [
    await failsAtFirst.with({ retries: 2, retryDelay: 1 })(2),
    await failsAtFirst.with({ retries: 2, retryDelay: [1, 2] })(2),
    await errorOf(failsAtFirst.with({ retries: 1 })(2)),
  ],
  'calls with a time limit': async () => errorOf(forever.with({ timeout: 10 })()),
  'calls with tags around': async () => {
    const plain = facts()
    const [one, two] = withTags(['outer'], () => [
      facts(),
      withTags(['inner'], () => facts.with({ tags: ['own'] })()),
    ])
    const tagged = await withTags(['kept'], async () => {
      await sleep(1)
      return facts()
    })
    return [await plain, await one, await two, tagged].map((each) => each?.tags.toSorted())
  },
  'calls what has functions among its options': async () => [
    await withFunctions(2),
    await errorOf(withFunctions(4)),
  ],
  'calls with a function': () => {
    const calls: Record<string, () => unknown> = {
      retryOn: () => give.with({ retryOn: () => true })(1),
      retryDelay: () => give.with({ retryDelay: () => 1 })(1),
      runName: () => give.with({ runName: () => 'x' })(1),
      hook: () => give.with({ onCompletion: () => undefined })(1),
      cache: () => give.with({ cache: inputs() })(1),
      cacheKey: () => give.with({ cacheKey: () => 'x' })(1),
      'made at the top': () => remade(1),
    }
    return Object.fromEntries(Object.entries(calls).map(([name, call]) => [name, thrownBy(call)]))
  },

  // --- misuse
  'calls with what can not be sent': () => [
    thrownBy(() => give({ fn: () => 1 })),
    thrownBy(() => give(Promise.resolve(1) as never)),
    thrownBy(() => (below as (...args: unknown[]) => unknown)(1, () => 1)),
  ],
  'calls with bad options': () => [
    thrownBy(() => give.with({ retries: -1 })),
    thrownBy(() => give.with({ colour: 'red' } as never)),
    thrownBy(() => give.with({ timeout: 'soon' as never })),
  ],
  'calls a task that only threads know': () => (secret === undefined ? 'main' : thrownBy(() => secret())),
  'waits for what is no run': async () => [
    await errorOf(waitAll(['text' as never])),
    thrownBy(() => asCompleted([1 as never])),
    await errorOf(give('a').wait({ timeout: 'soon' as never })),
  ],
  'acts after its end': async () => {
    // Its answer is asked for later: see `acted`.
    afterEnds.push(
      new Promise((resolve) => {
        setTimeout(() => {
          resolve({
            id: currentTaskRun().name,
            call: thrownBy(() => give(1)),
            sleep: errorOrThrown(() => sleep(1)),
          })
        }, 5)
      }).then(async (found) => ({ ...(found as object), sleep: await (found as { sleep: unknown }).sleep })),
    )
    return 'ended'
  },
}

async function errorOrThrown(fn: () => PromiseLike<unknown>): Promise<unknown> {
  try {
    await fn()
  } catch (error) {
    return told(error)
  }
  return 'no error'
}

const afterEnds: Promise<unknown>[] = []

/** What the bodies that had ended in this thread found later. */
export const acted = task('nested/acted', async (): Promise<unknown[]> => Promise.all(afterEnds.splice(0)))

export const scenario = task('nested/scenario', (name: string): unknown => scenarios[name]?.())
