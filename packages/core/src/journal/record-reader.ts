/** The tree of records.ts to entries: the way back from record-writer.ts. */
import { stateNames } from '../machines/states.ts'
import type { Failure } from '../values/failure.ts'
import type { Entry, Outcome, SubmittedEntry, TransitionEntry } from './entries.ts'
import { malformed } from './envelope.ts'
import {
  childWords,
  drawWords,
  kindWords,
  messageWords,
  noteWords,
  pauseWords,
  runKindWords,
} from './record-words.ts'

type Fields = readonly unknown[]
type Mutable<T> = { -readonly [Key in keyof T]: T[Key] }

/** Gives the value that is kept in a blob. */
export type LargeValues = (name: string, size: number) => Uint8Array

/** One reading; used once. */
export class RecordReader {
  readonly #tail: Uint8Array
  readonly #large: LargeValues
  #taken = 0
  #base = 0

  constructor(tail: Uint8Array, large: LargeValues) {
    this.#tail = tail
    this.#large = large
  }

  read(tree: unknown): Entry[] {
    const nodes = list(tree)
    this.#base = number(nodes[0])
    const entries: Entry[] = []
    for (let i = 1; i < nodes.length; i++) {
      const fields = list(nodes[i])
      const kind = word(kindWords, fields[0])
      if (fields.length > lengths[kind]) throw wrong('more fields than there are')
      entries.push(this.#entry(kind, this.#time(fields[1]), fields))
    }
    if (this.#taken !== this.#tail.length) throw wrong('more bytes than are told of')
    return entries
  }

  #entry(kind: Entry['kind'], at: number, fields: Fields): Entry {
    switch (kind) {
      case 'claimed':
        return { kind, at, epoch: number(fields[2]), node: this.#text(fields[3]) }
      case 'submitted':
        return this.#submitted(at, fields)
      case 'transition':
        return this.#transition(at, fields)
      case 'adopted':
        return { kind, at, run: number(fields[2]), attempt: number(fields[3]) }
      case 'child':
        return {
          kind,
          at,
          event: word(childWords, fields[2]),
          flowRunId: this.#text(fields[3]),
          parent: number(fields[4]),
          parentAttempt: number(fields[5]),
          name: this.#text(fields[6]),
          version: this.#text(fields[7]),
          identity: this.#textOrNone(fields[8]),
        }
      case 'draw': {
        const draw = word(drawWords, fields[4])
        const value = this.#drawn(fields[5])
        return { kind, at, run: number(fields[2]), attempt: number(fields[3]), draw, value }
      }
      case 'wait':
        return {
          kind,
          at,
          run: number(fields[2]),
          attempt: number(fields[3]),
          wait: number(fields[4]),
          for: fields[5] == null ? undefined : word(messageWords, fields[5]),
          name: this.#textOrNone(fields[6]),
          deadline: this.#timeOrNone(fields[7]),
        }
      case 'woken':
        return {
          kind,
          at,
          wait: number(fields[2]),
          message: fields[3] == null ? undefined : number(fields[3]),
        }
      case 'message':
        return {
          kind,
          at,
          for: word(messageWords, fields[2]),
          id: this.#text(fields[3]),
          name: this.#textOrNone(fields[4]),
          payload: this.#value(fields[5]),
        }
      case 'offered':
        return { kind, at, offer: number(fields[2]), runs: list(fields[3]).map(number) }
      case 'note': {
        const note = word(noteWords, fields[3])
        return { kind, at, run: number(fields[2]), note, message: this.#text(fields[4]) }
      }
    }
  }

  // What is in the tail is taken in the order of the fields, which is that of the writer.

  #submitted(at: number, fields: Fields): Entry {
    const runKind = word(runKindWords, fields[2])
    const runId = this.#text(fields[3])
    const name = this.#text(fields[6])
    const version = this.#text(fields[7])
    const to = word(stateNames, fields[8])
    if (to !== 'Pending' && to !== 'Scheduled') throw wrong('a first state that is none')
    const inputs = this.#value(fields[9])
    const identity = this.#textOrNone(fields[10])
    const runName = this.#textOrNone(fields[11])
    const tags = fields[12] == null ? undefined : list(fields[12]).map((tag) => this.#text(tag))
    const parentRunId = this.#textOrNone(fields[13])
    const parametersHash = this.#textOrNone(fields[14])
    const options = fields[15] == null ? undefined : this.#value(fields[15])
    const traceparent = this.#textOrNone(fields[16])
    const tracestate = this.#textOrNone(fields[17])
    const entry: Mutable<SubmittedEntry> = {
      kind: 'submitted',
      at,
      runKind,
      runId,
      parent: number(fields[4]),
      parentAttempt: number(fields[5]),
      name,
      version,
      runName,
      identity,
      inputs,
      to,
      tags,
    }
    if (parentRunId !== undefined) entry.parentRunId = parentRunId
    if (parametersHash !== undefined) entry.parametersHash = parametersHash
    if (options !== undefined) entry.options = options
    if (traceparent !== undefined) entry.traceparent = traceparent
    if (tracestate !== undefined) entry.tracestate = tracestate
    return entry
  }

  #transition(at: number, fields: Fields): Entry {
    const message = this.#textOrNone(fields[6])
    const outcome = this.#outcome(fields[7], fields[8])
    const runName = this.#textOrNone(fields[9])
    const host = this.#textOrNone(fields[10])
    const until = this.#timeOrNone(fields[11])
    const to = word(stateNames, fields[3])
    const entry: Mutable<TransitionEntry> = {
      kind: 'transition',
      at,
      run: number(fields[2]),
      to,
      seq: number(fields[4]),
      attempt: number(fields[5]),
      message,
      outcome,
    }
    if (until !== undefined) entry.until = until
    if (runName !== undefined) entry.runName = runName
    if (host !== undefined) entry.host = host
    if (fields[12] != null) entry.pausedFor = word(pauseWords, fields[12])
    return entry
  }

  #outcome(value: unknown, failure: unknown): Outcome | undefined {
    if (value != null) return { value: this.#value(value) }
    return failure == null ? undefined : { failure: this.#failure(list(failure)) }
  }

  #failure(fields: Fields): Failure {
    if (fields.length !== 5) throw wrong('a failure that is none')
    const failure: Mutable<Failure> = { name: this.#text(fields[0]), message: this.#text(fields[1]) }
    const code = this.#textOrNone(fields[2])
    const stack = this.#textOrNone(fields[3])
    if (code !== undefined) failure.code = code
    if (stack !== undefined) failure.stack = stack
    if (fields[4] != null) failure.encoded = this.#value(fields[4])
    return failure
  }

  #time(node: unknown): number {
    return typeof node === 'number' ? this.#base + node : number(only(node))
  }

  #timeOrNone(node: unknown): number | undefined {
    return node == null ? undefined : this.#time(node)
  }

  #text(node: unknown): string {
    if (typeof node === 'string') return node
    const bytes = this.#take(only(node))
    if (bytes.length % 2 !== 0) throw wrong('half a character')
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf16le')
  }

