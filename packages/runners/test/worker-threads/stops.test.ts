/* oxlint-disable vitest/expect-expect -- a helper asserts */
import type { RunHandle, TaskFuture, TaskHandle } from '@troupe/core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { code, errorOf, isWhole, onThreads, type Stage } from './support.ts'
import { waitsForGate } from './tasks/crashes.ts'
import {
  busyBesideChild,
  endsLate,
  goesOn,
  heedsSignal,
  thread,
  waitsForBusy,
  waysToGoOn,
  waysToHeed,
} from './tasks/stops.ts'

const stage = onThreads({ threads: 2, patience: 10 })
afterAll(() => stage[Symbol.asyncDispose]())

/** The run of one call, when it has ended. */
async function ended(on: Stage, call: () => TaskFuture<unknown>): Promise<TaskHandle<unknown>> {
  const [run] = await on.submit(() => [call()]).ended
  if (run === undefined) throw new TypeError('nothing was submitted')
  return run.handle
}

/** The run of one call, when its body has said that it is there. */
async function running(on: Stage, call: () => TaskFuture<unknown>): Promise<TaskHandle<unknown>> {
  const [run] = await on.submit(() => [call()]).runs
  if (run === undefined) throw new TypeError('nothing was submitted')
  await on.said(run, 'attempt 1')
  return run.handle
}

