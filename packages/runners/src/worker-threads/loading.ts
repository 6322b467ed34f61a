import { createRequire } from 'node:module'
import { inspect } from 'node:util'
import type { Runtime } from '@troupe/core'
import type { Refusal, TaskAddress } from './wires.ts'

/** How the main package remembers definitions; of whichever copy of it defined them. */
const key = Symbol.for('@troupe/core/definitions')

interface Definition {
  readonly name: string
  readonly version: string
  readonly fn: (...args: unknown[]) => unknown
  readonly origin: { readonly name: string; readonly version: string; readonly modules: readonly string[] }
}

interface Named {
  readonly definition: Definition
  readonly place: string
  readonly runtime: Runtime
}

/** How long a module that was loaded may take to define its tasks, and how often it is looked. */
const latestMs = 1_000
const lookAgainMs = 10

/** A task that was found, and how to execute it. */
export interface Found {
  readonly fn: (...args: unknown[]) => unknown
  readonly runtime: Runtime
}

/** Finds tasks by loading the modules that define them. */
export class Loader {
  readonly #found = new Map<string, Promise<Found | Refusal>>()
  /** Flows that modules wanted to start when they were loaded, by what was said. */
  readonly #refusals: string[] = []
  #early: string | undefined
  readonly #protocol: number

  constructor(protocol: number) {
    this.#protocol = protocol
  }

  /** A module wanted to start a flow. */
  refused(message: string): void {
    this.#refusals.push(message)
  }

  /** The module with this code in it did: all that it defines is of no use. */
  refusedEarly(message: string): void {
    this.#early ??= message
  }

  load(address: TaskAddress): Promise<Found | Refusal> {
    const id = JSON.stringify(address)
    let found = this.#found.get(id)
    if (found === undefined) {
      found = this.#load(address)
      this.#found.set(id, found)
    }
    return found
  }

  async #load(address: TaskAddress): Promise<Found | Refusal> {
    const before = this.#refusals.length
    for (const url of address.modules) {
      let failure: { readonly cause: unknown } | undefined
      try {
        await importModule(url)
      } catch (cause) {
        failure = { cause }
      }
      const refusal = this.#early ?? this.#refusals[before]
      if (refusal !== undefined) return { code: 'FLOW_STARTED_IN_WORKER', message: refusal }
      // A module that imports this one fails as well, and says less of why.
      if (failure !== undefined) return notFound(address, failure)
      const named = find(address)
      if (named.length > 0) return this.#only(address, named)
    }
    return this.#later(address)
  }

  /** Under CommonJS a module may define tasks only after it was loaded, when it has imported Troupe. */
  async #later(address: TaskAddress): Promise<Found | Refusal> {
    for (let waited = 0; waited < latestMs; waited += lookAgainMs) {
      await new Promise((resolve) => setTimeout(resolve, lookAgainMs))
      const named = find(address)
      if (named.length > 0) return this.#only(address, named)
    }
    return notFound(address, undefined)
  }

  #only({ name }: TaskAddress, named: readonly Named[]): Found | Refusal {
    const [first, second] = named
    if (first === undefined) throw new TypeError('nothing was found')
    if (second !== undefined) {
      const places =
        first.place === second.place
          ? `${first.place} defines it each time that it is reached`
          : `at ${second.place} and at ${first.place}`
      const message = `task ${name} is defined more than once: ${places}; give one another name, or another version`
      return { code: 'AMBIGUOUS_NAME', message }
    }
    const { definition, runtime } = first
    if (runtime.protocol === this.#protocol) return { fn: definition.fn, runtime }
    const message = `task ${name} is defined by another version of @troupe/core than the one that runs it`
    return { code: 'TASK_NOT_FOUND', message }
  }
}

function registry(): Map<string, readonly Named[]> {
  return (globalThis as { [key]?: Map<string, readonly Named[]> })[key] ?? new Map<string, readonly Named[]>()
}

/** Its definitions, each body once. */
function find({ name, version, modules }: TaskAddress): Named[] {
  const bodies = new Set<unknown>()
  return (registry().get(`task:${name}`) ?? []).filter(({ definition }) => {
    const { origin, fn } = definition
    if (origin.name !== name || origin.version !== version || bodies.has(fn)) return false
    // Another module may define a task of that name through the same helper. Under CommonJS there are more frames elsewhere.
    if (origin.modules[0] !== modules[0] || !origin.modules.every((url) => modules.includes(url)))
      return false
    bodies.add(fn)
    return true
  })
}

