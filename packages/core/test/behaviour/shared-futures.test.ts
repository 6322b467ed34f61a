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
