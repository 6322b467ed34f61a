import type { MessageEntry } from '../journal/entries.ts'
import type { RecordedMessage } from '../journal/history.ts'
import type { Awaited } from '../runs/current-body.ts'
import type { CommitSubject } from './ledger.ts'
import type { Run } from './run.ts'

/** A body's wait for a message. */
export interface MessageWait extends CommitSubject {
  /** Number in its journal. */
  readonly number: number
  readonly awaited: Awaited | undefined
  readonly attempt: { readonly number: number; readonly tryFrom: number }
  /** It has got one. */
  got(message: RecordedMessage): void
}

/**
 * The messages of one flow run, and the waits of its body for them. A message is recorded when it arrives and kept until a
 * wait takes it; each wait takes the oldest that fits. What a failed try took is there again for the next one: it need not
 * be sent twice.
 */
export class Inbox {
  readonly #run: Run
  readonly #messages: RecordedMessage[]
  readonly #ids: Set<string>
  readonly #waiting = new Set<MessageWait>()

  constructor(run: Run, recorded: readonly RecordedMessage[]) {
    this.#run = run
    this.#messages = [...recorded]
    this.#ids = new Set(recorded.map(({ entry }) => entry.id))
  }

  /** The input that is asked for first. */
  get asked(): MessageWait | undefined {
    for (const wait of this.#waiting) if (wait.awaited?.for === 'input') return wait
    return undefined
  }

  /** Records a message, and gives it to the wait that has waited longest for it. Of an id that is known: does nothing. */
  arrive({ id, for: what, name, payload }: Omit<MessageEntry, 'kind' | 'at'>): void {
    if (this.#ids.has(id)) return
    this.#ids.add(id)
    const { ledger, host } = this.#run
    const entry = { kind: 'message', at: host.clock.now(), id, for: what, name, payload } as const
    const message = { entry, number: this.#messages.length + 1, takenBy: 0 }
    this.#messages.push(message)
    ledger.record(entry, undefined)
    for (const wait of this.#waiting) {
      if (!fits(message, wait)) continue
      this.#give(message, wait)
      return
    }
  }

  /** Whether a message of this id has arrived. */
  knows(id: string): boolean {
    return this.#ids.has(id)
  }

  /** A body waits for a message: it gets one that is there, or the next that arrives. */
  wait(wait: MessageWait): void {
    this.#waiting.add(wait)
    const { tryFrom } = wait.attempt
    const message = this.#messages.find((one) => one.takenBy < tryFrom && fits(one, wait))
    if (message !== undefined) this.#give(message, wait)
    else if (wait.awaited?.for === 'input') this.#run.host.steering.asked(this.#run)
  }

  leave(wait: MessageWait): void {
    this.#waiting.delete(wait)
  }

  #give(message: RecordedMessage, wait: MessageWait): void {
    this.#waiting.delete(wait)
    message.takenBy = wait.attempt.number
    wait.got(message)
    const { ledger, host } = this.#run
    ledger.record({ kind: 'woken', at: host.clock.now(), wait: wait.number, message: message.number }, wait)
  }
}

function fits({ entry }: RecordedMessage, { awaited }: MessageWait): boolean {
  return entry.for === awaited?.for && entry.name === awaited.name
}

/** The messages of a flow run. */
export function inboxOf(run: Run): Inbox {
  return (run.rarely.inbox ??= new Inbox(run, [])) as Inbox
}
