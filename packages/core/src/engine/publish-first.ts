import type { Station } from '../ports/transport.ts'
import { liveTransition } from '../streams/live.ts'
import type { Run } from './run.ts'

/** Position of the submission of a root: the claim is before it. */
const position = 2

/** Publishes the first transition of a flow run that was written for any node, if that is its newest. */
export function publishFirst(run: Run, station: Station | undefined): void {
  const { entry, id: flowRunId } = run
  if (station?.publish === undefined || entry?.kind !== 'submitted') return
  const flow = run.definition.name
  station.publish(liveTransition(run, entry, { flowRunId, flow, startedAt: entry.at, position, node: '' }))
}
