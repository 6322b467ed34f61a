/** Programs as users have them: a folder with Troupe in its `node_modules`, executed by a process of its own. */
import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

import { afterAll } from 'vitest'

const packages = fileURLToPath(new URL('../../../../', import.meta.url))
const tools = fileURLToPath(new URL('../../../../../node_modules/', import.meta.url))

/** Whether this Node runs TypeScript by itself. */
export const stripsTypes = Boolean((process.features as { typescript?: string | false }).typescript)

/** Whether this Node can `require` a module that is no CommonJS. */
export const requiresModules = Boolean((process.features as { require_module?: boolean }).require_module)

let home: string | undefined
afterAll(() => {
  if (home !== undefined) rmSync(home, { recursive: true, force: true, maxRetries: 5 })
})

/** Where programs lie; `node_modules` beside them has what was built of the packages. */
function homeOfPrograms(): string {
  if (home === undefined) {
    home = realpathSync(mkdtempSync(join(tmpdir(), 'troupe-loading-')))
    install(home)
  }
  return home
}

function link(path: string, target: string): void {
  mkdirSync(dirname(path), { recursive: true })
  symlinkSync(realpathSync(target), path, 'junction')
}

/** Copies and not links: Node would look at where a link leads, which is no `node_modules`. */
function install(folder: string): void {
  for (const name of ['core', 'runners']) {
    const from = join(packages, name)
    const to = join(folder, 'node_modules/@troupe', name)
    const filter = (path: string): boolean => !/\.(d\.ts|map|tsbuildinfo)$/.test(path)
    cpSync(join(from, 'dist'), join(to, 'dist'), { recursive: true, filter })
    cpSync(join(from, 'package.json'), join(to, 'package.json'))
  }
  for (const name of ['msgpackr', 'rxjs', 'xstate']) {
    link(join(folder, 'node_modules', name), join(packages, 'core/node_modules', name))
  }
  for (const name of ['tsx', 'vitest']) link(join(folder, 'node_modules', name), join(tools, name))
}

/**
 * `endings` runs a flow for each of the bodies given, each on an engine of its own with one thread, and says how it ended:
 * with which value, or which error; and the states of its task runs.
 */
const endingModule = `
import { createEngine, flow } from '@troupe/core'
import { WorkerThreadsTaskRunner } from '@troupe/runners'

function told(error) {
  if (!(error instanceof Error)) return { thrown: String(error) }
  const { name, code, message, details, cause } = error
  return { name, code, message, details, ...(cause === undefined ? {} : { cause: told(cause) }) }
}

export async function endings(bodies, options = {}) {
  const all = Object.entries(bodies).map(async ([label, body]) => [label, await ending(body, options)])
  return Object.fromEntries(await Promise.all(all))
}

export async function ending(body, options = {}) {
  const engine = createEngine()
  const states = {}
  engine.transitions.subscribe(({ kind, runName, to }) => {
    if (kind === 'task') (states[runName] ??= []).push(to.name)
  })
  const taskRunner = new WorkerThreadsTaskRunner({ threads: 1, ...options })
  const one = flow({ name: 'one', taskRunner }, async () => await body())
  const ended = await engine.run(one).then((value) => ({ value }), (error) => ({ error: told(error) }))
  await engine.close()
  return { ...ended, states }
}
`

/** How a flow ended, as `endings` tells it. */
export interface Told {
  readonly value?: unknown
  readonly error?: ToldError
  readonly states: Readonly<Record<string, readonly string[]>>
}

export interface ToldError {
  readonly name: string
  readonly code: string
  readonly message: string
  readonly details: Readonly<Record<string, unknown>>
  readonly cause?: ToldError
}

export interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  /** What it printed as its last line, from JSON. @throws where it printed none */
  readonly report: unknown
}

export interface RunOptions {
  /** Options of Node, before the program. */
  readonly node?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** A folder with a program. */
export class Project {
  readonly folder: string

  constructor(folder: string, files: Readonly<Record<string, string>>) {
    this.folder = folder
    for (const [name, text] of Object.entries(files)) {
      const path = join(folder, name)
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, text)
    }
  }

  /** URL of a file, as it stands in messages. */
  url(file: string): string {
    return pathToFileURL(join(this.folder, file)).href
  }

  /** Path of a program that is installed for all. */
  static tool(path: string): string {
    return join(tools, path)
  }

  run(args: string | readonly string[], { node = [], env = {} }: RunOptions = {}): Promise<Ran> {
    const all = [...node, ...(typeof args === 'string' ? [args] : args)]
    const inherited = Object.entries(process.env).filter(([name]) => !/^(NODE_|VITEST|TEST$)/.test(name))
    const options = {
      cwd: this.folder,
      env: { ...Object.fromEntries(inherited), NO_COLOR: '1', ...env },
      timeout: 50_000,
      killSignal: 'SIGKILL',
    } as const
    return new Promise((resolve, reject) => {
      const child = execFile(process.execPath, all, options, (error, stdout, stderr) => {
        if (error?.killed === true)
          reject(new Error(`it did not end: ${all.join(' ')}\n${stdout}\n${stderr}`))
        else resolve(ran(child.exitCode, stdout, stderr))
      })
    })
  }
}

function ran(code: number | null, stdout: string, stderr: string): Ran {
  return {
    code,
    stdout,
    stderr,
    get report() {
      const last = stdout.trimEnd().split('\n').at(-1) ?? ''
      try {
        return JSON.parse(last) as unknown
      } catch {
        throw new Error(`it reported nothing, and ended with code ${code}\n${stdout}\n${stderr}`)
      }
    },
  }
}

let count = 0

/** A folder whose packages are links to where they were built, as those of a workspace. */
export function linked(files: Readonly<Record<string, string>>): Project {
  const made = project(files)
  for (const name of ['core', 'runners']) {
    link(join(made.folder, 'node_modules/@troupe', name), join(packages, name))
  }
  return made
}

/** A folder of a user's program, with Troupe installed. */
export function project(
  files: Readonly<Record<string, string>>,
  { folder = `app-${++count}`, type = 'module' }: { folder?: string; type?: 'module' | 'commonjs' } = {},
): Project {
  return new Project(join(homeOfPrograms(), folder), {
    'package.json': JSON.stringify({ name: 'app', private: true, type }),
    'endings.mjs': endingModule,
    ...files,
  })
}
