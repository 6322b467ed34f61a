import { RunError, type RunHandle, type TaskFuture, type TaskHandle } from '@troupe/core'
import { afterAll, describe, expect, it } from 'vitest'
import { code, errorOf, isWhole, nextExit, onThreads, threadCount, type Stage } from './support.ts'
import {
  ends,
  endsAtFirst,
  endsWhileWaiting,
  mark,
  overflow,
  parentOfEnding,
  restsOnEnding,
  thread,
} from './tasks/crashes.ts'

const limits = { maxOldGenerationSizeMb: 24, maxYoungGenerationSizeMb: 4 }
const stage = onThreads({ threads: 2, resourceLimits: limits })
afterAll(() => stage[Symbol.asyncDispose]())

/** What a crash says of its cause. */
const causes: Readonly<Record<string, unknown>> = {
  exit: code('RUN_CRASHED', /exit code 1/),
  'exit with 0': code('RUN_CRASHED', /exit code 0/),
  'exit in a timer': code('RUN_CRASHED', /exit code 3/),
  'exit after a wait': code('RUN_CRASHED', /exit code 1/),
  'uncaught error in a timer': expect.objectContaining({
    name: 'RangeError',
    message: 'from a timer',
    cause: 'below',
    stack: expect.stringContaining('tasks/crashes.ts') as unknown,
  }) as unknown,
  'uncaught error in a tick': expect.objectContaining({
    name: 'RangeError',
    message: 'from a tick',
  }) as unknown,
  'uncaught text': 'only a text',
  'unhandled rejection': expect.objectContaining({
    name: 'SyntaxError',
    message: 'nobody caught it',
  }) as unknown,
  'unhandled rejection later': expect.objectContaining({ message: 'nobody caught it' }) as unknown,
  'out of memory': expect.objectContaining({ code: 'ERR_WORKER_OUT_OF_MEMORY' }) as unknown,
}

const waysAgain = ['exit', 'uncaught error in a timer', 'unhandled rejection', 'out of memory']

/** The run of one call, when it has ended. Its handle: a future would be awaited. */
async function ended(on: Stage, call: () => TaskFuture<unknown>): Promise<TaskHandle<unknown>> {
  const [run] = await on.submit(() => [call()]).ended
  if (run === undefined) throw new TypeError('nothing was submitted')
  return run.handle
}

