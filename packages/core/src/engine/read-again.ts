import { JournalError } from '../base/errors.ts'
import type { History, RecordedRun } from '../journal/history.ts'
import { deadlineAfter } from '../runs/deadline.ts'
import { readHistory } from './read-journal.ts'
import type { Run } from './run.ts'

/** How long to wait before a read that failed is repeated: doubling from 10 ms to 5 s. */
const firstPauseMs = 10
const longestPauseMs = 5_000

/** What the body did so far, read back from the journal when all of it is safe; undefined where the run ended or left. */
export async function readAgain(run: Run): Promise<RecordedRun | undefined> {
  return (await historyOf(run))?.runs[run.index]
}

/** All that the journal of a run says when all of that is safe; undefined where the run ended or left. */
export async function historyOf(run: Run): Promise<History | undefined> {
  const { host, ledger } = run
  let isStalled = false
  const goesOn = (): void => (isStalled ? host.goesOn(ledger) : undefined)
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    await new Promise<void>((resolve) => ledger.whenSafe(resolve))
    try {
      const history = await readHistory(host.journal, ledger.flowRunId)
      if (history?.runs[run.index] !== undefined) {
        goesOn()
        return history
      }
      throw new JournalError('RUN_NOT_FOUND', `the journal has no run ${run.id}`)
    } catch (error) {
      if (run.ended || ledger.lost) {
        goesOn()
        return undefined
      }
      isStalled = true
      host.stalled(ledger, error)
      await deadlineAfter(host.clock, pauseMs).done
    }
  }
}
