/* oxlint-disable eslint/no-unused-vars -- what is taken out of an object is not used */
import { memoryJournal, type Progress, type RunHandle } from '@troupe/core'
import { afterAll, describe, expect, it } from 'vitest'
import { onThreads, range } from './support.ts'
import { failsOften, leavesProgress, ofTheFlow, tells, tellsOddly } from './tasks/progress.ts'

const journal = memoryJournal()
const stage = onThreads({ threads: 2 }, { journal })
afterAll(() => stage[Symbol.asyncDispose]())

const toldOf = (run: RunHandle<unknown> | undefined): Progress[] =>
  stage.progress.filter(({ runId }) => runId === run?.id)

describe('progress of a body on a thread', () => {
  it('comes with the ids of its run, in its order', async () => {
    const before = Date.now()
    const submitted = stage.submit(() => [tells.with({ runName: 'telling' })(4)])
    const [run] = await submitted.ended
    const told = toldOf(run)
    const ids = { flowRunId: submitted.flowRun.id, runId: run?.id, runName: 'telling', attempt: 1 }
    expect(told.map(({ at: _, ...rest }) => rest)).toEqual([
      { ...ids, fraction: 0 },
      { ...ids, fraction: 0.25, message: 'part 1' },
      { ...ids, fraction: 0.5, message: 'part 2' },
      { ...ids, fraction: 0.75, message: 'part 3' },
      { ...ids, fraction: 1, message: 'part 4' },
    ])
    expect(told.every(({ at }) => at >= before && at <= Date.now())).toBe(true)
  })

  it('of thousands of steps comes whole, before the end of the run is shown', async () => {
    let atEnd = 0
    const subscription = stage.engine.transitions.subscribe(({ runName, to }) => {
      if (runName === 'long' && to.name === 'Completed') atEnd = stage.progress.length
    })
    const before = stage.progress.length
    const [run] = await stage.submit(() => [tells.with({ runName: 'long' })(5_000)]).ended
    subscription.unsubscribe()
    expect(atEnd - before).toBe(5_001)
    expect(toldOf(run).map(({ fraction }) => fraction)).toEqual(range(5_001).map((n) => n / 5_000))
  })

  it('says which attempt it is of', async () => {
    const [run] = await stage.submit(() => [failsOften.with({ retries: 2 })()]).ended
    expect(toldOf(run).map(({ attempt, message }) => [attempt, message])).toEqual([
      [1, 'attempt 1'],
      [2, 'attempt 2'],
      [3, 'attempt 3'],
    ])
  })

  it('of anything but a number from 0 to 1 is refused in the body, and nothing is told', async () => {
    const [run] = await stage.submit(() => [tellsOddly()]).ended
    expect(await run).toEqual({
      '-0.1': 'INVALID_OPTION',
      '1.1': 'INVALID_OPTION',
      NaN: 'INVALID_OPTION',
      Infinity: 'INVALID_OPTION',
      '0.5': 'INVALID_OPTION',
      undefined: 'INVALID_OPTION',
    })
    expect(toldOf(run)).toEqual([])
    expect(stage.errors).toEqual([])
  })

  it('of its flow run is that of the flow run', async () => {
    const submitted = stage.submit(() => [ofTheFlow()])
    await submitted.ended
    expect(toldOf(submitted.flowRun)).toMatchObject([
      { runId: submitted.flowRun.id, runName: 'on-threads', fraction: 0.5, message: 'of the flow' },
    ])
  })

  it('is not recorded, and whoever comes later is not told of it', async () => {
    const late: Progress[] = []
    const submitted = stage.submit(() => [tells(4)])
    await submitted.ended
    stage.engine.progress.subscribe((told) => late.push(told))
    const kinds = (await journal.read(submitted.flowRun.id, 1, 1_000)).map(({ kind }) => kind)
    expect(new Set(kinds)).toEqual(new Set(['claimed', 'submitted', 'transition']))
    expect(late).toEqual([])
  })

  it('of a body whose run has ended is dropped', async () => {
    const name = await stage.run(async () => {
      await leavesProgress.with({ runName: 'left' })(false)
      return leavesProgress.with({ runName: 'second' })(true)
    })
    expect(name).toBe('second')
    expect(stage.progress.filter(({ runName }) => runName === 'left')).toEqual([])
  })

  it('does not hurt by an observer that throws', async () => {
    const subscription = stage.engine.progress.subscribe(() => {
      throw new RangeError('of the observer')
    })
    const [run] = await stage.submit(() => [tells(2)]).ended
    subscription.unsubscribe()
    expect(run?.state.name).toBe('Completed')
    expect(toldOf(run)).toHaveLength(3)
    expect(stage.errors).toEqual([expect.objectContaining({ message: 'of the observer' })])
  })
})
