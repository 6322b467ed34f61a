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
  readonly #protocol: number

  constructor(protocol: number) {
    this.#protocol = protocol
  }

  /** A module wanted to start a flow. */
  refused(message: string): void {
    this.#refusals.push(message)
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
    const failures: unknown[] = []
    const before = this.#refusals.length
    for (const url of address.modules) {
      try {
        await importModule(url)
      } catch (error) {
        failures.push(error)
      }
      const [refusal] = this.#refusals.slice(before)
      if (refusal !== undefined) return { code: 'FLOW_STARTED_IN_WORKER', message: refusal }
      if (failures.length > 0) continue
      const named = find(address)
      if (named.length > 0) return this.#only(address, named)
    }
    return notFound(address, failures[0])
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

function notFound({ name, version, modules }: TaskAddress, cause: unknown): Refusal {
  const here = [...registry()].flatMap(([id, named]) => {
    const isHere = named.some(({ definition: { origin } }) =>
      origin.modules.some((url) => modules.includes(url)),
    )
    return id.startsWith('task:') && isHere ? [id.slice('task:'.length)] : []
  })
  const has = here.length === 0 ? 'defines no task' : `defines ${here.join(', ')}`
  const why =
    cause === undefined
      ? `${modules.join(', ')} ${has}; define the task at the top level of a module, which runs whenever it is loaded`
      : `loading ${modules.join(', ')} failed: ${cause instanceof Error ? cause.message : inspect(cause)}`
  const message = `task ${name} (version ${version}) was not found in a thread: ${why}`
  return cause === undefined
    ? { code: 'TASK_NOT_FOUND', message }
    : { code: 'TASK_NOT_FOUND', message, cause }
}

async function importModule(url: string): Promise<void> {
  if (/\.[cm]?tsx?$/.test(new URL(url).pathname)) await readyForTypes(url)
  await import(url)
}

let typesAreReady: Promise<void> | undefined

/**
 * Node 20 runs `--import` again in threads, but tsx takes no notice there: it is registered here. It must be before the first
 * module is loaded, for a module that could not be loaded stays so.
 */
function readyForTypes(url: string): Promise<void> {
  const { typescript } = process.features as { typescript?: string | false }
  if (typescript !== undefined && typescript !== false) return Promise.resolve()
  return (typesAreReady ??= registerTsx(url))
}

async function registerTsx(url: string): Promise<void> {
  const flag = process.execArgv.find((arg) => /tsx[\\/]dist[\\/](loader|preflight)\.[cm]js$/.test(arg))
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
