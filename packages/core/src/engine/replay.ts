import type { DrawEntry } from '../journal/entries.ts'
import type { Act, RecordedChild, RecordedRun, RecordedWait } from '../journal/history.ts'
import { isTerminal, stateTypes } from '../machines/states.ts'
import { keyOfCall } from '../runs/call-identity.ts'
import type { Handover, Place } from './handover.ts'

/** A call that the journal remembers: of a task, or of a subflow. */
export type RecordedCall =
  | {
      readonly kind: 'task'
      readonly run: RecordedRun
      readonly place: Place | undefined
      readonly adopt: boolean
    }
  | {
      readonly kind: 'flow'
      readonly child: RecordedChild
      readonly place: Place | undefined
      readonly adopt: boolean
    }

/** Computes the identity of a recorded call whose writer did not need one. */
export type IdentityOf = (run: RecordedRun) => string

/**
 * What a body's earlier executions did, for the next one to find again.
 *
 * In a *recovery* the calls of all attempts of the current try are there, ended or not, and what ended holds its place
 * in the handover. In a *retry* only what COMPLETED in an earlier try is there, with no place: it is handed over when it
 * is called again.
 */
export class Replay {
  readonly #calls = new Map<string, RecordedCall[]>()
  readonly #draws: DrawEntry[] = []
  readonly #waits: { readonly wait: RecordedWait; readonly place: Place | undefined }[] = []
  /** Version of the body that made the recorded calls. */
  readonly version: string
  #nextDraw = 0
  #nextWait = 0

  constructor(version: string) {
    this.version = version
  }

  /** What to find again in an attempt that goes on where a lost one was. Reserves the places in `handover`. */
  static recovery(run: RecordedRun, handover: Handover, identityOf: IdentityOf): Replay {
    const replay = new Replay(run.submitted.version)
    const ofThisTry = run.acts.filter((act) => isOfTry(act, run.tryFrom))
    const places = reservePlaces(ofThisTry, handover)
    for (const act of ofThisTry) replay.#remember(act, places, identityOf)
    replay.#rememberCompleted(run, run.tryFrom, places, identityOf)
    return replay
  }

  /** What to find again in `attempt`, the first of a new try. */
  static retry(run: RecordedRun, attempt: number, identityOf: IdentityOf): Replay {
    const replay = new Replay(run.submitted.version)
    replay.#rememberCompleted(run, attempt, new Map(), identityOf)
    return replay
  }

