import { ConcurrentTaskRunner } from '@troupe/core'
import { taskRunnerContract } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'

describe('ConcurrentTaskRunner without a limit', () => {
  const cases = taskRunnerContract(() => new ConcurrentTaskRunner(), { mode: 'concurrent' })
  it.each(cases.map(({ name, run }) => [name, run] as const))('%s', async (_, run) => {
    await expect(run()).resolves.toBeUndefined()
  })
})

describe.each([1, 2, 5])('ConcurrentTaskRunner with a limit of %i', (limit) => {
  const cases = taskRunnerContract(() => new ConcurrentTaskRunner({ limit }), { mode: 'concurrent', limit })
  it.each(cases.map(({ name, run }) => [name, run] as const))('%s', async (_, run) => {
    await expect(run()).resolves.toBeUndefined()
  })
})
