import { taskRunnerContract } from '@troupe/core/testing'
import { SequentialTaskRunner } from '@troupe/runners'
import { describe, it } from 'vitest'

describe('SequentialTaskRunner', () => {
  const cases = taskRunnerContract(() => new SequentialTaskRunner(), { mode: 'sequential' })
  for (const { name, run } of cases) it(name, run)
})