describe('a body that does not stop', () => {
  it.concurrent.each(waysToGoOn)('is ended with its thread at its time limit (%s)', async (way) => {
    const run = await ended(stage, () => goesOn.with({ timeout: 400 })(way, 9, stage.file(`limit of ${way}`)))
    expect(stage.history(run)).toBe('Pending → Running → TimedOut')
    expect(await errorOf(run.result())).toEqual(code('RUN_TIMED_OUT', /400 ms/))
    expect(stage.lines(`limit of ${way}`)).toEqual(['attempt 1'])
  })

  it.concurrent.each(waysToGoOn.slice(0, 4))(
    'is ended with its thread when it is cancelled and its grace is over (%s)',
    async (way) => {
      const run = await running(stage, () =>
        goesOn.with({ grace: 10 })(way, 9, stage.file(`cancel of ${way}`)),
      )
      expect((await run.cancel('enough')).name).toBe('Cancelled')
      expect(stage.history(run)).toBe('Pending → Running → Cancelling → Cancelled')
      expect(await errorOf(run.result())).toEqual(code('RUN_CANCELLED', /enough/))
      expect(stage.lines(`cancel of ${way}`)).toEqual(['attempt 1'])
    },
  )

  it('is tried again after its time limit, in another thread', async () => {
    const options = { timeout: 400, retries: 2 }
    const run = await ended(stage, () => goesOn.with(options)('a busy loop', 2, stage.file('again')))
    expect(await run.result()).toBe(3)
    expect(stage.history(run)).toBe('Pending → Running → Retrying → Retrying → Completed')
    expect(stage.lines('again')).toEqual(['attempt 1', 'attempt 2', 'attempt 3'])
    expect(stage.hosts(run)).toHaveLength(3)
  })

  it('is tried again after its time limit as often as its options say', async () => {
    const options = { timeout: 400, retries: 1, retryDelay: 1 }
    const run = await ended(stage, () => goesOn.with(options)('a busy loop', 9, stage.file('in vain')))
    expect(stage.history(run)).toBe('Pending → Running → AwaitingRetry → Retrying → TimedOut')
    expect(stage.lines('in vain')).toEqual(['attempt 1', 'attempt 2'])
  })

  it('is no leftover: its run has ended when it has', async () => {
    const run = await running(stage, () =>
      goesOn.with({ grace: 0 })('a busy loop', 9, stage.file('none left')),
    )
    await run.cancel()
    expect(stage.engine.health().leftovers).toEqual([])
    expect(stage.logged.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([])
  })

  it('is ended with the flow run that is cancelled, and with one whose time is up', async () => {
    const cancelled = stage.start(() => goesOn.with({ grace: 0 })('a busy loop', 9, stage.file('flow')), {
      grace: 0,
    })
    await stage.untilSeen(({ task, to }) => task === 'stops/goes-on' && to.name === 'Running')
    expect((await cancelled.cancel()).name).toBe('Cancelled')
    const late = stage.start(() => goesOn.with({ grace: 0 })('a busy loop', 9, stage.file('flow')), {
      timeout: 400,
    })
    expect((await late.wait()).name).toBe('TimedOut')
  })

  it('leaves all slots to others', async () => {
    await isWhole(stage, 2)
  })
})

describe('a body that heeds its signal', () => {
  // One thread through all of this: no body is to cost it.
  const patient = onThreads({ threads: 1, patience: '10s' })
  let only: number
  beforeAll(async () => (only = await patient.run(() => thread())))
  afterEach(async () => {
    const now = await patient.run(() => thread())
    if (now !== only) throw new Error(`thread ${only} was replaced by ${now}`)
  })
  afterAll(() => patient[Symbol.asyncDispose]())

  it.each(waysToHeed)('ends in its thread at its time limit: that goes on (%s)', async (way) => {
    const run = await ended(patient, () => heedsSignal.with({ timeout: 20 })(way))
    expect(patient.history(run)).toBe('Pending → Running → TimedOut')
  })

  it.each(waysToHeed)('ends in its thread when it is cancelled: that goes on (%s)', async (way) => {
    const run = await running(patient, () => heedsSignal(way))
    expect((await run.cancel()).name).toBe('Cancelled')
  })

  it('is given its patience: what it computes to its end is dropped, and its thread goes on', async () => {
    const run = await ended(patient, () => endsLate.with({ timeout: 20 })(60))
    expect(patient.history(run)).toBe('Pending → Running → TimedOut')
  })

  it('is given its grace: what it computes to its end is dropped, and its thread goes on', async () => {
    const run = await running(patient, () => endsLate.with({ grace: '10s' })(60))
    expect((await run.cancel()).name).toBe('Cancelled')
  })
})

describe('when a thread is ended', () => {
  it('a body beside the one that did not stop runs again, which is no retry', async () => {
    await using own = onThreads({ threads: 1, bodiesPerThread: 2, patience: 10 })
    const submitted = own.submit(() => [
      waitsForGate(own.file(), 'neighbour', own.file('stay')),
      goesOn.with({ timeout: 400 })('a loop of timers', 9, own.file()),
    ])
    await own.heard('neighbour is there', 2)
    own.open('stay')
    const [neighbour, stopped] = await submitted.ended
    expect(own.history(neighbour as RunHandle<unknown>)).toBe(
      'Pending → Running → Recovering → Running → Completed',
    )
    expect(stopped?.state.name).toBe('TimedOut')
    expect(own.lines().toSorted()).toEqual(['attempt 1', 'neighbour 1', 'neighbour 2'])
  })

  it('a run that waits for one that does not stop is timed out after that was ended', async () => {
    const run = await ended(stage, () => waitsForBusy.with({ timeout: 400 })(stage.file('below')))
    expect(run.state.name).toBe('TimedOut')
    const own = stage.transitions.filter(({ runId }) => runId === run.id).map(({ position }) => position)
    const child = stage.transitions.filter(({ parentRunId }) => parentRunId === run.id)
    expect(child.at(-1)?.to.name).toBe('Cancelled')
    expect(child.at(-1)?.position).toBeLessThan(own.at(-1) ?? 0)
  })

  it('a run that waits for one that does not stop is cancelled after that was ended', async () => {
    const run = await running(stage, () => waitsForBusy(stage.file('below')))
    await stage.untilSeen(({ parentRunId, to }) => parentRunId === run.id && to.name === 'Running')
    expect((await run.cancel()).name).toBe('Cancelled')
    const child = stage.transitions.findLast(({ parentRunId }) => parentRunId === run.id)
    expect(child?.to.name).toBe('Cancelled')
  })

  it('the child of the one that did not stop is cancelled with it', async () => {
    const gate = stage.file('no gate')
    const run = await running(stage, () => busyBesideChild.with({ grace: 0 })(stage.file('beside'), gate))
    expect((await run.cancel()).name).toBe('Cancelled')
    const child = stage.transitions.findLast(({ parentRunId }) => parentRunId === run.id)
    expect(child?.to.name).toBe('Cancelled')
    await isWhole(stage, 2)
  })
})
