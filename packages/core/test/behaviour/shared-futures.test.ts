import { flow, task, type TaskFuture } from '@troupe/core'
import { createTestEngine } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'

const one = task('one', async () => 1)

describe('a future that is held outside the body that submitted it', () => {
  it('gives its value after that body has ended', async () => {
    await using engine = createTestEngine()
    let held: TaskFuture<number> | undefined
    const makes = flow('makes', () => {
      held = one()
      held.ignore()
      return 'made'
    })
    expect(await engine.settle(engine.run(makes))).toBe('made')
    expect(await engine.settle(held as TaskFuture<number>)).toBe(1)
  })

  it('gives its value to the body of another flow run', async () => {
    await using engine = createTestEngine()
    let held: TaskFuture<number> | undefined
    const makes = flow('makes', () => {
      held = one()
      return 'made'
    })
    const takes = flow('takes', async () => (await (held as TaskFuture<number>)) + 1)
    await engine.settle(engine.run(makes))
    expect(await engine.settle(engine.run(takes))).toBe(2)
  })
})

describe('a handle that `engine.get` gives of a live task run', () => {
  it('steers the run itself', async () => {
    await using engine = createTestEngine()
    const waits = task('waits', () => new Promise(() => undefined))
    const holds = flow('holds', async () => {
      try {
        return await waits()
      } catch (error) {
        return (error as { code: string }).code
      }
    })
    const run = engine.run(holds)
    await engine.settle(new Promise((resolve) => setImmediate(() => setImmediate(resolve))))
    const steps = engine.watch({ flowRunId: run.id })
    let taskRunId = ''
    for await (const { runId, task: name, to } of steps) {
      taskRunId = runId
      if (name === 'waits' && to.name === 'Running') break
    }
    const handle = await engine.get(taskRunId)
    void handle?.cancel('not needed')
    expect(await engine.settle(run)).toBe('RUN_CANCELLED')
  })
})
