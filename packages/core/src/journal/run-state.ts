import { stateTypes, type RunState } from '../machines/states.ts'
import type { SubmittedEntry, TransitionEntry } from './entries.ts'

/** The state that an entry brought its run to. */
export function stateOf(entry: SubmittedEntry | TransitionEntry): RunState {
  const state = { type: stateTypes[entry.to], name: entry.to, at: entry.at }
  const message = entry.kind === 'transition' ? entry.message : undefined
  return message === undefined ? state : { ...state, message }
}
