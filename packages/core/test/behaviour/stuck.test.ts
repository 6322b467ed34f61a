/** `stuckLongerThan`: what has been in one state for too long. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import {
  flow,
  receive,
  sleep,
  stuckLongerThan,
  task,
  type Stuck,
  type StateName,
  type Transition,
} from '@troupe/core'
import { virtualClock, type VirtualClock } from '@troupe/core/testing'
import { Subject } from 'rxjs'
import { describe, expect, it } from 'vitest'
import { code, quiet, testEngine } from './support.ts'

const types = {
  Pending: 'PENDING',
  Running: 'RUNNING',
  Retrying: 'RUNNING',
  AwaitingRetry: 'SCHEDULED',
  Paused: 'PAUSED',
  Completed: 'COMPLETED',
} as const satisfies Partial<Record<StateName, string>>

/** A stream that a test feeds, and what the operator tells. */
function stream(clock: VirtualClock, duration: string, options: Parameters<typeof stuckLongerThan>[1] = {}) {
  const source = new Subject<Transition>()
  const told: string[] = []
  const stuck: Stuck[] = []
  const subscription = source
    .pipe(stuckLongerThan(duration as '1s', { clock, ...options }))
    .subscribe((one) => {
      stuck.push(one)
      told.push(`${one.transition.runId} ${one.transition.to.name} ${one.forMs}`)
    })
  const seqs = new Map<string, number>()
  const moved = (runId: string, name: keyof typeof types, at = clock.now()): void => {
    const seq = (seqs.get(runId) ?? 0) + 1
    seqs.set(runId, seq)
    source.next({
      flowRunId: runId,
      runId,
      kind: 'flow',
      flow: 'f',
      runName: 'f',
      from: null,
      to: { type: types[name], name },
      seq,
      position: seq,
      attempt: 1,
      at,
      startedAt: 0,
      node: 'a',
    })
  }
  return { source, told, stuck, subscription, moved }
}

