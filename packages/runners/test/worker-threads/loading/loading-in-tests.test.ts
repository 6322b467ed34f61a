/** In a test, too, threads find tasks of modules; a test file is none, for it can't be loaded outside Vitest. */
import { createEngine, flow, task } from '@troupe/core'
import { WorkerThreadsTaskRunner } from '@troupe/runners'
import { describe, expect, it } from 'vitest'
import { project, Project } from './support.ts'
import { add } from './vitest-tasks.ts'

const here = task('here', () => 'here')

const onThread = async (body: () => unknown): Promise<unknown> => {
  const engine = createEngine()
  const one = flow(
    { name: 'one', taskRunner: new WorkerThreadsTaskRunner({ threads: 1 }) },
    async () => await body(),
  )
  const run = engine.run(one)
  const ended = await run.then(
    (value) => value,
    (error: unknown) => error,
  )
  await engine.close()
  return ended
}

describe('in Vitest a thread', () => {
  it('finds a task of a module', async () => {
    expect(await onThread(() => add(1, 2))).toEqual({ sum: 3, isMainThread: false })
  })

  it('finds no task of a test file, and the error says where to define it', async () => {
    const error = await onThread(() => here())
    expect(error).toMatchObject({ code: 'TASK_NOT_FOUND' })
    const { message } = error as Error
    expect(message).toContain('task here (version 1) was not found in a thread')
    expect(message).toContain('loading-in-tests.test.ts')
    expect(message).toMatch(/module of its own/)
  })
})

/** A user's test, with a config of theirs, and no TypeScript. */
const files = (testing: string): Record<string, string> => ({
  'tasks.js': `
    import { task } from '@troupe/core'
    import { isMainThread } from 'node:worker_threads'
    export const add = task('add', (a, b) => ({ sum: a + b, isMainThread }))
  `,
  'add.test.js': `
    import { flow } from '@troupe/core'
    import { WorkerThreadsTaskRunner } from '@troupe/runners'
    import { deepEqual } from 'node:assert/strict'
    import { it } from '${testing}'
    import { add } from './tasks.js'
    const main = flow({ name: 'main', taskRunner: new WorkerThreadsTaskRunner() }, () => add(1, 2))
    it('adds', async () => deepEqual(await main(), { sum: 3, isMainThread: false }))
  `,
})

describe.concurrent('in a test of a user a thread finds a task of a module,', () => {
  it.each(['threads', 'vmThreads'])('with Vitest and its pool %s', async (pool) => {
    const vitest = [Project.tool('vitest/vitest.mjs'), 'run', '--root=.', `--pool=${pool}`, '--reporter=json']
    const { stdout, code } = await project(files('vitest')).run(vitest)
    expect(JSON.parse(stdout)).toMatchObject({ numPassedTests: 1, numTotalTests: 1 })
    expect(code).toBe(0)
  })

  it("with Node's own", async () => {
    const { stdout, code } = await project(files('node:test')).run(['--test', 'add.test.js'])
    expect(stdout).toMatch(/pass 1\n/)
    expect(code).toBe(0)
  })
})
