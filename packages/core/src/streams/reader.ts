import { runNameOf } from '../base/ids.ts'
import type { Entry, SubmittedEntry } from '../journal/entries.ts'
import { stateTypes, type StateName } from '../machines/states.ts'
import type { Transition } from './transition.ts'

/** What is held of a run: not its inputs, which may be large. */
interface Seen {
  readonly runId: string
  readonly kind: 'flow' | 'task'
  readonly name: string
  readonly parentRunId: string | undefined
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
      const seen = this.#seen(entry)
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

  #seen({ runId, runKind: kind, name, runName, parent, parentRunId, to: state }: SubmittedEntry): Seen {
    const index = this.#runs.length
    return {
      runId,
      kind,
      name,
      parentRunId: parentRunId ?? this.#runs[parent]?.runId,
      runName: runNameOf(runName, name, index),
      state,
    }
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
      flow: this.#runs[0]?.name ?? name,
      ...(kind === 'task' ? { task: name } : undefined),
      runName,
      from: from === undefined ? null : { type: stateTypes[from], name: from },
      to: { type: stateTypes[to], name: to, ...(message === undefined ? undefined : { message }) },
      seq,
      position: this.#position,
      attempt,
      at,
      node: this.#node,
      ...(host === undefined ? undefined : { host }),
      ...(parentRunId === undefined ? undefined : { parentRunId }),
    }
  }
}
