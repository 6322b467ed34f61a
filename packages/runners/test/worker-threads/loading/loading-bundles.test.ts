/** Bundles find their tasks in threads, with the library inside and nothing else around. */
import { describe, expect, it } from 'vitest'
import { bundle } from './bundle.ts'
import { project } from './support.ts'

const tasks = `
import { task } from '@troupe/core'
import { isMainThread } from 'node:worker_threads'
const make = (name, fn) => task(name, fn)
export const add = make('add', (a, b) => ({ sum: a + b, isMainThread }))
export const twice = task('twice', async (n) => (await add(n, n)).sum)
export const fail = task('fail', () => { throw Object.assign(new RangeError('too much'), { code: 'MUCH' }) })
export const seldom = isMainThread ? task('seldom', () => 1) : undefined
`
const files = {
  'tasks.js': tasks,
  'main.js': `
    import { isTaskThread } from '@troupe/core'
    import { ending } from './endings.mjs'
    import { add, fail, seldom, twice } from './tasks.js'
    async function main() {
      const told = ({ name, code, message }) => ({ name, code, message })
      console.log(JSON.stringify(await ending(async () => {
        const failed = await fail().catch(told)
        return [await add(1, 2), await twice(4), failed, await seldom().catch(told)]
      })))
    }
    if (!isTaskThread()) main()
  `,
}
const ended = (module: string): object => ({
  value: [
    { sum: 3, isMainThread: false },
    8,
    { name: 'RangeError', code: 'MUCH', message: 'too much' },
    {
      name: 'UsageError',
      code: 'TASK_NOT_FOUND',
      message: expect.stringContaining(`${module} defines add, twice, fail;`) as string,
    },
  ],
})

describe.concurrent('a bundle with the library inside, in a folder of its own,', () => {
  it.each([
    ['an ES module, minified', { format: 'esm', minify: true, sourcemap: true }],
    ['CommonJS, minified', { format: 'cjs', minify: true, sourcemap: true }],
    ['in chunks', { format: 'esm', splitting: true }],
  ] as const)('finds its tasks: %s', async (_, options) => {
    const made = await bundle(project(files), options)
    const file = options.format === 'esm' ? 'main.mjs' : 'main.cjs'
    const { report, stderr } = await made.run(file, { node: ['--enable-source-maps'] })
    expect(stderr).toBe('')
    expect(report).toMatchObject(ended(made.url(file)))
  })

  it.each(['process.exitCode = 3', 'process.exit(3)'])(
    'whose start is not guarded says so, and starts no thread after the other; catch, %s',
    async (exit) => {
      const main = `
        import { WorkerThreadsTaskRunner } from '@troupe/runners'
        import { flow } from '@troupe/core'
        import { add } from './tasks.js'
        let threads = 0
        process.on('worker', () => threads++)
        const sum = flow({ name: 'sum', taskRunner: new WorkerThreadsTaskRunner({ threads: 2 }) }, () => add(1, 2))
        sum().catch((error) => {
          console.error(error.name, error.code, error.message)
          console.log(threads)
          ${exit}
        })
      `
      const made = await bundle(project({ ...files, 'main.js': main }), { format: 'cjs', minify: true })
      const { code, stderr, report } = await made.run('main.cjs')
      expect(stderr).toContain('UsageError FLOW_STARTED_IN_WORKER flow sum was called ')
      expect(stderr).not.toContain('TASK_NOT_FOUND')
      expect({ code, report }).toEqual({ code: 3, report: 1 })
    },
  )
})

describe.concurrent('a bundle', () => {
  it('finds its tasks with the library in node_modules', async () => {
    const source = project(files)
    const made = await bundle(source, { external: ['@troupe/*'] }, source.folder)
    const { report } = await made.run('main.mjs')
    expect(report).toMatchObject(ended(made.url('main.mjs')))
  })

  it('with the task runner alone inside finds tasks in modules beside it', async () => {
    const source = project(files)
    const made = await bundle(
      source,
      { minify: true, external: ['./tasks.js', '@troupe/core'] },
      source.folder,
    )
    const { report } = await made.run('main.mjs')
    expect(report).toMatchObject(ended(made.url('tasks.js')))
  })
})