  #remember(act: Act, places: ReadonlyMap<unknown, Place>, identityOf: IdentityOf): void {
    if (act.kind === 'called' || act.kind === 'adopted')
      this.#addTask(act.run, places.get(act.run), identityOf)
    else if (act.kind === 'called flow' || act.kind === 'adopted flow')
      this.#addFlow(act.child, places.get(act.child), identityOf)
    else if (act.kind === 'drew') this.#draws.push(act.draw)
    else if (act.kind === 'waited') this.#waits.push({ wait: act.wait, place: places.get(act.wait) })
  }

  /** What earlier tries completed and the one that began with attempt `from` has not adopted yet. */
  #rememberCompleted(
    run: RecordedRun,
    from: number,
    places: ReadonlyMap<unknown, Place>,
    identityOf: IdentityOf,
  ): void {
    for (const act of run.acts) {
      if (isOfTry(act, from)) continue
      if (act.kind === 'called' && !places.has(act.run) && stateTypes[act.run.stateName] === 'COMPLETED') {
        this.#addTask(act.run, undefined, identityOf, true)
      }
      if (act.kind === 'called flow' && !places.has(act.child) && isCompleted(act.child)) {
        this.#addFlow(act.child, undefined, identityOf, true)
      }
    }
  }

  #addTask(run: RecordedRun, place: Place | undefined, identityOf: IdentityOf, adopt = false): void {
    const { name, version, identity } = run.submitted
    this.#add(keyOfCall({ kind: 'task', name, version }, identity ?? identityOf(run)), {
      kind: 'task',
      run,
      place,
      adopt,
    })
  }

  #addFlow(child: RecordedChild, place: Place | undefined, identityOf: IdentityOf, adopt = false): void {
    const { name, version } = child.started
    const identity =
      child.started.identity ?? (child.history === undefined ? '' : identityOf(child.history.root))
    this.#add(keyOfCall({ kind: 'flow', name, version }, identity), { kind: 'flow', child, place, adopt })
  }

  #add(key: string, call: RecordedCall): void {
    const calls = this.#calls.get(key)
    if (calls === undefined) this.#calls.set(key, [call])
    else calls.push(call)
  }

  /** Takes the first recorded call of this identity: identical calls are interchangeable. */
  take(kind: 'task' | 'flow', name: string, version: string, identity: string): RecordedCall | undefined {
    const key = keyOfCall({ kind, name, version }, identity)
    const calls = this.#calls.get(key)
    const call = calls?.shift()
    if (calls?.length === 0) this.#calls.delete(key)
    return call
  }

  /** The draws that are left, for a body that draws elsewhere. */
  get draws(): readonly DrawEntry[] {
    return this.#draws.slice(this.#nextDraw)
  }

  /** Ids of the runs of the calls that are left, by the key of the call. */
  get ids(): readonly (readonly [string, string])[] {
    return [...this.#calls].flatMap(([key, calls]) =>
      calls.map((call): readonly [string, string] => [
        key,
        call.kind === 'task' ? call.run.submitted.runId : call.child.started.flowRunId,
      ]),
    )
  }

  /** The next recorded draw; undefined when the body is past what is recorded. */
  takeDraw(): DrawEntry | undefined {
    return this.#draws[this.#nextDraw++]
  }

  /** The next recorded wait; undefined when the body is past what is recorded. */
  takeWait(): { readonly wait: RecordedWait; readonly place: Place | undefined } | undefined {
    return this.#waits[this.#nextWait++]
  }

  /** The body took another path: what it draws and waits for from here on is new. */
  forgetDraws(): void {
    this.#nextDraw = Number.POSITIVE_INFINITY
    this.#nextWait = Number.POSITIVE_INFINITY
  }

  /** Recorded calls of unfinished runs that were not made again. */
  takeUncalled(): RecordedCall[] {
    const left: RecordedCall[] = []
    for (const calls of this.#calls.values()) {
      for (const call of calls) if (!call.adopt && !isOver(call)) left.push(call)
    }
    this.#calls.clear()
    return left
  }
}

/** Whether an act belongs to the try that began with attempt `tryFrom`; ends belong to that of their call. */
function isOfTry(act: Act, tryFrom: number): boolean {
  return !('attempt' in act) || act.attempt >= tryFrom
}

/** Keeps the places of what the try was handed, in the order of the journal. */
function reservePlaces(acts: readonly Act[], handover: Handover): ReadonlyMap<unknown, Place> {
  const called = new Set<unknown>()
  const places = new Map<unknown, Place>()
  for (const act of acts) {
    if (act.kind === 'called') called.add(act.run)
    else if (act.kind === 'called flow') called.add(act.child)
    else if (act.kind === 'waited') called.add(act.wait)
    const end = endOf(act)
    if (end !== undefined && (end.adopted || called.has(end.of)))
      places.set(end.of, handover.reserve(end.words))
  }
  return places
}

function isCompleted({ ended, history }: RecordedChild): boolean {
  return ended && history !== undefined && stateTypes[history.root.stateName] === 'COMPLETED'
}

function isOver(call: RecordedCall): boolean {
  return call.kind === 'task' ? isTerminal(call.run.stateName) : call.child.ended
}

interface End {
  readonly of: RecordedRun | RecordedChild | RecordedWait
  readonly words: string
  readonly adopted: boolean
}

/** What an act handed to the body, if anything. */
function endOf(act: Act): End | undefined {
  switch (act.kind) {
    case 'ended':
    case 'adopted':
      return {
        of: act.run,
        words: `the end of task ${act.run.submitted.name} (${act.run.submitted.runId})`,
        adopted: act.kind === 'adopted',
      }
    case 'ended flow':
    case 'adopted flow':
      return {
        of: act.child,
        words: `the end of subflow ${act.child.started.name} (${act.child.started.flowRunId})`,
        adopted: act.kind === 'adopted flow',
      }
    case 'woken':
      return { of: act.wait, words: wordsOf(act.wait), adopted: false }
    default:
      return undefined
  }
}

function wordsOf({ entry: { wait, for: what, name } }: RecordedWait): string {
  if (what === undefined) return `the end of wait ${wait}`
  return what === 'input' ? `an input (wait ${wait})` : `signal ${name ?? ''} (wait ${wait})`
}
