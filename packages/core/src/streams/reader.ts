import { runNameOf } from '../base/ids.ts'
import type { Entry, SubmittedEntry } from '../journal/entries.ts'
import { stateTypes, type StateName } from '../machines/states.ts'
import type { Transition } from './transition.ts'

interface Seen {
  readonly submitted: SubmittedEntry
  runName: string
  state: StateName
}

/** Makes transitions out of the entries of one journal, from its first on. */
export class TransitionReader {
  readonly #flowRunId: string
  readonly #runs: Seen[] = []
  #node = ''
  #position = 0

  constructor(flowRunId: string) {
    this.#flowRunId = flowRunId
  }

  /** Position of the last entry read. */
  get position(): number {
    return this.#position
  }

  /** The next entry. @returns The transition that it records, if it records one. */
  read(entry: Entry): Transition | undefined {
    this.#position++
    if (entry.kind === 'claimed') this.#node = entry.node
    if (entry.kind === 'submitted') {
      const index = this.#runs.length
      const runName = runNameOf(entry.runName, entry.name, index)
      const seen = { submitted: entry, runName, state: entry.to }
      this.#runs.push(seen)
      return this.#transition(seen, { from: undefined, to: entry.to, seq: 1, attempt: 1, at: entry.at })
    }
    if (entry.kind !== 'transition') return undefined
    const seen = this.#runs[entry.run]
    if (seen === undefined) return undefined
    const from = seen.state
    seen.state = entry.to
    seen.runName = entry.runName ?? seen.runName
    return this.#transition(seen, { ...entry, from })
  }

  #transition(
    { submitted, runName }: Seen,
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
    const root = this.#runs[0]?.submitted ?? submitted
    const parent = submitted.parentRunId ?? this.#runs[submitted.parent]?.submitted.runId
    const { from, to, seq, attempt, at, message, host } = step
    return {
      flowRunId: this.#flowRunId,
      runId: submitted.runId,
      kind: submitted.runKind,
      flow: root.name,
      ...(submitted.runKind === 'task' ? { task: submitted.name } : undefined),
      runName,
      from: from === undefined ? null : { type: stateTypes[from], name: from },
      to: { type: stateTypes[to], name: to, ...(message === undefined ? undefined : { message }) },
      seq,
      position: this.#position,
      attempt,
      at,
      node: this.#node,
      ...(host === undefined ? undefined : { host }),
      ...(parent === undefined ? undefined : { parentRunId: parent }),
    }
  }
}
