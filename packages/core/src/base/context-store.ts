import { AsyncLocalStorage } from 'node:async_hooks'

/** The same for all copies of the package: a scope of another one is told from a body. */
const brand = Symbol.for('@troupe/core/scope')

/** Whether what is current is a scope, and not a body. */
export function isScope(store: object): store is Scope {
  return brand in store
}

/** What holds for the calls that are made in a function, besides the body that makes them. */
export class Scope {
  readonly [brand] = true
  readonly body: object | undefined
  /** What `withTags` adds. */
  readonly tags: readonly string[] | undefined
  /** The engine that calls outside any run go to. */
  readonly engine: object | undefined

  constructor(init: { body?: object | undefined; tags?: readonly string[]; engine?: object | undefined }) {
    this.body = init.body
    this.tags = init.tags
    this.engine = init.engine
  }
}

/** One per process, shared by all copies of the package, so that a second copy is noticed and not silently apart. */
const key = Symbol.for('@troupe/core/run-context')
const shared = globalThis as { [key]?: AsyncLocalStorage<object> }

/** The body that is executing, or a scope in it; `runs/run-context.ts` knows which. */
export const contextStore: AsyncLocalStorage<object> = (shared[key] ??= new AsyncLocalStorage<object>())

const outside = new Scope({})

/** Calls `fn` outside any run. */
export function callOutside(fn: () => void): void {
  // Not `exit`: that switches the hooks behind all contexts of the process off and on.
  if (contextStore.getStore() === undefined) fn()
  else contextStore.run(outside, fn)
}

/**
 * For the beginning of a function that the event loop calls: what follows in it belongs to no run, whichever made it be
 * called. Costs a tenth of `callOutside`.
 */
export function leaveRun(): void {
  if (contextStore.getStore() !== undefined) contextStore.enterWith(outside)
}
