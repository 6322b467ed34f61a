/** Modules that can't be loaded in a thread, or do there what they must not: the runs that need them fail, and say why. */
import { describe, expect, it } from 'vitest'
import { project, type Told } from './support.ts'

/** A module whose task is fine, and which does something else in threads. */
const tasks = (inThread: string): string => `
import { task } from '@troupe/core'
import { isMainThread } from 'node:worker_threads'
export const fine = task({ name: 'fine', retries: 2, retryOnCrash: true }, () => 'fine')
if (!isMainThread) { ${inThread} }
`
const main = `
import { ending } from './endings.mjs'
import { fine } from './tasks.js'
console.log(JSON.stringify(await ending(() => fine())))
`

async function endingOf(inThread: string): Promise<{ told: Told; module: string; stderr: string }> {
  const made = project({ 'tasks.js': tasks(inThread), 'main.js': main })
  const { report, stderr } = await made.run('main.js')
  return { told: report as Told, module: made.url('tasks.js'), stderr }
}

describe.concurrent('a module that', () => {
  it('throws when it is loaded in a thread fails the run with its error as the cause', async () => {
    const { told, module } = await endingOf(
      "throw Object.assign(new RangeError('no room here'), { code: 'FULL' })",
    )
    expect(told.error).toMatchObject({
      name: 'UsageError',
      code: 'TASK_NOT_FOUND',
      message: expect.stringContaining(
        `task fine (version 1) was not found in a thread: loading ${module} failed: no room here`,
      ) as string,
      details: { name: 'fine', version: '1', modules: [module] },
      cause: { name: 'RangeError', code: 'FULL', message: 'no room here' },
    })
    expect(told.states).toEqual({ 'fine-1': ['Pending', 'Failed'] })
  })

  it('imports what is not there fails the run with what Node says', async () => {
    const { told } = await endingOf("await import('no-such-package')")
    expect(told.error?.code).toBe('TASK_NOT_FOUND')
    expect(told.error?.cause?.code).toBe('ERR_MODULE_NOT_FOUND')
    expect(told.error?.message).toContain('no-such-package')
  })

  it('ends the thread when it is loaded fails the run, and says how it ended', async () => {
    const { told, module } = await endingOf('process.exit(3)')
    expect(told.error).toMatchObject({
      code: 'TASK_NOT_FOUND',
      details: { name: 'fine', version: '1', modules: [module] },
    })
    expect(told.error?.message).toContain(module)
    expect(told.error?.message).toContain('3')
    expect(told.states).toEqual({ 'fine-1': ['Pending', 'Failed'] })
  })

  it('throws where nobody catches it when it is loaded fails the run, and says what', async () => {
    const { told, module } = await endingOf(
      "queueMicrotask(() => { throw new Error('uncaught here') }); await new Promise(() => {})",
    )
    expect(told.error?.code).toBe('TASK_NOT_FOUND')
    expect(told.error?.message).toContain(module)
    expect(told.error?.cause?.message).toContain('uncaught here')
  })

  it('is never done loading holds up its own runs only, until waitTimeout or a cancel ends them', async () => {
    const made = project({
      'tasks.js': tasks('await new Promise(() => {})'),
      'others.js': "import { task } from '@troupe/core'\nexport const other = task('other', () => 'other')\n",
      'main.js': `
        import { ending } from './endings.mjs'
        import { fine } from './tasks.js'
        import { other } from './others.js'
        console.log(JSON.stringify(await ending(async () => {
          const limited = fine.with({ waitTimeout: '300ms' })()
          const { error } = await limited.result().then(() => ({}), (error) => ({ error }))
          const [second, third] = [fine(), other()]
          await second.cancel('enough')
          return [error?.code ?? limited.state.name, second.state.name, await third]
        })))
      `,
    })
    const { report } = await made.run('main.js')
    expect(report).toMatchObject({ value: ['RUN_TIMED_OUT', 'Cancelled', 'other'] })
    expect((report as Told).states['fine-1']).toEqual(['Pending', 'AwaitingConcurrencySlot', 'TimedOut'])
  })

  it('is never done loading does not keep an engine from closing, nor the process from ending', async () => {
    const { report, code } = await project({
      'tasks.js': tasks(
        "new BroadcastChannel('loading').postMessage('here'); await new Promise(() => setInterval(() => {}, 1000))",
      ),
      'main.js': `
        import { createEngine, flow } from '@troupe/core'
        import { WorkerThreadsTaskRunner } from '@troupe/runners'
        import { fine } from './tasks.js'
        const engine = createEngine()
        let future
        const taskRunner = new WorkerThreadsTaskRunner({ threads: 1 })
        const run = engine.run(flow({ name: 'stuck', taskRunner }, () => (future = fine())))
        const ended = run.catch(({ code }) => code)
        const channel = new BroadcastChannel('loading')
        await new Promise((resolve) => (channel.onmessage = resolve))
        channel.close()
        const before = future.state.name
        await engine.close()
        console.log(JSON.stringify([before, await ended]))
      `,
    }).run('main.js')
    expect(report).toEqual(['Pending', 'ENGINE_CLOSED'])
    expect(code).toBe(0)
  })
})

