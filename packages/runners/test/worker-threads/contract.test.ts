import { taskRunnerContract } from '@troupe/core/testing'
import { WorkerThreadsTaskRunner } from '@troupe/runners'
import { describe, expect, it } from 'vitest'

describe('WorkerThreadsTaskRunner with 2 threads', () => {
  const cases = taskRunnerContract(() => new WorkerThreadsTaskRunner({ threads: 2, extraThreads: 2 }), {
    mode: 'parallel',
    limit: 2,
    realTime: true,
  })
  it.concurrent.each(cases.map(({ name, run }) => [name, run] as const))('%s', async (_, run) => {
    await expect(run()).resolves.toBeUndefined()
  })
})
