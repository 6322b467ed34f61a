import { createActor, type Actor } from 'xstate'
import { flowRunMachine } from '../machines/flow-run-machine.ts'
import { remembering, type Remembering } from '../machines/remembered.ts'
import { askContextAlone, freshContext, type RunContextData } from '../machines/run-machine.ts'
import type { StateName } from '../machines/states.ts'
import { taskRunMachine } from '../machines/task-run-machine.ts'

// All fresh runs start from one snapshot, and go on to others that they share: see `remembering`.
const freshTask = taskRunMachine.resolveState({ value: 'Pending', context: freshContext })
const freshFlow = flowRunMachine.resolveState({ value: 'Pending', context: freshContext })
const taskRunLogic: Remembering<typeof taskRunMachine> = remembering(
  taskRunMachine,
  freshTask,
  askContextAlone,
)
const flowRunLogic: Remembering<typeof flowRunMachine> = remembering(
  flowRunMachine,
  freshFlow,
  askContextAlone,
)

/** An actor of either machine. */
export type RunActor = Actor<typeof taskRunLogic> | Actor<typeof flowRunLogic>

/** A run that is to have an actor: where the journal left it, if it is not fresh. */
interface Beginning {
  readonly kind: 'flow' | 'task'
  readonly stateName: StateName
  readonly context: RunContextData | undefined
  /** The actor of the run that submitted it, where that is in the same journal. */
  readonly parent: RunActor | undefined
}

/**
 * Starts the actor of a run: in its first state, or where the journal left it.
 *
 * All runs of a journal are actors of one system, the flow run's: a system for each would be half of what an actor costs. They
 * are no children in its snapshot: XState copies all children of an actor at each `spawn`, which costs milliseconds where there
 * are many thousands. An actor leaves the system when its run has ended; the others go with the flow run.
 */
export function startActor({ kind, stateName, context, parent }: Beginning): RunActor {
  if (kind === 'task') {
    const snapshot = context === undefined ? freshTask : taskAt(stateName, context)
    return createActor(taskRunLogic, parent === undefined ? { snapshot } : { snapshot, parent }).start()
  }
  const snapshot = context === undefined ? freshFlow : flowAt(stateName, context)
  return createActor(flowRunLogic, parent === undefined ? { snapshot } : { snapshot, parent }).start()
}

function taskAt(stateName: StateName, context: RunContextData): typeof freshTask {
  return taskRunMachine.resolveState({ value: stateName as (typeof freshTask)['value'], context })
}

function flowAt(stateName: StateName, context: RunContextData): typeof freshFlow {
  return flowRunMachine.resolveState({ value: stateName as (typeof freshFlow)['value'], context })
}
