/** Entries to the tree of records.ts. */
import { hash } from 'node:crypto'
import { InternalError } from '../base/errors.ts'
import { stateNames, type StateName } from '../machines/states.ts'
import type { Failure } from '../values/failure.ts'
import { isSafeText, type Node } from '../values/format.ts'
import type { Entry, StoredValue, SubmittedEntry, TransitionEntry } from './entries.ts'
import {
  childWords,
  drawWords,
  kindWords,
  messageWords,
  noteWords,
  pauseWords,
  runKindWords,
} from './record-words.ts'

type Fields = (Node | undefined)[]

const stateIndexes = indexesOf(stateNames) as Readonly<Record<StateName, number>>
const kinds = indexesOf(kindWords)
const runKinds = indexesOf(runKindWords)
const events = indexesOf(childWords)
const draws = indexesOf(drawWords)
const messages = indexesOf(messageWords)
const pauses = indexesOf(pauseWords)
const notes = indexesOf(noteWords)

function indexesOf<Word extends string>(words: readonly Word[]): Readonly<Record<Word, number>> {
  return Object.fromEntries(words.map((word, index) => [word, index])) as Record<Word, number>
}

/** One writing; used once. */
export class RecordWriter {
  readonly tail: Uint8Array[] = []
  /** Values that go into blobs, by name. */
  readonly large = new Map<string, Uint8Array>()
  readonly #largeValue: number
  #base = 0

  constructor(largeValue: number) {
    this.#largeValue = largeValue
  }

  write(entries: readonly Entry[]): Node {
    this.#base = entries[0]?.at ?? 0
    const tree: Node[] = [this.#base]
    for (const entry of entries) {
      const fields = this.#fields(entry)
      let length = fields.length
      while (fields[length - 1] === undefined) length--
      fields.length = length
      for (let i = 0; i < length; i++) fields[i] ??= null
      tree.push(fields as Node[])
    }
    return tree
  }

  /** What goes into the tail goes there in the order of the fields. */
  #fields(entry: Entry): Fields {
    const kind = kinds[entry.kind]
    const at = this.#time(entry.at)
    switch (entry.kind) {
      case 'claimed':
        return [kind, at, entry.epoch, this.#text(entry.node)]
      case 'submitted':
        return this.#submitted(entry, [kind, at])
      case 'transition':
        return this.#transition(entry, [kind, at])
      case 'adopted':
        return [kind, at, entry.run, entry.attempt]
      case 'child': {
        const called = [this.#text(entry.flowRunId), entry.parent, entry.parentAttempt]
        const as = [this.#text(entry.name), this.#text(entry.version), this.#text(entry.identity)]
        return [kind, at, events[entry.event], ...called, ...as]
      }
      case 'draw': {
        const value = typeof entry.value === 'string' ? this.#text(entry.value) : numberNode(entry.value)
        return [kind, at, entry.run, entry.attempt, draws[entry.draw], value]
      }
      case 'wait': {
        const ends = entry.for === undefined ? undefined : messages[entry.for]
        const until = [this.#text(entry.name), this.#time(entry.deadline)]
        return [kind, at, entry.run, entry.attempt, entry.wait, ends, ...until]
      }
      case 'woken':
        return [kind, at, entry.wait, entry.message]
      case 'message': {
        const named = [this.#text(entry.id), this.#text(entry.name)]
        return [kind, at, messages[entry.for], ...named, this.#value(entry.payload)]
      }
      case 'offered':
        return [kind, at, entry.offer, [...entry.runs]]
      case 'note':
        return [kind, at, entry.run, notes[entry.note], this.#text(entry.message)]
    }
  }

  #submitted(entry: SubmittedEntry, fields: Fields): Fields {
    fields.push(
      runKinds[entry.runKind],
      this.#text(entry.runId),
      entry.parent,
      entry.parentAttempt,
      this.#text(entry.name),
      this.#text(entry.version),
      stateIndexes[entry.to],
      this.#value(entry.inputs),
      this.#text(entry.identity),
      this.#text(entry.runName),
      entry.tags?.map((tag) => this.#text(tag) as Node),
      this.#text(entry.parentRunId),
      this.#text(entry.parametersHash),
      entry.options === undefined ? undefined : this.#value(entry.options),
      this.#text(entry.traceparent),
      this.#text(entry.tracestate),
    )
    return fields
  }

  #transition(entry: TransitionEntry, fields: Fields): Fields {
    const { outcome } = entry
    fields.push(
      entry.run,
      stateIndexes[entry.to],
      entry.seq,
      entry.attempt,
      this.#text(entry.message),
      outcome !== undefined && 'value' in outcome ? this.#value(outcome.value) : undefined,
      outcome !== undefined && 'failure' in outcome ? this.#failure(outcome.failure) : undefined,
      this.#text(entry.runName),
      this.#text(entry.host),
      this.#time(entry.until),
      entry.pausedFor === undefined ? undefined : pauses[entry.pausedFor],
    )
    return fields
  }

  #failure(stored: StoredValue): Node {
    if (!isFailure(stored)) throw unencoded(stored)
    const { name, message, code, stack, encoded } = stored
    const fields = [this.#text(name), this.#text(message), this.#text(code), this.#text(stack)]
    return [...fields, encoded === undefined ? undefined : this.#value(encoded)].map((field) => field ?? null)
  }

  #time(at: number): Node
  #time(at: number | undefined): Node | undefined
  #time(at: number | undefined): Node | undefined {
    if (at === undefined) return undefined
    const since = at - this.#base
    return this.#base + since === at ? since : [at]
  }

  #text(text: string | undefined): Node | undefined {
    if (text === undefined || isSafeText(text)) return text
    const bytes = Buffer.from(text, 'utf16le')
    this.tail.push(bytes)
    return [bytes.length]
  }

  #value(value: StoredValue): Node {
    if (!(value instanceof Uint8Array)) throw unencoded(value)
    if (value.length <= this.#largeValue) {
      this.tail.push(value)
      return value.length
    }
    const name = hash('sha256', value)
    this.large.set(name, value)
    this.tail.push(Buffer.from(name, 'hex'))
    return [value.length]
  }
}

/** Minus zero would lose its sign in MessagePack. */
const negativeZero: Node = []

function numberNode(value: number): Node {
  return Object.is(value, -0) ? negativeZero : value
}

function isFailure(stored: StoredValue): stored is Failure {
  if (typeof stored !== 'object' || stored === null) return false
  const { name, message, code, stack } = stored as Record<keyof Failure, unknown>
  return (
    typeof name === 'string' &&
    typeof message === 'string' &&
    (code === undefined || typeof code === 'string') &&
    (stack === undefined || typeof stack === 'string')
  )
}

function unencoded(value: unknown): InternalError {
  return new InternalError(`an entry for a journal that encodes holds a value that is not: ${typeof value}`)
}
