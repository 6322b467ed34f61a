import { taskRunnerContract } from '@troupe/core/testing'
import { SequentialTaskRunner } from '@troupe/runners'
import { describe, expect, it } from 'vitest'

describe('SequentialTaskRunner', () => {
  const cases = taskRunnerContract(() => new SequentialTaskRunner(), { mode: 'sequential' })
  it.each(cases)('$name', async ({ run }) => {
    await expect(run()).resolves.toBeUndefined()
  })
})
