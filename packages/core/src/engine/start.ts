import { UsageError } from '../base/errors.ts'
import { taskThread } from '../base/task-thread.ts'
import type { Definition } from '../definitions/definition.ts'
import type { CurrentBody, Target } from '../runs/current-body.ts'
import { engineOfScope } from '../runs/run-context.ts'
import { refuseInThread } from '../runs/refuse-in-thread.ts'
import { twoCopies } from '../runs/refused-arguments.ts'
import { ambientEngine } from './ambient.ts'
import { Attempt } from './attempt.ts'
import { Engine } from './engine.ts'
import { submit } from './submit.ts'

/**
 * Starts a run on the engine that its definition names, or from outside any run.
 *
 * @throws UsageError for misuse
 */
export function startOn(
  definition: Definition,
  args: readonly unknown[],
  body: CurrentBody | undefined,
): Target {
  const thread = taskThread()
  if (thread !== undefined) throw refuseInThread(thread, `${definition.kind} ${definition.name}`)
  const engine = engineFor(definition, body)
  // A run of another engine is nobody's child.
  const caller = body instanceof Attempt && body.host === engine ? body : undefined
  return submit(engine, { definition, args, caller })
}

function engineFor({ settings, name }: Definition, body: CurrentBody | undefined): Engine {
  const given = settings.engine
  const own = body instanceof Attempt ? body.host : engineOfScope()
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
