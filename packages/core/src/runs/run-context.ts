import type { AsyncLocalStorage } from 'node:async_hooks'
import { contextStore, isScope, Scope } from '../base/context-store.ts'
import { copy, type CurrentBody } from './current-body.ts'
import { twoCopies } from './refused-arguments.ts'

/** The body that is executing, from its first line to everything that it awaits. */
export const runContext = contextStore as AsyncLocalStorage<CurrentBody | Scope>

/** The body that makes a call. */
export function currentBody(): CurrentBody | undefined {
  const store = runContext.getStore()
  return store !== undefined && isScope(store) ? (store.body as CurrentBody | undefined) : store
}

/** The same, where it is one of this copy of the package. @throws UsageError `TWO_COPIES` where it is of another one */
export function ownBody(): CurrentBody | undefined {
  const body = currentBody()
  if (body !== undefined && body.copy !== copy) throw twoCopies('the run that makes the call')
  return body
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
export function runAs<T>(body: CurrentBody, fn: () => T): T {
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
