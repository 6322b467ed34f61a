/** Which definition a thread takes for a task, and what it says where there is none or more than one. */
import { beforeAll, describe, expect, it } from 'vitest'
import { project, type Project, type Told, type ToldError } from './support.ts'

const define = (line: string): string => `import { task } from '@troupe/core'\n${line}\n`

const modules = {
  'helper.js': define(
    'export const timed = (name, fn) => task(name, async (...args) => [name, await fn(...args)])',
  ),
  'helped.js': "import { timed } from './helper.js'\nexport const square = timed('square', (x) => x * x)\n",
  'jobs-a.js': "import { timed } from './helper.js'\nexport const job = timed('job', () => 'a')\n",
  'jobs-b.js': "import { timed } from './helper.js'\nexport const job = timed('job', () => 'b')\n",
  'hidden.js': define("const hidden = task('hidden', (x) => x + 1)\nexport const call = (x) => hidden(x)"),
  'inside.js': define(
    "export const inside = task('inside', () => { const late = task('late', () => 1); return late() })",
  ),
  'same-a.js': define("export const same = task('same', () => 'a')"),
  'same-b.js': define("export const same = task('same', () => 'b')"),
  'pair.js': define("export const one = task('pair', () => 1)\nexport const two = task('pair', () => 2)"),
  'made.js': define("const make = (n) => task('made', () => n)\nexport const made = [make(1), make(2)]"),
  'versions.js': define(
    "export const one = task('v', () => 1)\nexport const two = task({ name: 'v', version: '2' }, () => 2)",
  ),
  'guarded.js': `
    import { task } from '@troupe/core'
    import { isMainThread } from 'node:worker_threads'
    export const always = task('always', () => 1)
    export const seldom = isMainThread ? task('seldom', () => 2) : undefined
  `,
  'lazy.js': define("export const lazy = task('lazy', () => 'lazy')"),
  'async-helper.js': define(
    'export const later = async (options, fn) => { await null; return task(options, fn) }',
  ),
  'later.js': `
    import { fileURLToPath } from 'node:url'
    import { later } from './async-helper.js'
    const url = import.meta.url
    export const late = await later('late-one', () => 1)
    export const named = await later({ name: 'named', module: url }, () => 'named')
    export const byPath = await later({ name: 'by-path', module: fileURLToPath(url) }, () => 'by path')
    export const wrong = await later({ name: 'wrong', module: new URL('./lazy.js', url).href }, () => 1)
  `,
  'nested.js': define(`
    export const child = task('child', (x) => x)
    export const other = task('other', (x) => ['other', x])
    export const versions = task('versions', async () => {
      const all = []
      for (const version of ['2', '3', '4', '5', '6']) all.push(await child.with({ version })(version))
      return [...all, await child('1')]
    })
    export const names = task('names', async () => {
      const all = []
      for (let i = 0; i < 5; i++) all.push(await other.with({ name: 'child' })(i))
      return [...all, await child('own')]
    })`),
}

const main = `
import { task } from '@troupe/core'
import { endings } from './endings.mjs'
import { square } from './helped.js'
import * as jobsA from './jobs-a.js'
import * as jobsB from './jobs-b.js'
import { call } from './hidden.js'
import { inside } from './inside.js'
import * as sameA from './same-a.js'
import * as sameB from './same-b.js'
import { one, two } from './pair.js'
import { made } from './made.js'
import * as versions from './versions.js'
import { always, seldom } from './guarded.js'
import { byPath, late, named, wrong } from './later.js'
import * as nested from './nested.js'

console.log(JSON.stringify(await endings({
  helper: () => square(3),
  twoOfHelper: () => jobsA.job(),
  hidden: () => call(3),
  named: async () => [await named(), await byPath()],
  wrong: () => wrong(),
  renamed: () => square.with({ name: 'cube', runName: 'cube of {0}' })(3),
  versioned: async () => [await square(3), await square.with({ version: '2' })(4)],
  renamedAndVersioned: () => square.with({ name: 'cube', version: '3' })(5),
  lazy: async () => await (await import('./lazy.js')).lazy(),
  late: () => late(),
  inBody: () => task('in-body', () => 1)(),
  inTaskBody: () => inside(),
  twoModules: () => sameB.same(),
  oneModule: () => one(),
  factory: () => made[1](),
  versions: async () => [await versions.two(), await versions.one()],
  unreached: async () => [await always(), await seldom()],
  afterOthers: async () => [await square(2), await seldom()],
  nestedVersions: () => nested.versions(),
  nestedNames: () => nested.names(),
})))
`

let made: Project
let ended: Readonly<Record<string, Told>> = {}

beforeAll(async () => {
  made = project({ ...modules, 'main.js': main })
  const { report, stderr } = await made.run('main.js')
  if (stderr !== '') throw new Error(stderr)
  ended = report as typeof ended
})