describe('a body that ends its thread', () => {
  it.concurrent.each(Object.keys(causes))('by %s crashes its run, which says why', async (way) => {
    const run = await ended(stage, () => ends(way))
    expect(stage.history(run)).toBe('Pending → Running → Crashed')
    expect(run.state.type).toBe('CRASHED')
    const error = await errorOf(run.result())
    expect(error).toEqual(code('RUN_CRASHED', new RegExp(`task run ${run.runName}.*brought its host down`)))
    expect(error).toBeInstanceOf(RunError)
    expect((error as RunError).cause).toEqual(causes[way])
  })

  it.concurrent.each(waysAgain)('by %s is tried again where its options say so', async (way) => {
    const file = stage.file(way)
    const run = await ended(stage, () => endsAtFirst.with({ retries: 1, retryOnCrash: true })(way, 1, file))
    expect(await run.result()).toBe(2)
    expect(stage.history(run)).toBe('Pending → Running → Retrying → Completed')
    expect(stage.lines(way)).toEqual(['attempt 1', 'attempt 2'])
    expect(stage.hosts(run)).toHaveLength(2)
  })

  it('is tried again as often as its options say, and then crashed', async () => {
    const file = stage.file('often')
    const options = { retries: 2, retryOnCrash: true, retryDelay: 1 }
    const run = await ended(stage, () => endsAtFirst.with(options)('exit', 9, file))
    expect(stage.history(run)).toBe(
      'Pending → Running → AwaitingRetry → Retrying → AwaitingRetry → Retrying → Crashed',
    )
    expect(stage.lines('often')).toEqual(['attempt 1', 'attempt 2', 'attempt 3'])
  })

  it.each([
    ['retries, but not on a crash', { retries: 3 }],
    ['on a crash, but no retries', { retryOnCrash: true }],
  ])('is not tried again with %s', async (name, options) => {
    const run = await ended(stage, () => endsAtFirst.with(options)('exit', 9, stage.file(name)))
    expect(run.state.name).toBe('Crashed')
    expect(stage.lines(name)).toEqual(['attempt 1'])
  })

  it('by an error outside of any run is not known as the culprit: it runs again, but not for ever', async () => {
    const way = 'uncaught error outside of the run'
    const file = stage.file(way)
    const again = await ended(stage, () => endsAtFirst(way, 1, file))
    expect(await again.result()).toBe(2)
    expect(stage.history(again)).toBe('Pending → Running → Recovering → Running → Completed')
    expect(stage.errors.at(-1)).toMatchObject({ name: 'RangeError', message: 'from nowhere' })
    const poison = await ended(stage, () => ends.with({ maxRecoveries: 1 })(way))
    expect(stage.history(poison)).toBe('Pending → Running → Recovering → Running → Recovering → Crashed')
    expect(await errorOf(poison.result())).toEqual(code('RUN_CRASHED', /lost its host 2 times/))
  })

  it('fails what depends on it', async () => {
    const [, dependent] = await stage.submit(() => {
      const crashing = ends('exit')
      return [crashing, mark(stage.file('dependent'), crashing as unknown as string)]
    }).ended
    expect(dependent?.state.name).toBe('UpstreamFailed')
    expect((await errorOf(dependent as PromiseLike<unknown>)) as RunError).toMatchObject({
      code: 'UPSTREAM_FAILED',
      cause: { code: 'RUN_CRASHED' },
    })
    expect(stage.lines('dependent')).toEqual([])
  })

  it('fails the flow run that nobody kept from it', async () => {
    expect(await errorOf(stage.run(() => ends('exit')))).toEqual(code('RUN_CRASHED'))
    const unseen = stage.run(() => {
      void ends('exit')
      return 'value'
    })
    expect(await errorOf(unseen)).toEqual(code('UNOBSERVED_FAILURE'))
  })

  it('is seen by the body that waits for it in another thread, which goes on', async () => {
    const run = await ended(stage, () => parentOfEnding('uncaught error in a timer'))
    expect(await run.result()).toBe('Crashed')
    expect(stage.history(run)).toBe('Pending → Running → Completed')
  })

  it('fails the run whose body lets its error through', async () => {
    const run = await ended(stage, () => restsOnEnding('exit'))
    expect(run.state.name).toBe('Failed')
    expect(await errorOf(run.result())).toEqual(code('RUN_CRASHED', /crashes\/ends-\d/))
  })

  it('leaves all slots to others', async () => {
    await isWhole(stage, 2)
    expect(threadCount()).toBeLessThanOrEqual(4)
  })
})

describe('a body that ends its thread while it waits for its child', () => {
  const endingParent = (options: object, files: Record<'trace' | 'gate' | 'child', string>) =>
    stage.submit(() => [endsWhileWaiting.with(options)(files.trace, files.gate, files.child)])
  const filesOf = (name: string) => ({
    trace: stage.file(name),
    gate: stage.file(`${name}, gate`),
    child: stage.file(`${name}, gate of the child`),
  })

  it('is crashed when that has ended, which is not hurt', async () => {
    const name = 'a patient child'
    const submitted = endingParent({}, filesOf(name))
    await stage.heard('child is there')
    const gone = nextExit()
    stage.open(`${name}, gate`)
    await gone
    stage.open(`${name}, gate of the child`)
    const [run] = await submitted.ended
    expect(stage.history(run as RunHandle<unknown>)).toBe('Pending → Running → Crashed')
    expect(stage.lines(name)).toEqual(['parent 1', 'child 1'])
    const child = stage.transitions.findLast(({ parentRunId }) => parentRunId === run?.id)
    expect(child?.to.name).toBe('Completed')
  })

  it('has its child cancelled where its options say so', async () => {
    const name = 'a cancelled child'
    const submitted = endingParent({ onBodyError: 'cancel' }, filesOf(name))
    await stage.heard('child is there', 2)
    stage.open(`${name}, gate`)
    const child = (): string | undefined =>
      stage.transitions.findLast(
        ({ parentRunId, runName }) => parentRunId !== undefined && runName.startsWith('crashes/waits'),
      )?.to.name
    await stage.untilSeen(({ to }) => to.name === 'Cancelling')
    stage.open(`${name}, gate of the child`)
    const [run] = await submitted.ended
    expect(run?.state.name).toBe('Crashed')
    expect(child()).toBe('Cancelled')
  })
})

describe('a body whose stack overflows', () => {
  it('fails like any other that throws, and its thread goes on', async () => {
    await using own = onThreads({ threads: 1 })
    const before = await own.run(() => thread())
    const run = await ended(own, () => overflow())
    expect(run.state.name).toBe('Failed')
    expect(await errorOf(run.result())).toBeInstanceOf(RangeError)
    expect(await own.run(() => thread())).toBe(before)
  })
})
