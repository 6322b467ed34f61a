import { taskThread } from '../base/task-thread.ts'
import { refuseInThread } from '../runs/refuse-in-thread.ts'

/** @throws UsageError `FLOW_STARTED_IN_WORKER` */
export function createEngine(): never {
  throw refuseInThread(taskThread(), 'createEngine()')
}

/** @throws UsageError `FLOW_STARTED_IN_WORKER` */
export function createWorker(): never {
  throw refuseInThread(taskThread(), 'createWorker()')
}

/** @throws UsageError `FLOW_STARTED_IN_WORKER` */
export function memoryTransport(): never {
  throw refuseInThread(taskThread(), 'memoryTransport()')
}

/** Stand for the machines of runs, whose actors live with their engine. */
export const flowRunMachine = Object.freeze({ id: 'flow run' })
export const taskRunMachine = Object.freeze({ id: 'task run' })
