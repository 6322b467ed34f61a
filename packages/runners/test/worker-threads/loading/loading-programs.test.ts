/** Tasks are found in threads however the program is executed. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { linked, project, Project, requiresModules, stripsTypes } from './support.ts'

/** A module with a task that says where it ran. */
const tasks = `
import { task } from '@troupe/core'
import { isMainThread } from 'node:worker_threads'

export const add = task('add', (a, b) => ({ sum: a + b, isMainThread }))
`

const main = (module: string): string => `
import { flow } from '@troupe/core'
import { WorkerThreadsTaskRunner } from '@troupe/runners'
import { add } from '${module}'

const sum = flow({ name: 'sum', taskRunner: new WorkerThreadsTaskRunner() }, async () => await add(1, 2))
sum().then((ended) => console.log(JSON.stringify(ended)))
`

const asCommonJs = (source: string): string =>
  source
    .replaceAll(/^import (.*) from (.*)$/gm, 'const $1 = require($2)')
    .replace('export const add', 'const add = (exports.add')
    .replace(/ }\)\)\n$/, ' })))\n')

const inThread = { sum: 3, isMainThread: false }

describe.concurrent('a program in JavaScript', () => {
  const files = { 'tasks.js': tasks, 'main.js': main('./tasks.js') }

  it('finds its tasks in threads, and ends', async () => {
    const { report, stderr, code } = await project(files).run('main.js')
    expect(report).toEqual(inThread)
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 })
  })

  it('finds them where paths have spaces, umlauts and signs of URLs, from wherever it is started', async () => {
    const there = project(files, { folder: 'für Gäste #1 100% ?' })
    const { report } = await project({}).run(join(there.folder, 'main.js'))
    expect(report).toEqual(inThread)
  })

  it('finds them where the packages are links, as in a workspace', async () => {
    const { report } = await linked(files).run('main.js')
    expect(report).toEqual(inThread)
  })

  it('finds them with source maps, which name files that were never loaded', async () => {
    const map = { version: 3, sources: ['../src/tasks.ts'], names: [], mappings: ';AAAA;AACA;AACA;AACA;AACA' }
    const encoded = Buffer.from(JSON.stringify(map)).toString('base64')
    const mapped = tasks.replace('isMainThread }))', 'isMainThread, stack: new Error().stack }))')
    const built = project({
      'dist/tasks.js': `${mapped}//# sourceMappingURL=data:application/json;base64,${encoded}\n`,
      'dist/main.js': main('./tasks.js'),
    })
    const { report } = await built.run('dist/main.js', { node: ['--enable-source-maps'] })
    expect(report).toMatchObject(inThread)
    expect(report).toMatchObject({ stack: expect.stringContaining(join('src', 'tasks.ts')) })
  })

  it('finds them with options of Node that threads do not take', async () => {
    const node = ['--max_old_space_size=400', '--optimize-for-size', '--title=sum', '--no-warnings']
    const { report } = await project(files).run('main.js', { node })
    expect(report).toEqual(inThread)
  })

  it('finds them where it consists of one file whose start is guarded', async () => {
    const guards = {
      isMainThread: 'isMainThread',
      isTaskThread: '!isTaskThread()',
      argv: 'process.argv[1] === fileURLToPath(import.meta.url)',
    }
    const single = (guard: string): string => `
      import { flow, isTaskThread, task } from '@troupe/core'
      import { WorkerThreadsTaskRunner } from '@troupe/runners'
      import { fileURLToPath } from 'node:url'
      import { isMainThread } from 'node:worker_threads'

      const add = task('add', (a, b) => ({ sum: a + b, isMainThread }))
      const sum = flow({ name: 'sum', taskRunner: new WorkerThreadsTaskRunner() }, () => add(1, 2))
      if (${guard}) console.log(JSON.stringify(await sum()))
    `
    const files = Object.fromEntries(
      Object.entries(guards).map(([name, guard]) => [`${name}.js`, single(guard)]),
    )
    const made = project(files)
    const runs = await Promise.all(Object.keys(files).map((file) => made.run(file)))
    expect(runs.map(({ report }) => report)).toEqual([inThread, inThread, inThread])
  })

  it('finds them where the whole program lives in a thread of its own', async () => {
    const made = project({
      'tasks.js': tasks,
      'main.js': `
        import { isTaskThread } from '@troupe/core'
        ${main('./tasks.js').replace('sum()', '!isTaskThread() && sum()')}
      `,
      'start.js': `
        import { Worker } from 'node:worker_threads'
        new Worker(new URL('./main.js', import.meta.url))
      `,
    })
    const { report, code } = await made.run('start.js')
    expect(report).toEqual(inThread)
    expect(code).toBe(0)
  })

  it('finds those of a package in node_modules', async () => {
    const made = project({
      'node_modules/sums/package.json': '{ "name": "sums", "type": "module", "exports": "./index.js" }',
      'node_modules/sums/index.js': tasks,
      'main.js': main('sums'),
    })
    const { report } = await made.run('main.js')
    expect(report).toEqual(inThread)
  })

  it('finds those of modules that come from a program in a text, and says what a task in the text itself lacks', async () => {
    const made = project(files)
    const text = `
      import { flow, task } from '@troupe/core'
      import { WorkerThreadsTaskRunner } from '@troupe/runners'
      import { add } from './tasks.js'
      const here = task('here', () => 1)
      const taskRunner = new WorkerThreadsTaskRunner()
      const ended = await flow({ name: 'both', taskRunner }, async () => [await add(1, 2), await here()])().catch((e) => e.message)
      console.log(JSON.stringify(ended))
    `
    const { report } = await made.run(['--input-type=module', '--eval', text])
    expect(report).toBe(
      "task here can't run in another thread: the module that defines it is not known; define it in a file, or name that: `module: import.meta.url`",
    )
  })
})

