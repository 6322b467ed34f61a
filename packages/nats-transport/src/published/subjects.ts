import type { Transition } from '@troupe/core'
import { tokenOf } from '../tokens.ts'

/** The longest name of a flow or a task that is in a subject as a whole. */
const longest = 64

/**
 * The subject of a transition, below the prefix of the schema's version:
 *
 * ```
 * <flow> . <flow run> . <task> . <run> . <TYPE>
 * ```
 *
 * `<task>` is `_` for a transition of a flow run, and `<run>` is `_` for the run that the journal is of: the flow run itself, or a task run
 * outside any flow. Of all others it is the part of the run's id after the dot. A name that is itself `_` is written `=5F`.
 */
export function publishedSubject(prefix: string, { flow, flowRunId, task, runId, to }: Transition): string {
  const dot = runId.indexOf('.')
  const run = dot === -1 ? '_' : tokenOf(runId.slice(dot + 1), longest)
  return `${prefix}${nameToken(flow)}.${tokenOf(flowRunId)}.${task === undefined ? '_' : nameToken(task)}.${run}.${to.type}`
}

function nameToken(name: string): string {
  return name === '_' ? '=5F' : tokenOf(name, longest)
}
