import type { Logger } from '@troupe/core'
import { taskRunnerContract, type ContractEngine } from '@troupe/core/testing'
import { NatsTaskRunner } from '@troupe/runners'
import { describe, expect, it } from 'vitest'
import { TestCluster } from './support.ts'

/** An engine that owns flow runs, and beside it as many workers, with so many slots each. */
function openCluster(workers: number, concurrency: number): (options: { logger: Logger }) => ContractEngine {
  return ({ logger }) => {
    const cluster = new TestCluster({}, { logger })
    for (let i = 1; i <= workers; i++) cluster.worker(`worker-${i}`, { default: concurrency })
    const engine = cluster.node('test')
    const close = engine.close.bind(engine)
    const clock = cluster.hosts.get('test')?.clock
    // What it is asked after the engine was closed, too.
    const { journal } = cluster.observe()
    if (clock === undefined) throw new TypeError('no transport was opened')
    return Object.assign(engine, {
      clock,
      journal,
      settle: <T>(promise: PromiseLike<T>) => Promise.resolve(promise),
      close: async (options: Parameters<typeof close>[0]) => {
        await close(options)
        await cluster.closeOthers(engine)
      },
    })
  }
}

describe.each([
  { workers: 1, concurrency: 2 },
  { workers: 2, concurrency: 1 },
])('NatsTaskRunner with $workers workers of $concurrency slots', ({ workers, concurrency }) => {
  const cases = taskRunnerContract(() => new NatsTaskRunner(), {
    mode: 'parallel',
    limit: 2,
    realTime: true,
    outlives: true,
    openEngine: openCluster(workers, concurrency),
  })
  it.concurrent.each(cases.map(({ name, run }) => [name, run] as const))('%s', async (_, run) => {
    await expect(run()).resolves.toBeUndefined()
  })
})
