import type { ErrorCode, RunHandle, Transition } from '@troupe/core'
import { createTestEngine, type TestEngine, type TestEngineOptions } from '@troupe/core/testing'
import type { Observable } from 'rxjs'
import { expect } from 'vitest'

/** An engine whose log lines are kept, not printed. */
export function testEngine(options: TestEngineOptions = {}): TestEngine & { readonly lines: LogLine[] } {
  const lines: LogLine[] = []
  const log =
    (level: string) =>
    (fields: Readonly<Record<string, unknown>>, message = ''): void => {
      lines.push({ level, message, fields })
    }
  const logger = { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') }
  return Object.assign(createTestEngine({ logger, ...options }), { lines })
}

export interface LogLine {
  readonly level: string
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** How a run ended: the name of its terminal state, with its value or with its error. */
export interface Outcome {
  readonly state: string
  readonly message?: string | undefined
  readonly value?: unknown
  readonly error?: unknown
}

/** Waits for the end of a run in virtual time. */
export async function outcomeOf(engine: TestEngine, run: RunHandle<unknown>): Promise<Outcome> {
  const { name, message } = await engine.settle(run.wait())
  const end = await run.result().then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
  return { state: name, message, ...end }
}

/** What a promise rejects with. */
export async function errorOf(promise: PromiseLike<unknown>): Promise<unknown> {
  const settled = await Promise.resolve(promise).then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
  if ('error' in settled) return settled.error
  throw new TypeError(`expected a rejection, got the value ${String(settled.value)}`)
}

/** Matches an error by its stable code. */
export function code(expected: ErrorCode, message?: RegExp): unknown {
  return expect.objectContaining({
    code: expected,
    ...(message === undefined ? undefined : { message: expect.stringMatching(message) as unknown }),
  }) as unknown
}

/** Everything that an Observable emits until it completes. */
export function all<T>(observable: Observable<T>): Promise<T[]> {
  const values: T[] = []
  return new Promise((resolve, reject) => {
    observable.subscribe({
      next: (value) => values.push(value),
      error: reject,
      complete: () => resolve(values),
    })
  })
}

/** The names of the states that a run went through. */
export async function statesOf(engine: TestEngine, run: RunHandle<unknown>): Promise<string[]> {
  return (await engine.settle(all(run.states))).map(({ name }) => name)
}

/** `name: state` of each transition. */
export function steps(transitions: readonly Transition[]): string[] {
  return transitions.map(({ runName, to }) => `${runName}: ${to.name}`)
}

/** Lets the event loop turn until everything that needs no deadline has happened. */
export async function quiet(turns = 20): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** A promise that the test settles. */
export function deferred<T = void>(): {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (error: unknown) => void
} {
  let resolve: (value: T) => void = () => undefined
  let reject: (error: unknown) => void = () => undefined
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}
