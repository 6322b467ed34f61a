import { ConcurrentTaskRunner } from '@troupe/core'
import { taskRunnerContract } from '@troupe/core/testing'
import { describe, it } from 'vitest'

describe('ConcurrentTaskRunner without a limit', () => {
  const cases = taskRunnerContract(() => new ConcurrentTaskRunner(), { mode: 'concurrent' })
  for (const { name, run } of cases) it(name, run)
})

describe.each([1, 2, 5])('ConcurrentTaskRunner with a limit of %i', (limit) => {
  const cases = taskRunnerContract(() => new ConcurrentTaskRunner({ limit }), { mode: 'concurrent', limit })
  for (const { name, run } of cases) it(name, run)
})
