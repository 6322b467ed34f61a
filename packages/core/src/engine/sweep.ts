import { flowRunIdOf } from '../base/ids.ts'
import type { Journal } from '../ports/journal.ts'
import type { Mailbox } from '../ports/mailbox.ts'
import type { Queue, QueueName } from '../ports/queue.ts'

/** What is looked at in one pass: the rest comes with the next ones. */
const atOnce = 1_000

interface Ports {
  readonly journal: Journal
  readonly mailbox: Mailbox
  readonly queue: Queue
}

/**
 * Takes away what flow runs have left behind that ended: messages that came too late, and offers that a server had forgotten
 * to forget. Only repeats what is harmless.
 */
export async function sweep(ports: Ports, queues: readonly QueueName[]): Promise<void> {
  const ended = endedRuns(ports.journal)
  for (const flowRunId of (await ports.mailbox.addressees?.(atOnce)) ?? [])
    if (await ended(flowRunId)) await ports.mailbox.clear(flowRunId)
  for (const queue of queues) {
    const { ids } = await ports.queue.pending(queue, atOnce)
    for (const id of ids) if (await ended(flowRunOfOffer(id))) await ports.queue.withdraw(queue, id)
  }
}

/** Offers of one run are named after it, those of several after their flow run; see `offerId`. */
export function flowRunOfOffer(id: string): string {
  const flowRunId = flowRunIdOf(id)
  return flowRunId === id ? id.replace(/-\d+$/, '') : flowRunId
}

/** Whether a flow run has ended for sure. */
function endedRuns(journal: Journal): (flowRunId: string) => Promise<boolean> {
  const known = new Map<string, boolean>()
  return async (flowRunId) => {
    let ended = known.get(flowRunId)
    if (ended === undefined) {
      ended = (await journal.summary(flowRunId))?.ended ?? false
      known.set(flowRunId, ended)
    }
    return ended
  }
}
