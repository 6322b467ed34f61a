import { runNameOf } from '../base/ids.ts'
import type { Entry, SubmittedEntry } from '../journal/entries.ts'
import { isTerminal, stateTypes, type StateName } from '../machines/states.ts'
import type { Transition } from './transition.ts'

/** What is kept of a run while it is live: of its entries, inputs above all, nothing. */
interface Seen {
  readonly runId: string
  readonly kind: 'flow' | 'task'
  readonly name: string
  readonly parentRunId: string | undefined
  runName: string
  state: StateName
}

/** Makes transitions out of the entries of one journal, from its first on. Holds the names of its live runs. */
export class TransitionReader {
  readonly #flowRunId: string
  /** By their index in the journal. */
  readonly #live = new Map<number, Seen>()
  #submitted = 0
  /** Name of the root. */
  #flow = ''
  #tags: readonly string[] = []
  #node = ''
  #startedAt: number | undefined
  #position = 0

  constructor(flowRunId: string) {
    this.#flowRunId = flowRunId
  }

  /** Position of the last entry read. */
  get position(): number {
    return this.#position
  }

  /** When its flow run was started; undefined until its submission was read. */
  get startedAt(): number | undefined {
    return this.#startedAt
  }

  /** Those of the root. */
  get tags(): readonly string[] {
    return this.#tags
  }

  /** The next entry. @returns The transition that it records, if it records one. */
  read(entry: Entry): Transition | undefined {
    this.#position++
    if (entry.kind === 'claimed') this.#node = entry.node
    if (entry.kind === 'submitted') return this.#submit(entry)
    if (entry.kind !== 'transition') return undefined
    const seen = this.#live.get(entry.run)
    if (seen === undefined) return undefined
    const from = seen.state
    seen.state = entry.to
    seen.runName = entry.runName ?? seen.runName
    // A terminal state is never left, and the runs that a run submitted end before it.
    if (isTerminal(entry.to)) this.#live.delete(entry.run)
    return this.#transition(seen, { ...entry, from })
  }

  #submit(entry: SubmittedEntry): Transition {
    const index = this.#submitted++
    if (index === 0) {
      this.#flow = entry.name
      this.#startedAt = entry.at
      this.#tags = entry.tags ?? []
    }
    const { runId, runKind: kind, name, to, at } = entry
    const seen: Seen = {
      runId,
      kind,
      name,
      parentRunId: entry.parentRunId ?? this.#live.get(entry.parent)?.runId,
      runName: runNameOf(entry.runName, name, index),
      state: to,
    }
    this.#live.set(index, seen)
    return this.#transition(seen, { from: undefined, to, seq: 1, attempt: 1, at })
  }

  #transition(
    { runId, kind, name, parentRunId, runName }: Seen,
    step: {
      from: StateName | undefined
      to: StateName
      seq: number
      attempt: number
      at: number
      message?: string | undefined
      host?: string
    },
  ): Transition {
    const { from, to, seq, attempt, at, message, host } = step
    return {
      flowRunId: this.#flowRunId,
      runId,
      kind,
      flow: this.#flow,
      ...(kind === 'task' ? { task: name } : undefined),
      runName,
      from: from === undefined ? null : { type: stateTypes[from], name: from },
      to: { type: stateTypes[to], name: to, ...(message === undefined ? undefined : { message }) },
      seq,
      position: this.#position,
      attempt,
      at,
      startedAt: this.#startedAt ?? at,
      node: this.#node,
      ...(host === undefined ? undefined : { host }),
      ...(parentRunId === undefined ? undefined : { parentRunId }),
    }
  }
}

/** Whether two flow runs of one id, by when they were started, are not the same. Journals may keep whole milliseconds. */
export function isAnother(startedAt: number | undefined, known: number | undefined): boolean {
  return startedAt !== undefined && known !== undefined && Math.abs(startedAt - known) >= 1
}
