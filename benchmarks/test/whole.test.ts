import { createEngine, flow, task } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { expectHistory, expectTransitions } from '../src/cases/history.ts'
import { Stopwatch } from '../src/cases/latency.ts'

const threeEach = ['Pending', 'Pending', 'Running', 'Running', 'Completed', 'Completed']

describe('transitions of task runs', () => {
  it('are whole where each has three', () => {
    expect(() => expectTransitions(threeEach, 2)).not.toThrow()
  })

  it.each([
    [threeEach.slice(1), 'expected 2 transitions to Pending, got 1'],
    [[...threeEach, 'Running'], 'expected 2 transitions to Running, got 3'],
    [[...threeEach, 'Failed'], 'expected 0 transitions to Failed, got 1'],
    [[], 'expected 2 transitions to Pending, got 0'],
  ])('fail the measurement where one is lost, comes twice or is another: %j', (names, message) => {
    expect(() => expectTransitions(names, 2)).toThrow(message)
  })
})

describe('a stopwatch', () => {
  const delivered = ['Pending', 'Running', 'Completed'].map((name, at) => ({ id: 'a', name, at }))

  function watchOf(...seen: readonly (typeof delivered)[number][]): Stopwatch {
    const watch = new Stopwatch()
    watch.called[0] = 0
    watch.returned[0] = 1
    watch.numbers.set('a', 0)
    watch.delivered.push(...seen)
    return watch
  }

  it('gives the time from each cause to its delivery', () => {
    const readings = watchOf(...delivered).readings(1)
    expect(readings['call → Running p50 µs']).toBeCloseTo(1_000, -1)
  })

  it('fails where a delivery is lost', () => {
    expect(() => watchOf(...delivered.slice(0, 2)).readings(1)).toThrow('transitions to Completed')
  })
})

describe('the history of a flow run', () => {
  it('has each transition of its task runs, and fails where one is missing', async () => {
    const engine = createEngine()
    const step = task('step', async (i: number) => i)
    const three = flow('three', async () => Promise.all([step(1), step(2), step(3)]))
    const run = three.with({ engine })()
    await run
    await expectHistory(engine, run.id, { task: 'step', n: 3 })
    await expect(expectHistory(engine, run.id, { task: 'step', n: 4 })).rejects.toThrow(
      'expected 4 transitions to Pending, got 3',
    )
    await engine.close()
  })
})
