/** A program that defines its tasks and starts its flow in one file, without asking where it is: threads refuse to start it. */
import { describe, expect, it } from 'vitest'
import { project, type Ran } from './support.ts'

/** Body and start of a program; it says how many threads were started. */
const program = (body: string, start: string): string => `
import { createEngine, flow, task } from '@troupe/core'
import { WorkerThreadsTaskRunner } from '@troupe/runners'
import { isMainThread } from 'node:worker_threads'
let threads = 0
process.on('worker', () => threads++)
if (isMainThread) process.on('exit', () => console.log(JSON.stringify(threads)))

const work = task({ name: 'work', retries: 2, retryOnCrash: true }, ${body})
const taskRunner = new WorkerThreadsTaskRunner({ threads: 2 })
const main = flow({ name: 'main', taskRunner }, async () => await Promise.all(work.map([1, 2, 3, 4])))
${start}
`
const quick = '(n) => n'
const slow = 'async (n) => { await new Promise((resolve) => setTimeout(resolve, 50)); return n }'
const busy = '(n) => { const end = Date.now() + 100; while (Date.now() < end); return n }'

const run = (start: string, body = quick): Promise<Ran> =>
  project({ 'main.js': program(body, start) }).run('main.js')

/** What it prints of an error that it catches: only in the main thread that is the run's. */
const tell = '(error) => { console.error(error.name, error.code, error.message);'

/** The start is in line 12; `what` and where is said once or more, and nothing else is said to be wrong. */
function expectRefusal({ stderr, report }: Ran, what = 'flow main was called'): void {
  expect(stderr).toContain(what)
  expect(stderr).toMatch(/ was called at file:\/\/\S*main\.js:12:\d+ in a thread that executes tasks/)
  expect(stderr).toContain('if (isMainThread)')
  expect(stderr).toContain('if (!isTaskThread())')
  expect(stderr).not.toMatch(/TASK_NOT_FOUND|RUN_CRASHED/)
  // As many threads as there may be, and not another one for each that was refused.
  expect(report).toBeLessThanOrEqual(4)
}

describe.concurrent('an unguarded start', () => {
  it('that is awaited ends the program with what to do about it', async () => {
    const ran = await run('console.log(await main())')
    expectRefusal(ran)
    expect(ran.stderr).toContain("code: 'FLOW_STARTED_IN_WORKER'")
    expect(ran.code).toBe(1)
  })

  it('whose errors are caught fails the run of the program', async () => {
    const ran = await run(`main().catch(${tell} process.exitCode = 3 })`)
    expectRefusal(ran)
    expect(ran.stderr).toContain('UsageError FLOW_STARTED_IN_WORKER')
    expect(ran.code).toBe(3)
  })

  it('whose errors end the process fails the run of the program', async () => {
    const ran = await run(`main().catch(${tell} process.exit(4) })`)
    expectRefusal(ran)
    expect(ran.stderr).toContain('UsageError FLOW_STARTED_IN_WORKER')
    expect(ran.code).toBe(4)
  })

  it.each([
    ['slow', slow],
    ['busy', busy],
  ])('that comes later fails the run, or is told of, where bodies are %s', async (_, body) => {
    const ran = await run('setTimeout(() => main(), 0)', body)
    expect(ran.stderr).toContain('UsageError: flow main was called ')
    expectRefusal(ran)
  })

  it('on an engine of its own fails the run of the program', async () => {
    const ran = await run('const engine = createEngine()\nawait engine.run(main)')
    expectRefusal(ran, 'createEngine() was called')
    expect(ran.code).toBe(1)
  })
})
