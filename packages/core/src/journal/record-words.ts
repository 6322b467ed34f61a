/** Words that records of a journal hold as an index. Append only: the index is on disk. */
import type { ChildEntry, DrawEntry, Entry, NoteEntry, PauseReason, SubmittedEntry } from './entries.ts'

/** A tuple that holds every word of a union once; anything else is a type error. */
type AllOf<Word extends string, List extends readonly Word[]> =
  Exclude<Word, List[number]> extends never ? List : never

const allOf =
  <Word extends string>() =>
  <const List extends readonly Word[]>(list: AllOf<Word, List>): readonly Word[] =>
    list

export const kindWords = allOf<Entry['kind']>()([
  'claimed',
  'submitted',
  'transition',
  'adopted',
  'child',
  'draw',
  'wait',
  'woken',
  'message',
  'note',
  'offered',
])

export const runKindWords = allOf<SubmittedEntry['runKind']>()(['flow', 'task'])
export const childWords = allOf<ChildEntry['event']>()(['started', 'ended', 'adopted'])
export const drawWords = allOf<DrawEntry['draw']>()(['now', 'random', 'uuid'])
export const messageWords = allOf<'signal' | 'input'>()(['signal', 'input'])
export const pauseWords = allOf<PauseReason>()(['input', 'wait'])
export const noteWords = allOf<NoteEntry['note']>()([
  'diverged',
  'not called again',
  'leftover',
  'forked',
  'imported',
])