describe('`stuckLongerThan`', () => {
  it('tells once of each stay that is longer, at the moment when it is', () => {
    const clock = virtualClock()
    const { told, moved } = stream(clock, '5s')
    moved('a', 'Running')
    clock.advance(4_999)
    expect(told).toEqual([])
    clock.advance(1)
    expect(told).toEqual(['a Running 5000'])
    clock.advance(60_000)
    expect(told).toHaveLength(1)
    moved('a', 'AwaitingRetry')
    clock.advance(1_000)
    moved('a', 'Retrying')
    clock.advance(4_999)
    expect(told).toHaveLength(1)
    clock.advance(1)
    expect(told).toEqual(['a Running 5000', 'a Retrying 5000'])
  })

  it('tells nothing of what moves in time, or has ended', () => {
    const clock = virtualClock()
    const { told, moved } = stream(clock, '5s')
    for (let i = 0; i < 10; i++) {
      moved('a', i % 2 === 0 ? 'Running' : 'AwaitingRetry')
      clock.advance(4_000)
    }
    moved('a', 'Completed')
    clock.advance(60_000)
    expect(told).toEqual([])
  })

  it('counts from when it was recorded, not from when it was heard of', () => {
    const clock = virtualClock()
    const { told, moved } = stream(clock, '5s')
    clock.advance(10_000)
    moved('a', 'Running', clock.now() - 2_000)
    clock.advance(2_999)
    expect(told).toEqual([])
    clock.advance(1)
    expect(told).toEqual(['a Running 5000'])
  })

  it('tells of a history only what its end leaves, when it has come to rest', () => {
    const clock = virtualClock()
    const { told, moved } = stream(clock, '5s')
    const past = clock.now() - 3_600_000
    moved('over', 'Running', past)
    moved('left', 'Running', past + 1_000)
    // The pages of a long history come one after the other.
    for (let page = 0; page < 20; page++) {
      clock.advance(900)
      moved(`page${page}`, 'Running', past)
      moved(`page${page}`, 'Completed', past + 10)
    }
    expect(told).toEqual([])
    moved('over', 'Completed', past + 5)
    clock.advance(999)
    expect(told).toEqual([])
    clock.advance(1)
    expect(told).toEqual([`left Running ${3_599_000 + 20 * 900 - 900 + 900 + 1_000}`])
  })

  it('waits as long as it is told to for a history to come to rest', () => {
    const clock = virtualClock()
    const { told, moved } = stream(clock, '5s', { settle: '10s' })
    moved('a', 'Running', clock.now() - 60_000)
    clock.advance(9_999)
    expect(told).toEqual([])
    clock.advance(1)
    expect(told).toEqual(['a Running 70000'])
  })

  it('does not wait for the history where what is live gets stuck', () => {
    const clock = virtualClock()
    const { told, moved } = stream(clock, '5s', { settle: '1m' })
    moved('old', 'Running', clock.now() - 60_000)
    moved('new', 'Running')
    clock.advance(5_000)
    expect(told).toEqual(['new Running 5000'])
    clock.advance(55_000)
    expect(told).toEqual(['new Running 5000', 'old Running 120000'])
  })

  it('looks only at the states that it is to look at', () => {
    const clock = virtualClock()
    const { told, moved } = stream(clock, '5s', { states: ['RUNNING', 'Pending'] })
    moved('a', 'Paused')
    moved('b', 'Retrying')
    moved('c', 'Pending')
    clock.advance(60_000)
    expect(told).toEqual(['b Retrying 5000', 'c Pending 5000'])
    moved('b', 'Paused')
    clock.advance(60_000)
    expect(told).toHaveLength(2)
  })

  it('holds nothing for what has ended or was told, nor after the subscription', () => {
    const clock = virtualClock()
    const { moved, subscription, source } = stream(clock, '5s')
    for (let i = 0; i < 1_000; i++) moved(`run${i}`, 'Running')
    expect(clock.waiting).toBe(1_000)
    for (let i = 0; i < 900; i++) moved(`run${i}`, 'Completed')
    expect(clock.waiting).toBe(100)
    clock.advance(5_000)
    expect(clock.waiting).toBe(0)
    moved('again', 'Running')
    subscription.unsubscribe()
    expect(clock.waiting).toBe(0)
    expect(source.observed).toBe(false)
  })

  it('completes with its source, and lets go of what waited', () => {
    const clock = virtualClock()
    const { source, told, moved, subscription } = stream(clock, '5s')
    moved('a', 'Running')
    source.complete()
    expect(subscription.closed).toBe(true)
    clock.advance(60_000)
    expect(told).toEqual([])
    expect(clock.waiting).toBe(0)
  })

  it('watches an engine: what was there before, and what comes', async () => {
    await using engine = testEngine()
    const waits = flow('waits', async () => receive('go'))
    const slow = task('slow', (ms: number) => sleep(ms))
    const works = flow('works', (ms: number) => slow(ms))
    const before = engine.run(waits)
    const quick = engine.run(works, 1_000)
    await engine.settle(quick)
    engine.clock.advance(600_000)
    const told: string[] = []
    engine
      .watch()
      .pipe(stuckLongerThan('5m', { clock: engine.clock }))
      .subscribe(({ transition, forMs }) => told.push(`${transition.runName} ${transition.to.name} ${forMs}`))
    await quiet()
    engine.clock.advance(1_000)
    expect(told).toEqual(['waits Running 602000'])
    const after = engine.run(works, 1_200_000)
    await quiet()
    engine.clock.advance(299_999)
    expect(told).toHaveLength(1)
    engine.clock.advance(1)
    expect(told.slice(1)).toEqual(['works Running 300000', 'slow-1 Running 300000'])
    await engine.settle(Promise.all([after.cancel(), before.cancel()]))
  })

  it('is refused what is no duration and no state', () => {
    expect(() => stuckLongerThan('soon' as '1s')).toThrow(code('INVALID_DURATION'))
    expect(() => stuckLongerThan('1s', { settle: -1 })).toThrow(code('INVALID_DURATION'))
    expect(() => stuckLongerThan('1s', { states: 'DONE' as 'FAILED' })).toThrow(code('INVALID_OPTION'))
  })

  it('keeps no process alive', async () => {
    const program = `
      import { stuckLongerThan } from '@troupe/core'
      import { Subject } from 'rxjs'
      const source = new Subject()
      source.pipe(stuckLongerThan('10m')).subscribe(() => console.log('stuck'))
      const state = { type: 'RUNNING', name: 'Running' }
      source.next({ runId: 'a', flowRunId: 'a', seq: 1, to: state, at: Date.now() })
      source.next({ runId: 'b', flowRunId: 'b', seq: 1, to: state, at: 0 })
      console.log('end of the program')
    `
    const cwd = new URL('../..', import.meta.url)
    // It ends by itself, or it is killed, which rejects.
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '--eval', program],
      { cwd, timeout: 25_000 },
    )
    expect(stdout).toBe('end of the program\n')
  })
})
