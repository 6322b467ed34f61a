import { UsageError } from '../base/errors.ts'
import type { Definition } from '../definitions/definition.ts'
import { twoCopies } from '../runs/dependencies.ts'
import { Future } from '../runs/future.ts'
import { currentBody, engineOfScope, tagsOfScope } from '../runs/run-context.ts'
import { ambientEngine } from './ambient.ts'
import { Attempt } from './attempt.ts'
import { Engine } from './engine.ts'
import { submit } from './submit.ts'

/** Submits a task run, or starts a flow run, from where the call is made. @throws UsageError for misuse */
export function startRun(definition: Definition, args: readonly unknown[]): Future {
  const tags = tagsOfScope()
  return new Future(start(tags === undefined ? definition : withMoreTags(definition, tags), args))
}

function withMoreTags(definition: Definition, tags: readonly string[]): Definition {
  const { settings } = definition
  return { ...definition, settings: { ...settings, tags: [...new Set([...(settings.tags ?? []), ...tags])] } }
}

function start(definition: Definition, args: readonly unknown[]): ReturnType<typeof submit> {
  const caller = currentAttempt()
  const engine = engineFor(definition, caller)
  // A run of another engine is nobody's child.
  return submit(engine, { definition, args, caller: caller?.host === engine ? caller : undefined })
}

/** The body that makes the call. @throws UsageError `TWO_COPIES` where it is one of another copy of the package */
export function currentAttempt(): Attempt | undefined {
  const body: unknown = currentBody()
  if (body === undefined || body instanceof Attempt) return body
  throw twoCopies('the run that makes the call')
}

function engineFor({ settings, name }: Definition, caller: Attempt | undefined): Engine {
  const given = settings.engine
  const own = caller?.host ?? engineOfScope()
  const engine = given === undefined ? (own ?? ambientEngine(() => new Engine({}))) : insideOf(given)
  if (engine instanceof Engine) return engine
  if (given === undefined) throw twoCopies('the engine that is open')
  throw new UsageError('INVALID_OPTION', `expected \`engine\` of ${name} to be what createEngine gave`)
}

/** The inside of what `createEngine` returns. */
export const inside = Symbol.for('@troupe/core/engine')

function insideOf(engine: unknown): unknown {
  return typeof engine === 'object' && engine !== null && inside in engine ? engine[inside] : undefined
}