const valueOf = (label: string): unknown => ended[label]?.value ?? ended[label]
const errorOf = (label: string): ToldError | undefined => ended[label]?.error

describe('a thread finds a task', () => {
  it('that a helper in another module defines', () => {
    expect(valueOf('helper')).toEqual(['square', 9])
  })

  it('that no module exports', () => {
    expect(valueOf('hidden')).toBe(4)
  })

  it('in the module that its definition names', () => {
    expect(valueOf('named')).toEqual(['named', 'by path'])
  })

  it('of a module that the body of the flow imports', () => {
    expect(valueOf('lazy')).toBe('lazy')
  })

  it('under another name or version', () => {
    expect(valueOf('renamed')).toEqual(['square', 9])
    expect(Object.keys(ended['renamed']?.states ?? {})).toEqual(['cube of 3'])
    expect(valueOf('versioned')).toEqual([
      ['square', 9],
      ['square', 16],
    ])
    expect(valueOf('renamedAndVersioned')).toEqual(['square', 25])
  })

  it('of the version that is called, where there are several', () => {
    expect(valueOf('versions')).toEqual([2, 1])
  })

  it('however many other versions of it, and other tasks by its name, its body has called', () => {
    expect(valueOf('nestedVersions')).toEqual(['2', '3', '4', '5', '6', '1'])
    expect(valueOf('nestedNames')).toEqual([...[0, 1, 2, 3, 4].map((i) => ['other', i]), 'own'])
  })
})

describe('a call is refused, and no run is created,', () => {
  it('where the task is defined in the body of a flow', () => {
    expect(errorOf('inBody')).toMatchObject({
      name: 'UsageError',
      code: 'TASK_NOT_FOUND',
      message:
        "task in-body can't run in another thread: it is defined inside a run; define it at the top level of a module",
    })
    expect(ended['inBody']?.states).toEqual({})
  })

  it('where two modules define the task, and says which', () => {
    const places = [`${made.url('same-b.js')}:2:21`, `${made.url('same-a.js')}:2:21`] as const
    expect(errorOf('twoModules')).toMatchObject({ code: 'AMBIGUOUS_NAME', details: { places } })
    expect(errorOf('twoModules')?.message).toBe(
      `task same is defined more than once: at ${places[0]} and at ${places[1]}; give one another name, or another version`,
    )
    expect(ended['twoModules']?.states).toEqual({})
  })

  it('where a module defines it twice, and says where', () => {
    const places = [2, 3].map((line) => `${made.url('pair.js')}:${line}:`)
    expect(errorOf('oneModule')?.code).toBe('AMBIGUOUS_NAME')
    for (const place of places) expect(errorOf('oneModule')?.message).toContain(place)
  })

  it('where a helper defines it for two modules, and says which', () => {
    expect(errorOf('twoOfHelper')?.code).toBe('AMBIGUOUS_NAME')
    expect(errorOf('twoOfHelper')?.message).toContain(made.url('jobs-a.js'))
    expect(errorOf('twoOfHelper')?.message).toContain(made.url('jobs-b.js'))
  })
})

describe('a run fails before its body begins', () => {
  const pendingToFailed = ['Pending', 'Failed']

  it('where a function that defines its task is called twice', () => {
    expect(errorOf('factory')?.code).toBe('AMBIGUOUS_NAME')
    expect(errorOf('factory')?.message).toContain(`${made.url('made.js')}:2:`)
  })

  it('where its task is not defined in threads, and says what is', () => {
    const module = made.url('guarded.js')
    expect(errorOf('unreached')).toMatchObject({
      name: 'UsageError',
      code: 'TASK_NOT_FOUND',
      message: expect.stringMatching(
        `^task seldom \\(version 1\\) was not found in a thread: ${module} defines always; define .* at the top level`,
      ),
      details: { name: 'seldom', version: '1', modules: [module] },
    })
    expect(ended['unreached']?.states['seldom-2']).toEqual(pendingToFailed)
  })

  it('where only a helper is seen to define its task, and says how to name the module', () => {
    expect(errorOf('late')?.code).toBe('TASK_NOT_FOUND')
    expect(errorOf('late')?.message).toContain('`module: import.meta.url`')
  })

  it('where the module that its definition names does not define it', () => {
    expect(errorOf('wrong')?.code).toBe('TASK_NOT_FOUND')
    expect(errorOf('wrong')?.message).toContain(`${made.url('lazy.js')} defines lazy;`)
  })

  it('and says nothing of tasks that other modules define', () => {
    expect(errorOf('afterOthers')?.message).toContain(' defines always; ')
  })
})

describe('a body in a thread', () => {
  it('is told where it calls a task that it defines itself', () => {
    expect(errorOf('inTaskBody')?.code).toBe('TASK_NOT_FOUND')
    expect(errorOf('inTaskBody')?.message).toContain('it is defined inside a run')
  })
})
