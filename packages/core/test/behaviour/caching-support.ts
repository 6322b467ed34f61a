import {
  flow,
  task,
  type Cache,
  type CacheEntry,
  type RunHandle,
  type Task,
  type TaskOptions,
} from '@troupe/core'
import type { TestEngine } from '@troupe/core/testing'
import { all, type LogLine } from './support.ts'

/** A task, and the arguments of each call that its body ran for. */
export function observed<A extends unknown[], R>(
  options: Omit<TaskOptions, 'parameters'>,
  body: (...args: A) => R,
): { readonly call: Task<A, Awaited<R>>; readonly ran: A[] } {
  const ran: A[] = []
  const call = task(options, (...args: A) => {
    ran.push(args)
    return body(...args)
  })
  return { call: call as unknown as Task<A, Awaited<R>>, ran }
}

/** Calls a cached task with each list of arguments, one after the other. @returns For which of them its body ran. */
export async function runsFor(
  engine: TestEngine,
  options: Omit<TaskOptions, 'name' | 'parameters'>,
  ...calls: readonly (readonly unknown[])[]
): Promise<number[]> {
  const { call, ran } = observed({ name: 'keyed', ...options }, (..._args: unknown[]) => 'result')
  const run = flow('calls', async () => {
    const ranFor: number[] = []
    for (const [at, args] of calls.entries()) {
      const before = ran.length
      await call(...args)
      if (ran.length > before) ranFor.push(at)
    }
    return ranFor
  })
  return engine.settle(engine.run(run))
}

/** `name: state` of each transition of a flow run, for the task runs in it alone. */
export async function taskSteps(engine: TestEngine, run: RunHandle<unknown>): Promise<string[]> {
  const transitions = await engine.settle(all(run.transitions))
  return transitions.filter(({ task: name }) => name !== undefined).map((t) => `${t.runName}: ${t.to.name}`)
}

/** The warnings that an engine logged. */
export function warnings(engine: { readonly lines: readonly LogLine[] }): string[] {
  return engine.lines.filter(({ level }) => level === 'warn').map(({ message }) => message)
}

/** A cache whose answers go through functions of the test. */
export function through(
  cache: Cache,
  change: {
    get?: (ask: () => Promise<CacheEntry | undefined>, key: string) => unknown
    put?: (store: () => Promise<void>, key: string, entry: CacheEntry) => unknown
  },
): Cache {
  return {
    get: (key) =>
      (change.get === undefined ? cache.get(key) : change.get(() => cache.get(key), key)) as ReturnType<
        Cache['get']
      >,
    put: (key, entry) =>
      (change.put === undefined
        ? cache.put(key, entry)
        : change.put(() => cache.put(key, entry), key, entry)) as Promise<void>,
    delete: (key) => cache.delete(key),
  }
}

/** `name: state` for each of some states. */
export function went(name: string, ...states: readonly string[]): string[] {
  return states.map((state) => `${name}: ${state}`)
}
