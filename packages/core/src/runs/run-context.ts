import { AsyncLocalStorage } from 'node:async_hooks'
import type { Body } from '../engine/run.ts'

/** One per process, shared by all copies of the package, so that a second copy is noticed and not silently apart. */
const key = Symbol.for('@troupe/core/run-context')
const shared = globalThis as { [key]?: AsyncLocalStorage<Body> }

/** The body that is executing, from its first line to everything that it awaits. */
export const runContext: AsyncLocalStorage<Body> = (shared[key] ??= new AsyncLocalStorage<Body>())
