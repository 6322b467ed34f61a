import { AsyncLocalStorage } from 'node:async_hooks'
import type { Body } from '../engine/run.ts'

/** Where `withTags` was called, and what it adds to the runs that are called within. */
class TagScope {
  readonly body: Body | undefined
  readonly tags: readonly string[]

  constructor(body: Body | undefined, tags: readonly string[]) {
    this.body = body
    this.tags = tags
  }
}

/** One per process, shared by all copies of the package, so that a second copy is noticed and not silently apart. */
const key = Symbol.for('@troupe/core/run-context')
const shared = globalThis as { [key]?: AsyncLocalStorage<Body | TagScope> }

/** The body that is executing, from its first line to everything that it awaits. */
export const runContext: AsyncLocalStorage<Body | TagScope> = (shared[key] ??= new AsyncLocalStorage<
  Body | TagScope
>())

/** The body that makes a call. */
export function currentBody(): Body | undefined {
  const store = runContext.getStore()
  return store instanceof TagScope ? store.body : store
}

/** What `withTags` adds to a call. */
export function tagsOfScope(): readonly string[] | undefined {
  const store = runContext.getStore()
  return store instanceof TagScope ? store.tags : undefined
}

/** Calls `fn`; runs that are called in it, and in all that it awaits, get `tags` besides those of scopes around it. */
export function runWithTags<T>(tags: readonly string[], fn: () => T): T {
  const around = tagsOfScope() ?? []
  return runContext.run(new TagScope(currentBody(), [...new Set([...around, ...tags])]), fn)
}
