import { taskRunnerContract } from '@troupe/core/testing'
import { SequentialTaskRunner } from '@troupe/runners'
import { describe, expect, it } from 'vitest'

describe('SequentialTaskRunner', () => {
  const cases = taskRunnerContract(() => new SequentialTaskRunner(), { mode: 'sequential' })
  it.each(cases.map(({ name, run }) => [name, run] as const))('%s', async (_, run) => {
    await expect(run()).resolves.toBeUndefined()
  })
})
