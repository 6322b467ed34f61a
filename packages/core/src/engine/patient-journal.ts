import { TroupeError } from '../base/errors.ts'
import type { Clock } from '../ports/clock.ts'
import type { Journal } from '../ports/journal.ts'
import { deadlineAfter } from '../runs/deadline.ts'

/** How long to wait before a read that failed is repeated: doubling from 50 ms to 5 s. */
const firstPauseMs = 50
const longestPauseMs = 5_000

interface Host {
  readonly clock: Clock
  readonly closed: boolean
}

/**
 * A journal whose reads wait for as long as the connection to it is lost: whoever follows a run, for hours maybe, follows it
 * across that.
 */
export function patientJournal(journal: Journal, host: Host): Journal {
  const patiently = async <T>(read: () => Promise<T>): Promise<T> => {
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      try {
        return await read()
      } catch (error) {
        if (host.closed || !isPassing(error)) throw error
        await deadlineAfter(host.clock, pauseMs).done
      }
    }
  }
  return {
    encodes: journal.encodes,
    append: (append) => journal.append(append),
    read: (flowRunId, from, limit) => patiently(() => journal.read(flowRunId, from, limit)),
    summary: (flowRunId) => patiently(() => journal.summary(flowRunId)),
    list: (query) => patiently(() => journal.list(query)),
    delete: (flowRunId) => journal.delete(flowRunId),
    subscribe: (listener, flowRunId) => journal.subscribe(listener, flowRunId),
    close: () => journal.close(),
  }
}

/** Whether it may be another time: not where this user may never do it. */
export function isPassing(error: unknown): boolean {
  const isUnavailable =
    TroupeError.is(error, 'JOURNAL_UNAVAILABLE') || TroupeError.is(error, 'TRANSPORT_UNAVAILABLE')
  return isUnavailable && !['permissions', 'authorization'].includes(String(error.details['reason']))
}
