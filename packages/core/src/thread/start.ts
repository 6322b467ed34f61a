import { taskThread } from '../base/task-thread.ts'
import type { Definition } from '../definitions/definition.ts'
import type { Target } from '../runs/current-body.ts'
import { refuseInThread } from '../runs/refuse-in-thread.ts'

/** In a thread that executes tasks there is no engine: what is called outside the body of a task is refused. */
export function startOn({ kind, name }: Definition): Target {
  throw refuseInThread(taskThread(), `${kind} ${name}`)
}
