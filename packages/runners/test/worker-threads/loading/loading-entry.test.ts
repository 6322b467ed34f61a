/** What a thread is made of: a light library, the program's arguments, its output. */
import { beforeAll, describe, expect, it } from 'vitest'
import { project, type Ran } from './support.ts'

const tasks = `
import { task } from '@troupe/core'
import { Session } from 'node:inspector'

/** URLs of all scripts that were ever compiled in this thread, by the debugger's account. */
export function scripts() {
  const urls = []
  const session = new Session()
  session.connect()
  session.on('Debugger.scriptParsed', ({ params }) => urls.push(params.url))
  session.post('Debugger.enable')
  session.disconnect()
  return urls
}
/** What the library exports here, and of which type. */
export async function names() {
  const library = await import('@troupe/core')
  return Object.entries(library).map(([name, value]) => [name, typeof value])
}
export const loaded = task('loaded', scripts)
export const exported = task('exported', names)
export const started = task('started', () => ({ argv: process.argv.slice(2), env: process.env.TOWN, arg: process.execArgv }))
export const print = task('print', async () => {
  console.log('to standard output')
  console.error('to standard error')
  process.stdout.write('the last words\\n')
})
`
const main = `
import { flow, isTaskThread } from '@troupe/core'
import { WorkerThreadsTaskRunner } from '@troupe/runners'
import { exported, loaded, names, print, scripts, started } from './tasks.js'
import { single } from './single.js'

const onThreads = (body, options) =>
  flow({ name: 'one', taskRunner: new WorkerThreadsTaskRunner({ threads: 1, ...options }) }, body)()

await onThreads(async () => await print())
console.log(JSON.stringify({
  here: { loaded: scripts(), exported: await names(), isTaskThread: isTaskThread() },
  there: await onThreads(async () => ({ loaded: await loaded(), exported: await exported() })),
  single: await onThreads(async () => await single()),
  started: await onThreads(async () => await started()),
  startedWithEnv: await onThreads(async () => await started(), { env: { TOWN: 'Ulm' } }),
}))
`
/** A program of one file: what starts its flow is loaded in threads, too. */
const single = `
import { flow, isTaskThread, task } from '@troupe/core'
import { WorkerThreadsTaskRunner } from '@troupe/runners'
import { scripts } from './tasks.js'
export const single = task('single', () => ({ loaded: scripts(), isTaskThread: isTaskThread() }))
export const main = flow({ name: 'main', taskRunner: new WorkerThreadsTaskRunner() }, () => single())
`
interface Report {
  readonly here: { readonly loaded: string[]; readonly exported: unknown[]; readonly isTaskThread: boolean }
  readonly there: { readonly loaded: string[]; readonly exported: unknown[] }
  readonly single: { readonly loaded: string[]; readonly isTaskThread: boolean }
  readonly started: { readonly argv: string[]; readonly env: string; readonly arg: string[] }
  readonly startedWithEnv: { readonly env: string }
}

let ran: Ran
let report: Report

beforeAll(async () => {
  const made = project({ 'tasks.js': tasks, 'single.js': single, 'main.js': main })
  ran = await made.run(['main.js', '--town', 'Bern'], { node: ['--no-warnings'], env: { TOWN: 'Bonn' } })
  report = ran.report as Report
})

const heavy = /node_modules\/(xstate|rxjs)\/|\/(xstate|rxjs)@/
const library = /@troupe\/core\/dist\//

describe('a thread', () => {
  it('loads neither XState nor RxJS for the tasks of a module', () => {
    expect(report.here.loaded.filter((url) => heavy.test(url)).length).toBeGreaterThan(10)
    expect(report.there.loaded.filter((url) => library.test(url)).length).toBeGreaterThan(10)
    expect(report.there.loaded.filter((url) => heavy.test(url))).toEqual([])
  })

  it('loads neither for those of a program in one file', () => {
    expect(report.single.loaded.filter((url) => /worker-threads-task-runner/.test(url))).toHaveLength(1)
    expect(report.single.loaded.filter((url) => heavy.test(url))).toEqual([])
  })

  it('has all that the library exports, by the same names', () => {
    expect(report.there.exported.length).toBeGreaterThan(30)
    expect(report.there.exported).toEqual(report.here.exported)
  })

  it('knows that it is one', () => {
    expect([report.here.isTaskThread, report.single.isTaskThread]).toEqual([false, true])
  })

  it('has the arguments, options and environment of the program', () => {
    expect(report.started).toMatchObject({ argv: ['--town', 'Bern'], env: 'Bonn' })
    expect(report.started.arg).toContain('--no-warnings')
  })

  it('has the environment that the runner is given', () => {
    expect(report.startedWithEnv.env).toBe('Ulm')
  })

  it('prints where the program does', () => {
    expect(ran.stdout.split('\n').slice(0, 2)).toEqual(['to standard output', 'the last words'])
    expect(ran.stderr).toBe('to standard error\n')
  })
})
