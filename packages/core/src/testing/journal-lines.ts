import { inspect } from 'node:util'
import { runNameOf } from '../base/ids.ts'
import type { Entry, SubmittedEntry, TransitionEntry, WaitEntry } from '../journal/entries.ts'
import { decodeValue } from '../values/codec.ts'
import { toError } from '../values/failure.ts'

/** What was stored, and the deaths between, in the order in which they happened. */
export type Happened =
  | { readonly flowRunId: string; readonly entry: Entry }
  /** The process of this number, from 1, began or died. */
  | { readonly began: number }
  | { readonly died: number; readonly how: string }

/** Lines for people: all journals of a run, entry by entry, with what happened to its processes. */
export function journalLines(story: readonly Happened[]): string[] {
  const journals = new Map<string, Names>()
  let entries = 0
  return story.map((happened) => {
    if ('began' in happened) return `process ${happened.began} begins`
    if ('died' in happened) return `process ${happened.died} dies: ${happened.how}`
    const { flowRunId, entry } = happened
    let names = journals.get(flowRunId)
    if (names === undefined) journals.set(flowRunId, (names = new Names(flowRunId)))
    return `  ${`${++entries}`.padStart(4)}  ${names.line(entry)}`
  })
}

/** The runs of one journal by their index. */
class Names {
  readonly #runs: string[] = []
  readonly #waits = new Map<number, string>()
  readonly #flowRunId: string

  constructor(flowRunId: string) {
    this.#flowRunId = flowRunId
  }

  line(entry: Entry): string {
    switch (entry.kind) {
      case 'claimed':
        return `journal ${this.#flowRunId} claimed by ${entry.node}, epoch ${entry.epoch}`
      case 'submitted':
        return this.#submitted(entry)
      case 'transition':
        return this.#transition(entry)
      case 'adopted':
        return `${this.#name(entry.run)} taken over by attempt ${entry.attempt} of its caller`
      case 'child':
        return `${this.#name(entry.parent)}: subflow ${entry.name} (${entry.flowRunId}) ${entry.event}`
      case 'draw':
        return `${this.#name(entry.run)} drew ${entry.draw}: ${short(entry.value)}`
      case 'wait':
        this.#waits.set(entry.wait, this.#name(entry.run))
        return `${this.#name(entry.run)} waits ${waitsFor(entry)}`
      case 'woken': {
        const ended = entry.message === undefined ? 'its time has come' : `message ${entry.message} came`
        return `${this.#waits.get(entry.wait) ?? 'a body'} waits no more: ${ended}`
      }
      case 'message':
        return `message arrived: ${entry.for} ${entry.name ?? ''} ${stored(entry.payload)}`
      case 'offered':
        return `offer ${entry.offer} of ${entry.runs.map((run) => this.#name(run)).join(', ')}`
      case 'note':
        return `note on ${this.#name(entry.run)}: ${entry.note}: ${entry.message}`
    }
  }

  #submitted({ name, runName, parent, to, inputs }: SubmittedEntry): string {
    const run = runNameOf(runName, name, this.#runs.length)
    this.#runs.push(run)
    const by = parent === -1 ? '' : ` by ${this.#name(parent)}`
    return `${run} submitted${by}, ${to}: ${stored(inputs)}`
  }

  #transition({ run, runName, to, attempt, message, outcome }: TransitionEntry): string {
    if (runName !== undefined) this.#runs[run] = runName
    const ended =
      outcome === undefined ? '' : ` ${'value' in outcome ? stored(outcome.value) : failed(outcome.failure)}`
    const why = message === undefined ? '' : `: ${message}`
    return `${this.#name(run)} → ${to}, attempt ${attempt}${why}${ended}`
  }

  #name(run: number): string {
    return this.#runs[run] ?? `run ${run}`
  }
}

function waitsFor({ for: what, name, deadline }: WaitEntry): string {
  const until = deadline === undefined ? '' : ` until ${new Date(deadline).toISOString()}`
  return `${what === undefined ? '' : `for ${what} ${name ?? ''}`}${until}`.trim()
}

/** Values are stored in bytes, or as they are. */
function stored(value: unknown): string {
  if (!(value instanceof Uint8Array)) return short(value)
  try {
    // Only for people: what the call has in the place of a future is shown by its tag.
    return short(decodeValue(value, { revive: (tag, data) => ({ [tag]: data }) }))
  } catch (error) {
    return `(${value.length} bytes that can't be decoded: ${String(error)})`
  }
}

function failed(failure: unknown): string {
  return failure instanceof Error
    ? String(failure)
    : String(toError(failure as Parameters<typeof toError>[0]))
}

function short(value: unknown): string {
  const text = inspect(value, {
    depth: 3,
    breakLength: Number.POSITIVE_INFINITY,
    compact: true,
    maxArrayLength: 20,
    maxStringLength: 200,
  })
  return text.length <= 300 ? text : `${text.slice(0, 300)}…`
}
