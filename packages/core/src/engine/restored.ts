import type { Outcome, SubmittedEntry, TransitionEntry } from '../journal/entries.ts'
import type { RunContextData } from '../machines/run-machine.ts'
import type { StateName } from '../machines/states.ts'

/** What a run goes on from that a journal remembers. */
export interface Restored {
  readonly context: RunContextData
  readonly stateName: StateName
  readonly seq: number
  readonly entry: SubmittedEntry | TransitionEntry
  readonly outcome: Outcome | undefined
  readonly endOrder: number
  readonly runName: string | undefined
  readonly tags: readonly string[] | undefined
}
