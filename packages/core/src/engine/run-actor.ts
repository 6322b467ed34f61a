import { createActor, type Actor } from 'xstate'
import type { Definition } from '../definitions/definition.ts'
import { flowRunMachine } from '../machines/flow-run-machine.ts'
import type { RunContextData, RunEvent } from '../machines/run-machine.ts'
import type { StateName } from '../machines/states.ts'
import { taskRunMachine } from '../machines/task-run-machine.ts'

/** The part of an XState actor that the engine uses, the same for both machines. */
export interface RunActor {
  send(event: RunEvent): void
  getSnapshot(): { readonly value: StateName; readonly context: RunContextData }
}

/**
 * Starts the actor of a run: in its first state, or where the journal left it.
 *
 * Each is an actor system of its own, not a child of the caller's actor: XState copies all children of an actor at each
 * `spawn`, which costs milliseconds where there are many thousands.
 */
export function startActor(
  { kind, settings }: Definition,
  stateName: StateName,
  context: RunContextData | undefined,
): RunActor {
  const input = {
    retries: settings.retries,
    maxRecoveries: settings.maxRecoveries,
    crashWhenLost: settings.onHostLost === 'crash',
  }
  if (kind === 'task') {
    const options =
      context === undefined
        ? { input }
        : { input, snapshot: taskRunMachine.resolveState({ value: stateName as 'Pending', context }) }
    const actor: Actor<typeof taskRunMachine> = createActor(taskRunMachine, options)
    return actor.start()
  }
  const options =
    context === undefined
      ? { input }
      : { input, snapshot: flowRunMachine.resolveState({ value: stateName as 'Pending', context }) }
  const actor: Actor<typeof flowRunMachine> = createActor(flowRunMachine, options)
  return actor.start()
}
