import { flowRunIdOf } from '../base/ids.ts'
import type { Clock } from '../ports/clock.ts'
import type { Journal } from '../ports/journal.ts'
import type { Mailbox } from '../ports/mailbox.ts'
import type { Queue, QueueName } from '../ports/queue.ts'

/** What is looked at in one pass: the rest comes with the next ones. */
const atOnce = 1_000

/**
 * For how long mail must have been seen for which there is no journal, in milliseconds. It may be there before its journal is: of a flow
 * run whose first append was not answered, and is repeated until it is. And an answer may be there before the node hears of it that
 * asked, and is cut off for a while.
 */
const strayMs = 10 * 60_000
/** How many of those are remembered: the others come when these are gone. */
const mostStrays = 10_000

interface Ports {
  readonly journal: Journal
  readonly mailbox: Mailbox
  readonly queue: Queue
}

/**
 * Takes away what flow runs have left behind that ended: messages that came too late, and offers that a server had forgotten
 * to forget. And what is for nobody: answers to those who are dead, messages to flow runs that were forgotten. Only repeats what
 * is harmless.
 */
export class Sweeper {
  readonly #ports: Ports
  readonly #clock: Clock
  /** Whose mail was looked at last; undefined to begin with the first. */
  #after: string | undefined
  /** When mail was seen first for which there is no journal, by whom it is for: in this round through all mail, and in the one before. */
  #strays = new Map<string, number>()
  #straysBefore = new Map<string, number>()

  constructor(ports: Ports, clock: Clock) {
    this.#ports = ports
    this.#clock = clock
  }

  /** One pass: it goes on where the last one stopped. */
  async sweep(queues: readonly QueueName[]): Promise<void> {
    await this.#sweepMail()
    const { journal, queue } = this.#ports
    const ended = endedRuns(journal)
    for (const name of queues) {
      const { ids } = await queue.pending(name, atOnce)
      for (const id of ids) if (await ended(flowRunOfOffer(id))) await queue.withdraw(name, id)
    }
  }

  async #sweepMail(): Promise<void> {
    const { mailbox } = this.#ports
    const found = (await mailbox.addressees?.(atOnce, this.#after)) ?? []
    const isLast = found.length < atOnce
    // Before anything can fail: the others are not to wait for one that can't be cleared.
    this.#after = isLast ? undefined : found.at(-1)
    for (const flowRunId of found) if (await this.#isLeft(flowRunId)) await mailbox.clear(flowRunId)
    if (!isLast) return
    this.#straysBefore = this.#strays
    this.#strays = new Map()
  }

  /** Whether nobody will read the mail of a flow run. */
  async #isLeft(flowRunId: string): Promise<boolean> {
    const summary = await this.#ports.journal.summary(flowRunId)
    if (summary !== undefined) return summary.ended
    const now = this.#clock.monotonic()
    const since = this.#strays.get(flowRunId) ?? this.#straysBefore.get(flowRunId) ?? now
    if (this.#strays.size < mostStrays) this.#strays.set(flowRunId, since)
    return now - since >= strayMs
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
