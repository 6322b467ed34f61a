import { UsageError } from '../base/errors.ts'
import { inWords } from '../base/words.ts'
import { flowDefinitionOf, type AnyFlow } from '../definitions/flow.ts'
import type { Definition } from '../definitions/definition.ts'

/** What an engine does for the others of its transport. @public */
export interface Serve {
  /**
   * Flows whose runs it takes: those that are started for any node, and those of nodes that are lost. Default none; what is
   * started with this engine runs here in any case.
   */
  readonly flows?: readonly AnyFlow[]
  /**
   * Queues that it takes task runs from, and how many task runs of each it executes at once, such as `{ images: 4 }`. Their
   * tasks must be defined in this process. Default none.
   */
  readonly tasks?: Readonly<Record<string, number>>
}

/** What is served, checked. */
export interface Served {
  readonly flows: readonly Definition[]
  readonly queues: Readonly<Record<string, number>>
}

/** @throws UsageError `INVALID_OPTION` */
export function checkServe(serve: Serve | undefined): Served {
  if (serve === undefined) return { flows: [], queues: {} }
  if (typeof serve !== 'object' || serve === null) refuse('serve', 'such as { flows: [delays] }', serve)
  for (const name of Object.keys(serve))
    if (name !== 'flows' && name !== 'tasks')
      refuse(`serve.${name}`, 'left out: it is `flows` or `tasks`', name)
  const { flows = [], tasks = {} } = serve
  if (!Array.isArray(flows)) refuse('serve.flows', 'a list of flows', flows)
  if (typeof tasks !== 'object' || tasks === null || Array.isArray(tasks))
    refuse(
      'serve.tasks',
      'queues with how many task runs each may execute at once, such as { images: 4 }',
      tasks,
    )
  for (const [queue, concurrency] of Object.entries(tasks)) {
    if (queue === '' || queue.length > 200)
      refuse('serve.tasks', 'of queues with names of 1 to 200 characters', queue)
    if (!Number.isInteger(concurrency) || concurrency < 1)
      refuse(`serve.tasks.${queue}`, 'an integer of at least 1', concurrency)
  }
  return { flows: (flows as readonly AnyFlow[]).map(servedFlow), queues: { ...tasks } }
}

function servedFlow(flow: AnyFlow): Definition {
  if (typeof flow !== 'function' || !('with' in flow)) refuse('serve.flows', 'a list of flows', flow)
  return flowDefinitionOf(flow)
}

function refuse(option: string, expected: string, got: unknown): never {
  const message = `expected \`${option}\` to be ${expected}, got ${inWords(got)}`
  throw new UsageError('INVALID_OPTION', message, { details: { option } })
}
