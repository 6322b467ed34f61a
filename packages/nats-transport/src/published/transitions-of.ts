import { TroupeError, type Journal, type Transition } from '@troupe/core'
import { isTerminal, TransitionReader } from '@troupe/core/internal'
import type { Connected } from '../connection/connected.ts'
import type { StreamMessage } from '../connection/messages.ts'
import { counts } from '../connection/store.ts'
import type { Records } from '../journal/records.ts'
import type { JournalStream } from '../journal/stream.ts'
import { isTombstone, placeOf, summaryIn } from '../journal/wire.ts'

/** Flow runs whose names are remembered; of another one the journal is read from its beginning. */
const mostReaders = 10_000
/** Entries per read. */
const page = 1_000

/** A transition, and what tells it from all others that were ever published. */
export interface ToPublish {
  readonly transition: Transition
  readonly id: string
}

export interface TransitionsOfParts {
  readonly stream: JournalStream
  readonly records: Records
  readonly journal: Journal
  /** Told of a record that can't be read, and never will be. */
  readonly report: (error: unknown) => void
}

/** Makes transitions of the records of the stream of journals, in its order. */
export class TransitionsOf {
  readonly #parts: TransitionsOfParts
  readonly #readers = new Map<string, TransitionReader>()

  constructor(parts: TransitionsOfParts) {
    this.#parts = parts
  }

  /** @throws TroupeError where it may be another time */
  async read(connected: Connected, message: StreamMessage): Promise<readonly ToPublish[]> {
    const { stream, report } = this.#parts
    if (!(await counts(connected, stream.name, message))) return []
    const flowRunId = stream.flowRunOf(message.subject)
    if (isTombstone(message.headers)) {
      this.#readers.delete(flowRunId)
      return []
    }
    try {
      return await this.#read(flowRunId, message)
    } catch (error) {
      this.#readers.delete(flowRunId)
      if (!isLasting(error)) throw error
      report(error)
      return []
    }
  }

  async #read(flowRunId: string, { headers, data, seq }: StreamMessage): Promise<readonly ToPublish[]> {
    const { first } = placeOf(headers, `the journal of ${flowRunId}`)
    const order = summaryIn(headers, flowRunId, seq)?.order ?? 0
    const reader = await this.#readerAt(flowRunId, first)
    // It was forgotten in the meantime.
    if (reader === undefined) return []
    const found: ToPublish[] = []
    for (const entry of await this.#parts.records.readWithoutValues({ flowRunId, seq, headers, data })) {
      const transition = reader.read(entry)
      if (transition === undefined) continue
      // The order: a run that was forgotten may be followed by another one of its id.
      found.push({ transition, id: `${transition.runId}:${transition.seq}:${order}` })
      if (transition.runId === flowRunId && isTerminal(transition.to.name)) this.#readers.delete(flowRunId)
    }
    return found
  }

  /** A reader that has read all before a position. */
  async #readerAt(flowRunId: string, position: number): Promise<TransitionReader | undefined> {
    const known = this.#readers.get(flowRunId)
    this.#readers.delete(flowRunId)
    const reader = known?.position === position - 1 ? known : new TransitionReader(flowRunId)
    while (reader.position < position - 1) {
      const wanted = Math.min(page, position - 1 - reader.position)
      const entries = await this.#parts.journal.read(flowRunId, reader.position + 1, wanted)
      if (entries.length === 0) return undefined
      for (const entry of entries) reader.read(entry)
    }
    this.#readers.set(flowRunId, reader)
    for (const oldest of this.#readers.keys()) {
      if (this.#readers.size <= mostReaders) break
      this.#readers.delete(oldest)
    }
    return reader
  }
}

/** Whether a record will be as unreadable the next time, to whichever node. */
function isLasting(error: unknown): boolean {
  const isDamaged = TroupeError.is(error, 'JOURNAL_DAMAGED') || TroupeError.is(error, 'MALFORMED_PAYLOAD')
  return isDamaged && error.details['reason'] !== 'backwards'
}