describe.concurrent('a program in CommonJS', () => {
  it.skipIf(!requiresModules)('finds tasks that are defined with require', async () => {
    const made = project(
      { 'tasks.js': asCommonJs(tasks), 'main.js': asCommonJs(main('./tasks.js')) },
      { type: 'commonjs' },
    )
    const { report, code } = await made.run('main.js')
    expect(report).toEqual(inThread)
    expect(code).toBe(0)
  })

  it.skipIf(!requiresModules)('finds those of a package in node_modules', async () => {
    const made = project(
      {
        'node_modules/sums/package.json': '{ "name": "sums", "main": "index.js" }',
        'node_modules/sums/index.js': asCommonJs(tasks),
        'main.js': asCommonJs(main('sums')),
      },
      { type: 'commonjs' },
    )
    const { report, stderr } = await made.run('main.js')
    expect(stderr).toBe('')
    expect(report).toEqual(inThread)
  })

  it.skipIf(!requiresModules)(
    'is not loaded itself for a task that its module does not define in threads',
    async () => {
      const made = project(
        {
          'tasks.js': asCommonJs(tasks).replace('const add', 'if (isMainThread) var add'),
          'main.js': asCommonJs(main('./tasks.js')).replace(
            /\.then.*/,
            '.catch(({ message }) => console.log(JSON.stringify(message)))',
          ),
        },
        { type: 'commonjs' },
      )
      const { report } = await made.run('main.js')
      expect(report).toContain(`${made.url('tasks.js')} defines no task`)
    },
  )

  it.skipIf(!requiresModules)('finds tasks that are required in the body of the flow', async () => {
    const made = project(
      {
        'tasks.js': asCommonJs(tasks),
        'main.js': asCommonJs(
          main('./tasks.js')
            .replace(/^import .*tasks.*\n/m, '')
            .replace('add(1', "require('./tasks.js').add(1"),
        ),
      },
      { type: 'commonjs' },
    )
    const { report } = await made.run('main.js')
    expect(report).toEqual(inThread)
  })

  it('finds those of modules that it imports', async () => {
    const { report } = await project(
      {
        'tasks.mjs': tasks,
        'main.js': `
          async function start() {
            const { flow } = await import('@troupe/core')
            const { WorkerThreadsTaskRunner } = await import('@troupe/runners')
            const { add } = await import('./tasks.mjs')
            const taskRunner = new WorkerThreadsTaskRunner()
            console.log(JSON.stringify(await flow({ name: 'sum', taskRunner }, () => add(1, 2))()))
          }
          start()
        `,
      },
      { type: 'commonjs' },
    ).run('main.js')
    expect(report).toEqual(inThread)
  })

  it('finds tasks that it defines as soon as it has imported Troupe', async () => {
    const made = project(
      {
        'main.js': `
          const { isMainThread } = require('node:worker_threads')
          async function start() {
            const { flow, task } = await import('@troupe/core')
            const { WorkerThreadsTaskRunner } = await import('@troupe/runners')
            const add = task('add', (a, b) => ({ sum: a + b, isMainThread }))
            const sum = flow({ name: 'sum', taskRunner: new WorkerThreadsTaskRunner() }, () => add(1, 2))
            if (isMainThread) console.log(JSON.stringify(await sum()))
          }
          start()
        `,
      },
      { type: 'commonjs' },
    )
    const { report } = await made.run('main.js')
    expect(report).toEqual(inThread)
  })
})

/** In TypeScript. `Sign` can't be had by taking types away. */
const typed = {
  'config.ts': 'export const factor: number = 1\n',
  'tasks.ts': `
    ${tasks.replace('(a, b)', '(a: number, b: number)').replace('a + b', '(a + b) * factor * Sign.Plus')}
    import { factor } from './config.ts'
    enum Sign { Plus = 1 }
  `,
  'main.ts': main('./tasks.ts').replace('async ()', 'async (): Promise<unknown>'),
}

describe.concurrent.each(['module', 'commonjs'] as const)(
  'a program in TypeScript, package type %s',
  (type) => {
    it.each([
      ['tsx', [Project.tool('tsx/dist/cli.mjs')]],
      ['node --import tsx', ['--import', 'tsx']],
    ])('finds its tasks with %s', async (_, node) => {
      const { report, stderr } = await project(typed, { type }).run('main.ts', { node })
      expect(report).toEqual(inThread)
      expect(stderr).toBe('')
    })
  },
)

describe.concurrent('a program in TypeScript', () => {
  it('finds tasks in JavaScript that import TypeScript', async () => {
    const made = project({
      'config.ts': typed['config.ts'],
      'tasks.js': `import { factor } from './config.ts'\n${tasks.replace('a + b', '(a + b) * factor')}`,
      'main.ts': main('./tasks.js').replace('async ()', 'async (): Promise<unknown>'),
    })
    const { report } = await made.run('main.ts', { node: ['--import', 'tsx'] })
    expect(report).toEqual(inThread)
  })

  it.skipIf(!stripsTypes)('finds its tasks where Node takes the types away', async () => {
    const plain = { ...typed, 'tasks.ts': typed['tasks.ts'].replace(/enum.*/, '').replace('Sign.Plus', '1') }
    const { report } = await project(plain).run('main.ts')
    expect(report).toEqual(inThread)
  })
})
