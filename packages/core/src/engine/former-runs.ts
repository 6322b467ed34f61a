import { TroupeError } from '../base/errors.ts'
import type { ClaimedEntry } from '../journal/entries.ts'
import type { Clock } from '../ports/clock.ts'
import type { Append, Journal } from '../ports/journal.ts'
import type { Queue } from '../ports/queue.ts'
import { deadlineAfter } from '../runs/deadline.ts'
import type { Run } from './run.ts'
import { offerRun } from './serve-flows.ts'

const page = 1_000
const longestPauseMs = 5_000

export interface FormerHost {
  readonly node: string
  readonly clock: Clock
  readonly journal: Journal
  readonly closed: boolean
  append(append: Append): ReturnType<Journal['append']>
  rootOf(flowRunId: string): Run | undefined
  /** Whether it let go of a flow run, and follows it to where it goes on: here again, where nobody else has claimed it. */
  follows(flowRunId: string): boolean
  report(error: unknown, run: undefined): void
}

/**
 * Gives up the flow runs that are this node's by their journals, and are not here: those of a process before it that had the
 * same name. The others leave them alone, for the node is there. Resolves when that is done, however long the others can't be
 * reached.
 */
export async function giveUpFormer(host: FormerHost, queue: Queue): Promise<void> {
  for (let pauseMs = 50; !host.closed; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    try {
      if (await giveUpAll(host, queue)) return
    } catch (error) {
      if (host.closed) return
      // One that may not have any had none.
      if (TroupeError.is(error) && error.details['reason'] === 'permissions') return
      host.report(error, undefined)
    }
    await deadlineAfter(host.clock, pauseMs).done
  }
}

/** @returns False where it is not clear yet of some whether they are here. */
async function giveUpAll(host: FormerHost, queue: Queue): Promise<boolean> {
  const { journal, node } = host
  let isDone = true
  for (let after = 0; ;) {
    const found = await journal.list({ node, ended: false, parent: null, limit: page, after })
    for (const { flowRunId, kind } of found) {
      if (kind !== 'flow') continue
      if (!isHere(host, flowRunId)) await giveUp(host, queue, flowRunId)
      if (isUndecided(host, flowRunId)) isDone = false
    }
    after = found.at(-1)?.order ?? after
    if (found.length < page) return isDone
  }
}

/** Nobody has it from now on: whoever takes it first. */
async function giveUp(host: FormerHost, queue: Queue, flowRunId: string): Promise<void> {
  const summary = await host.journal.summary(flowRunId)
  const isMine = summary?.node === host.node && !summary.ended && !isHere(host, flowRunId)
  if (!isMine || host.closed) return
  const epoch = summary.epoch + 1
  const claimed: ClaimedEntry = { kind: 'claimed', at: host.clock.now(), epoch, node: '' }
  const refused = await host.append({ flowRunId, expected: summary.position, epoch, entries: [claimed] })
  if (refused === undefined) await offerRun(queue, { ...summary, epoch })
}

function isHere(host: FormerHost, flowRunId: string): boolean {
  return host.rootOf(flowRunId) !== undefined || host.follows(flowRunId)
}

/** One that was started here once more, with its id or key, is refused soon, for its journal is there: then it is not here. */
function isUndecided(host: FormerHost, flowRunId: string): boolean {
  const run = host.rootOf(flowRunId)
  return run === undefined ? host.follows(flowRunId) : run.ledger.position === 0
}
