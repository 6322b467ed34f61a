import {
  ConcurrentTaskRunner,
  currentFlowRun,
  currentTaskRun,
  flow,
  inputs,
  sleep,
  task,
  type RunHandle,
  type StateName,
} from '@troupe/core'
import { checkTransitions, type TestEngine } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { all, quiet, testEngine } from './support.ts'

const hold = (): Promise<void> => sleep('1h')

/** What a run is made to be in when it is cancelled: the state, and what brings it there. */
interface Situation {
  readonly words: string
  readonly state: StateName
  /** Submits the run, in the body of a flow. */
  readonly submit: (kind: 'task' | 'flow') => RunHandle<unknown>
  readonly kinds?: readonly ('task' | 'flow')[]
  /** How it goes on to CANCELLED. */
  readonly path: readonly StateName[]
  /** How long the cancellation takes, in milliseconds. */
  readonly takes?: number
  /** How long it has been so when it is cancelled, in milliseconds. */
  readonly after?: number
}

let bodies = 0
const counted = (body: () => unknown) => (): unknown => {
  bodies++
  return body()
}
const fails = (): never => {
  throw new TypeError('on purpose')
}

const make = (kind: 'task' | 'flow', options: object, body: () => unknown): RunHandle<unknown> =>
  kind === 'task'
    ? task({ name: 'target', ...options }, counted(body))()
    : flow({ name: 'target', ...options }, counted(body))()

const upstream = task('upstream', hold)
const taker = { task: task('limited', hold), flow: flow('limited', hold) }
const leader = task({ name: 'target', cache: inputs() }, hold)
const ignores = (): Promise<never> => new Promise(() => undefined)

const situations: readonly Situation[] = [
  {
    words: 'waiting for its upstream',
    state: 'Pending',
    submit: (kind) =>
      kind === 'task'
        ? task({ name: 'target' }, counted(hold)).with({ waitFor: [upstream()] })()
        : flow({ name: 'target' }, counted(hold)).with({ waitFor: [upstream()] })(),
    path: ['Cancelled'],
  },
  {
    words: 'waiting for a slot of a limit',
    state: 'AwaitingConcurrencySlot',
    submit: (kind) => {
      void taker[kind]().ignore()
      return make(kind, { name: 'limited' }, hold)
    },
    path: ['Cancelled'],
  },
  {
    words: 'waiting for a slot of its runner',
    state: 'Pending',
    kinds: ['task'],
    submit: () => {
      upstream()
      upstream()
      return make('task', {}, hold)
    },
    path: ['Cancelled'],
  },
  {
    words: 'waiting for the result of an equal call',
    state: 'Pending',
    kinds: ['task'],
    submit: () => {
      leader()
      return make('task', { cache: inputs() }, hold)
    },
    path: ['Cancelled'],
  },
  {
    words: 'running',
    state: 'Running',
    submit: (kind) => make(kind, {}, hold),
    path: ['Cancelling', 'Cancelled'],
  },
  {
    words: 'running, heeding nothing',
    state: 'Running',
    submit: (kind) => make(kind, { grace: '7s' }, ignores),
    path: ['Cancelling', 'Cancelled'],
    takes: 7_000,
  },
  {
    words: 'running, with runs below it',
    state: 'Running',
    submit: (kind) => make(kind, {}, () => Promise.all([upstream(), flow('below', () => upstream())()])),
    path: ['Cancelling', 'Cancelled'],
  },
  {
    words: 'ended but for runs below it, one of which cleans up',
    state: 'Running',
    submit: (kind) =>
      make(kind, { grace: '9s' }, () => {
        task({ name: 'cleans', grace: '9s' }, async () => {
          const { signal } = currentTaskRun()
          await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
          await task({ name: 'cleanup' }, () => new Promise((resolve) => setImmediate(resolve))).with({
            cleanup: true,
          })()
        })()
      }),
    path: ['Cancelling', 'Cancelled'],
  },
  {
    words: 'waiting to be tried again',
    state: 'AwaitingRetry',
    submit: (kind) => make(kind, { retries: 1, retryDelay: '1h' }, fails),
    path: ['Cancelled'],
  },
  {
    words: 'waiting for a slot to be tried again',
    state: 'AwaitingConcurrencySlot',
    submit: (kind) => {
      const target = make(kind, { name: 'limited', retries: 1, retryDelay: '1s' }, fails)
      void taker[kind]().ignore()
      return target
    },
    path: ['Cancelled'],
  },
  {
    words: 'running its second attempt',
    state: 'Retrying',
    submit: (kind) => {
      let calls = 0
      return make(kind, { retries: 1 }, () => (++calls === 1 ? fails() : hold()))
    },
    path: ['Cancelling', 'Cancelled'],
  },
  {
    words: 'being asked whether to be tried again',
    state: 'Running',
    submit: (kind) => make(kind, { retries: 1, retryOn: () => new Promise<boolean>(() => undefined) }, fails),
    path: ['Cancelling', 'Cancelled'],
  },
  {
    words: 'past its time limit, while runs below it end',
    state: 'Running',
    submit: (kind) => make(kind, { timeout: '1s' }, () => task({ name: 'below', grace: '5s' }, ignores)()),
    path: ['Cancelling', 'Cancelled'],
    after: 2_000,
    takes: 4_000,
  },
]