describe.concurrent('a thread that does not come to load anything', () => {
  it('fails the runs that wait for it, and is not started for ever', async () => {
    const made = project({
      'preload.js':
        "import { isMainThread } from 'node:worker_threads'\nif (!isMainThread) throw new Error('not here')\n",
      'tasks.js': tasks(''),
      'main.js': `let started = 0\nprocess.on('worker', () => started++)\n${main}\nconsole.log(JSON.stringify(started))\n`,
    })
    const { stdout, report } = await made.run('main.js', { node: ['--import', './preload.js'] })
    const told = JSON.parse(stdout.split('\n')[0] ?? '') as Told
    expect(JSON.stringify(told.error)).toContain('not here')
    expect(report).toBeLessThan(10)
  })
})

describe.concurrent('a module that starts a flow when it is loaded in a thread', () => {
  const files = {
    'good.js': `
      import { task } from '@troupe/core'
      export const good = task('good', async () => {
        await new Promise((resolve) => setTimeout(resolve, 50))
        return 'good'
      })
    `,
    'bad.js': `
      import { flow, task } from '@troupe/core'
      import { isMainThread } from 'node:worker_threads'
      const other = flow('other', () => 1)
      export const bad = task('bad', () => 'bad')
      if (!isMainThread) other().catch(() => {})
    `,
  }
  const main = (options: string): string => `
    import { ending } from './endings.mjs'
    import { good } from './good.js'
    import { bad } from './bad.js'
    const codeOf = (future) => future.catch(({ code }) => code)
    console.log(JSON.stringify(await ending(
      async () => [await Promise.all([good(), bad(), good(), bad()].map(codeOf)), await good()],
      ${options},
    )))
  `

  it.each(['{ threads: 1 }', '{ threads: 1, bodiesPerThread: 4 }'])(
    'fails the runs of its own tasks only: %s',
    async (options) => {
      const { report } = await project({ ...files, 'main.js': main(options) }).run('main.js')
      const refused = 'FLOW_STARTED_IN_WORKER'
      expect(report).toMatchObject({ value: [['good', refused, 'good', refused], 'good'] })
    },
  )
})

describe('warming', () => {
  it('tells of tasks that threads can not load, and of no others', async () => {
    const made = project({
      'fine.js': "import { task } from '@troupe/core'\nexport const fine = task('fine', () => 'fine')\n",
      'throws.js': tasks("throw new Error('no room here')").replaceAll('fine', 'throws'),
      'exits.js': tasks('process.exit(3)').replaceAll('fine', 'exits'),
      'starts.js': tasks('isMainThread || flow("f", () => 1)()')
        .replaceAll('fine', 'starts')
        .replace('{ task }', '{ flow, task }'),
      'main.js': `
        import { createEngine, flow } from '@troupe/core'
        import { WorkerThreadsTaskRunner } from '@troupe/runners'
        import { fine } from './fine.js'
        import { throws } from './throws.js'
        import { exits } from './exits.js'
        import { starts } from './starts.js'
        const engine = createEngine()
        const runner = new WorkerThreadsTaskRunner({ threads: 2 })
        const warm = (...tasks) => engine.warm(runner, tasks).then(() => 'warm', ({ code, message }) => [code, message])
        const told = {}
        for (const one of [throws, exits, starts, fine]) told[one.name] = await warm(one)
        told.run = await engine.run(flow({ name: 'one', taskRunner: runner }, () => fine()))
        await engine.close()
        console.log(JSON.stringify(told))
      `,
    })
    const { report, stderr } = await made.run('main.js')
    expect(report).toEqual({
      throws: ['TASK_NOT_FOUND', expect.stringContaining('no room here')],
      exits: ['TASK_NOT_FOUND', expect.stringContaining('ended with exit code 3')],
      starts: ['FLOW_STARTED_IN_WORKER', expect.stringContaining('flow f was called at ')],
      fine: 'warm',
      run: 'fine',
    })
    expect(stderr).toBe('')
  })

  it('for several at once tells each of its own tasks', async () => {
    const made = project({
      'fine.js': "import { task } from '@troupe/core'\nexport const fine = task('fine', () => 'fine')\n",
      'late.js': tasks(
        "await new Promise((resolve) => setTimeout(resolve, 200)); throw new Error('no room here')",
      ).replaceAll('fine', 'late'),
      'main.js': `
        import { createEngine } from '@troupe/core'
        import { WorkerThreadsTaskRunner } from '@troupe/runners'
        import { fine } from './fine.js'
        import { late } from './late.js'
        const engine = createEngine()
        const runner = new WorkerThreadsTaskRunner({ threads: 1 })
        const warm = (...tasks) => engine.warm(runner, tasks).then(() => 'warm', ({ code }) => code)
        console.log(JSON.stringify(await Promise.all([warm(late), warm(fine), warm(fine, late), warm()])))
        await engine.close()
      `,
    })
    const { report } = await made.run('main.js')
    expect(report).toEqual(['TASK_NOT_FOUND', 'warm', 'TASK_NOT_FOUND', 'warm'])
  })
})
