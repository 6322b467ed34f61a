import type { AsyncLocalStorage } from 'node:async_hooks'
import { contextStore, isScope, Scope } from '../base/context-store.ts'
import type { Body } from '../engine/run.ts'

/** The body that is executing, from its first line to everything that it awaits. */
export const runContext = contextStore as AsyncLocalStorage<Body | Scope>

/** The body that makes a call. */
export function currentBody(): Body | undefined {
  const store = runContext.getStore()
  return store !== undefined && isScope(store) ? (store.body as Body | undefined) : store
}

/** What `withTags` adds to a call. */
export function tagsOfScope(): readonly string[] | undefined {
  const store = runContext.getStore()
  return store !== undefined && isScope(store) ? store.tags : undefined
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
  return store !== undefined && isScope(store) ? store.engine : undefined
}

/** Calls `fn` outside any run; what it calls are roots on `engine`. */
export function runOutside<T>(engine: object, fn: () => T): T {
  return runContext.run(new Scope({ engine }), fn)
}