function notFound(
  { name, version, modules }: TaskAddress,
  failure: { readonly cause: unknown } | undefined,
): Refusal {
  const here = [...registry()].flatMap(([id, named]) => {
    const isHere = named.some(({ definition: { origin } }) =>
      origin.modules.some((url) => modules.includes(url)),
    )
    if (!id.startsWith('task:') || !isHere) return []
    const known = id.slice('task:'.length)
    if (known !== name) return [known]
    return named.map(({ definition }) => `${known} (version ${definition.version})`)
  })
  const has = here.length === 0 ? 'defines no task' : `defines ${here.join(', ')}`
  const why =
    failure === undefined
      ? `${modules.join(', ')} ${has}; define the task at the top level of a module, which runs whenever it is loaded, or say which does: \`module: import.meta.url\``
      : `loading ${modules[0]} failed: ${firstLine(failure.cause)}; define the task in a module of its own that can be loaded there`
  const message = `task ${name} (version ${version}) was not found in a thread: ${why}`
  return failure === undefined
    ? { code: 'TASK_NOT_FOUND', message }
    : { code: 'TASK_NOT_FOUND', message, cause: failure.cause, own: fieldsOf(failure.cause) }
}

function firstLine(cause: unknown): string {
  return (cause instanceof Error ? cause.message : inspect(cause)).split('\n')[0] ?? ''
}

/** What a clone of an error would lose. */
function fieldsOf(cause: unknown): Record<string, unknown> {
  const isPlain = ([, value]: [string, unknown]): boolean =>
    value === null || /string|number|boolean/.test(typeof value)
  return cause instanceof Error ? Object.fromEntries(Object.entries(cause).filter(isPlain)) : {}
}

async function importModule(url: string): Promise<void> {
  const isTyped = /\.[cm]?tsx?$/.test(new URL(url).pathname)
  if (isTyped || (tsxFlag !== undefined && tsxLeavesThreads())) await readyForTypes(url)
  await import(url)
}

/** The option that loads tsx, where the program was started with one. */
const tsxFlag = [...process.execArgv, ...(process.env['NODE_OPTIONS']?.split(/\s+/) ?? [])].find((arg) =>
  /(^|[/\\=])tsx([/\\]|$)/.test(arg),
)

/** Where a preloaded module can't tell that it is in a thread of Node's own, tsx registers itself in no thread at all. */
function tsxLeavesThreads(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  return major < 22 || (major === 22 && minor < 14)
}

let typesAreReady: Promise<void> | undefined

/**
 * Node 20 runs `--import` again in threads, but tsx takes no notice there: it is registered here. It must be before the first
 * module is loaded, for a module that could not be loaded stays so.
 */
function readyForTypes(url: string): Promise<void> {
  const { typescript } = process.features as { typescript?: string | false }
  const canNode = typescript !== undefined && typescript !== false
  const hasTsx = tsxFlag !== undefined && !tsxLeavesThreads()
  if (canNode || hasTsx) return Promise.resolve()
  return (typesAreReady ??= registerTsx(url))
}

async function registerTsx(url: string): Promise<void> {
  const flag = tsxFlag !== undefined && /[/\\]dist[/\\][a-z]+\.[cm]js$/.test(tsxFlag) ? tsxFlag : undefined
  for (const kind of ['esm', 'cjs'] as const) {
    const api = (await import(apiOf(kind, flag, url))) as { register(): unknown }
    api.register()
  }
}

function apiOf(kind: 'esm' | 'cjs', flag: string | undefined, url: string): string {
  if (flag !== undefined) {
    const path = flag.replace(/^--[a-z-]+=/, '')
    const loader = path.startsWith('file:') ? path : new URL(`file://${path}`).href
    return new URL(`./${kind}/api/index.mjs`, loader).href
  }
  try {
    // The variant for CommonJS is broken in threads.
    const resolved = createRequire(url).resolve(`tsx/${kind}/api`).replace(/cjs$/, 'mjs')
    return new URL(`file://${resolved}`).href
  } catch (cause) {
    throw new TypeError(
      `this thread can't load TypeScript (${url}): run with tsx, on Node 22.18 or newer, or compile it first`,
      { cause },
    )
  }
}
