import { createActor } from 'xstate'
import { flowRunMachine } from '../machines/flow-run-machine.ts'
import { remembering } from '../machines/remembered.ts'
import { freshContext, type RunContextData, type RunEvent } from '../machines/run-machine.ts'
import type { StateName } from '../machines/states.ts'
import { taskRunMachine } from '../machines/task-run-machine.ts'

/** The part of an XState actor that the engine uses, the same for both machines. */
export interface RunActor {
  send(event: RunEvent): void
  getSnapshot(): { readonly value: StateName; readonly context: RunContextData }
}

// All fresh runs start from one snapshot, and go on to others that they share: see `remembering`.
const freshTask = { snapshot: taskRunMachine.resolveState({ value: 'Pending', context: freshContext }) }
const freshFlow = { snapshot: flowRunMachine.resolveState({ value: 'Pending', context: freshContext }) }
const taskRunLogic = remembering(taskRunMachine, freshTask.snapshot)
const flowRunLogic = remembering(flowRunMachine, freshFlow.snapshot)

/**
 * Starts the actor of a run: in its first state, or where the journal left it.
 *
 * Each is an actor system of its own, not a child of the caller's actor: XState copies all children of an actor at each
 * `spawn`, which costs milliseconds where there are many thousands.
 */
export function startActor(
  kind: 'flow' | 'task',
  stateName: StateName,
  context: RunContextData | undefined,
): RunActor {
  if (kind === 'task')
    return createActor(
      taskRunLogic,
      context === undefined ? freshTask : taskFrom(stateName, context),
    ).start()
  return createActor(flowRunLogic, context === undefined ? freshFlow : flowFrom(stateName, context)).start()
}

function taskFrom(stateName: StateName, context: RunContextData): typeof freshTask {
  const value = stateName as (typeof freshTask.snapshot)['value']
  return { snapshot: taskRunMachine.resolveState({ value, context }) }
}

function flowFrom(stateName: StateName, context: RunContextData): typeof freshFlow {
  const value = stateName as (typeof freshFlow.snapshot)['value']
  return { snapshot: flowRunMachine.resolveState({ value, context }) }
}