/** How the run comes to be cancelled. */
const ways: Readonly<
  Record<string, (target: RunHandle<unknown>, above: RunHandle<unknown>) => Promise<unknown>>
> = {
  'by itself': (target) => target.cancel('test'),
  'with the flow run that submitted it': (_target, above) => above.cancel('test'),
}

for (const kind of ['task', 'flow'] as const) {
  describe.each(situations.filter(({ kinds }) => kinds?.includes(kind) ?? true))(
    `a ${kind === 'task' ? 'task run' : 'subflow'} that is $words`,
    ({ state, submit, path, takes = 0, after = 0 }) => {
      it.each(Object.entries(ways))('is CANCELLED when it is cancelled %s', async (_, cancel) => {
        await using engine = testEngine({
          limits: [
            { task: 'limited', concurrency: 1 },
            { flow: 'limited', concurrency: 1 },
          ],
        })
        bodies = 0
        const taskRunner = new ConcurrentTaskRunner({ limit: 2 })
        let target: RunHandle<unknown> | undefined
        const run = flow({ name: 'above', taskRunner, grace: '1m' }, async () => {
          currentFlowRun()
          target = submit(kind)
          await sleep('1d').catch(() => undefined)
        })()
        run.ignore()
        await reach(engine, () => target?.state.name === state || state === 'Pending')
        engine.clock.advance(after)
        await quiet()
        if (target === undefined) throw new TypeError('expected the run to be submitted')
        expect(target.state.name).toBe(state)
        const bodiesBefore = bodies
        const before = engine.clock.now()
        const cancelled = cancel(target, run)
        const { type } = await engine.settle(target.wait())
        expect(type).toBe('CANCELLED')
        expect(engine.clock.now() - before).toBe(takes)
        void run.cancel()
        await engine.settle(Promise.all([run.wait(), cancelled]))
        expect(bodies).toBe(bodiesBefore)
        const seen = await all(run.transitions)
        checkTransitions(seen)
        const own = (await all(target.transitions))
          .filter(({ runId }) => runId === target?.id)
          .map(({ to }) => to.name)
        expect(own.slice(own.indexOf(state) + 1).filter((name) => path.includes(name))).toEqual(path)
        expect(engine.limits.list().map(({ held, waiting }) => [held, waiting])).toEqual([
          [0, 0],
          [0, 0],
        ])
        expect(engine.clock.waiting).toBe(0)
      })
    },
  )
}

/** Lets half a second pass again and again, until something is so. */
async function reach(engine: TestEngine, isSo: () => boolean): Promise<void> {
  await quiet()
  for (let i = 0; i < 20 && !isSo(); i++) {
    engine.clock.advance(500)
    await quiet()
  }
}
