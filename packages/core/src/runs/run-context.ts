import { AsyncLocalStorage } from 'node:async_hooks'
import type { Body } from '../engine/run.ts'

/** What holds for the calls that are made in a function, besides the body that makes them. */
class Scope {
  readonly body: Body | undefined
  /** What `withTags` adds. */
  readonly tags: readonly string[] | undefined
  /** The engine that calls outside any run go to. */
  readonly engine: object | undefined

  constructor(init: { body?: Body | undefined; tags?: readonly string[]; engine?: object | undefined }) {
    this.body = init.body
    this.tags = init.tags
    this.engine = init.engine
  }
}

/** One per process, shared by all copies of the package, so that a second copy is noticed and not silently apart. */
const key = Symbol.for('@troupe/core/run-context')
const shared = globalThis as { [key]?: AsyncLocalStorage<Body | Scope> }

/** The body that is executing, from its first line to everything that it awaits. */
export const runContext: AsyncLocalStorage<Body | Scope> = (shared[key] ??= new AsyncLocalStorage<
  Body | Scope
>())

/** The body that makes a call. */
export function currentBody(): Body | undefined {
  const store = runContext.getStore()
  return store instanceof Scope ? store.body : store
}

/** What `withTags` adds to a call. */
export function tagsOfScope(): readonly string[] | undefined {
  const store = runContext.getStore()
  return store instanceof Scope ? store.tags : undefined
}

/** Calls `fn`; runs that are called in it, and in all that it awaits, get `tags` besides those of scopes around it. */
export function runWithTags<T>(tags: readonly string[], fn: () => T): T {
  const around = tagsOfScope() ?? []
  const engine = engineOfScope()
  return runContext.run(
    new Scope({ body: currentBody(), tags: [...new Set([...around, ...tags])], engine }),
    fn,
  )
}

/** Calls `fn` as if `body` did, with what `withTags` adds here. */
export function runAs<T>(body: Body, fn: () => T): T {
  const tags = tagsOfScope()
  return runContext.run(tags === undefined ? body : new Scope({ body, tags }), fn)
}

/** The engine that calls outside any run go to here. */
export function engineOfScope(): object | undefined {
  const store = runContext.getStore()
  return store instanceof Scope ? store.engine : undefined
}

/** Calls `fn` outside any run; what it calls are roots on `engine`. */
export function runOutside<T>(engine: object, fn: () => T): T {
  return runContext.run(new Scope({ engine }), fn)
}

const outside = new Scope({})

/** Calls `fn` outside any run. */
export function callOutside(fn: () => void): void {
  // Not `exit`: that switches the hooks behind all contexts of the process off and on.
  if (runContext.getStore() === undefined) fn()
  else runContext.run(outside, fn)
}

/**
 * For the beginning of a function that the event loop calls: what follows in it belongs to no run, whichever made it be
 * called. Costs a tenth of `callOutside`.
 */
export function leaveRun(): void {
  if (runContext.getStore() !== undefined) runContext.enterWith(outside)
}