  #textOrNone(node: unknown): string | undefined {
    return node == null ? undefined : this.#text(node)
  }

  #drawn(node: unknown): number | string {
    if (typeof node === 'number') return node
    return Array.isArray(node) && node.length === 0 ? -0 : this.#text(node)
  }

  #value(node: unknown): Uint8Array {
    if (typeof node === 'number') return this.#take(node)
    const size = count(only(node))
    return this.#large(Buffer.from(this.#take(32)).toString('hex'), size)
  }

  #take(length: unknown): Uint8Array {
    const start = this.#taken
    this.#taken += count(length)
    if (this.#taken > this.#tail.length) throw wrong('fewer bytes than are told of')
    return this.#tail.subarray(start, this.#taken)
  }
}

/** How many fields an entry of each kind may have. */
const lengths: Readonly<Record<Entry['kind'], number>> = {
  claimed: 4,
  submitted: 18,
  transition: 13,
  adopted: 4,
  child: 9,
  draw: 6,
  wait: 8,
  woken: 4,
  message: 6,
  note: 5,
  offered: 4,
}

function list(node: unknown): readonly unknown[] {
  if (!Array.isArray(node)) throw wrong('no list where one must be')
  return node
}

function only(node: unknown): unknown {
  const items = list(node)
  if (items.length !== 1) throw wrong('a list of a wrong length')
  return items[0]
}

function number(node: unknown): number {
  if (typeof node !== 'number') throw wrong('no number where one must be')
  return node
}

function count(node: unknown): number {
  const value = number(node)
  if (!Number.isSafeInteger(value) || value < 0) throw wrong('no count where one must be')
  return value
}

function word<Word extends string>(words: readonly Word[], node: unknown): Word {
  const found = typeof node === 'number' ? words[node] : undefined
  if (found === undefined) throw wrong('a word that does not exist')
  return found
}

function wrong(holds: string): Error {
  return malformed('a record of a journal', `it holds ${holds}`)
}
