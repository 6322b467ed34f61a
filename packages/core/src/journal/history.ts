import { InternalError } from '../base/errors.ts'
import { isRunning, isTerminal, type StateName } from '../machines/states.ts'
import type {
  ChildEntry,
  DrawEntry,
  Entry,
  Outcome,
  SubmittedEntry,
  MessageEntry,
  PauseReason,
  TransitionEntry,
  WaitEntry,
  WokenEntry,
} from './entries.ts'

/** What a journal says of one run. */
export interface RecordedRun {
  readonly index: number
  readonly submitted: SubmittedEntry
  /** The entry that brought its newest state. */
  last: SubmittedEntry | TransitionEntry
  stateName: StateName
  seq: number
  attempt: number
  tries: number
  recoveries: number
  /** The attempt with which the current try began; later ones were recoveries of it. */
  tryFrom: number
  /** When the body of the current try began, and how long the run has been paused since. */
  startedAt: number
  pausedMs: number
  /** What it waits for while it is Paused or Suspended. */
  pausedFor: PauseReason | undefined
  /** The name that it was given, by its options or its arguments. */
  runName: string | undefined
  outcome: Outcome | undefined
  /** The offer that its first attempt was part of, where it was handed out together with others. */
  offer: number | undefined
  /** Its place among the runs of the journal that ended, from 1; 0 while it has not. */
  endOrder: number
  /** What its body did, in order of the journal. */
  readonly acts: Act[]
}

/** Something that a body did, or was handed, at a position of the journal. */
export type Act =
  | { readonly kind: 'called'; readonly attempt: number; readonly run: RecordedRun }
  | { readonly kind: 'called flow'; readonly attempt: number; readonly child: RecordedChild }
  | { readonly kind: 'adopted'; readonly attempt: number; readonly run: RecordedRun }
  | { readonly kind: 'adopted flow'; readonly attempt: number; readonly child: RecordedChild }
  | { readonly kind: 'ended'; readonly run: RecordedRun }
  | { readonly kind: 'ended flow'; readonly child: RecordedChild }
  | { readonly kind: 'drew'; readonly attempt: number; readonly draw: DrawEntry }
  | { readonly kind: 'waited'; readonly attempt: number; readonly wait: RecordedWait }
  | { readonly kind: 'woken'; readonly wait: RecordedWait }

/** A subflow, as its caller's journal tells. */
export interface RecordedChild {
  readonly started: ChildEntry
  ended: boolean
  /** What its own journal says, once it was read; undefined also where it has none yet. */
  history: History | undefined
}

/** A wait of a body. */
export interface RecordedWait {
  readonly entry: WaitEntry
  /** How it ended; undefined while it has not. */
  woken: WokenEntry | undefined
  /** The message that ended it. */
  message: RecordedMessage | undefined
}

/** A message that arrived. */
export interface RecordedMessage {
  readonly entry: MessageEntry
  /** Number among the messages of its journal, from 1. */
  readonly number: number
  /** The attempt of the root that took it; 0 while none has. */
  takenBy: number
}

/** Everything that a journal says. */
export interface History {
  readonly flowRunId: string
  readonly runs: readonly RecordedRun[]
  readonly root: RecordedRun
  readonly epoch: number
  /** The node that claimed it last. */
  readonly node: string
  /** How many offers of several runs were made. */
  readonly offers: number
  readonly position: number
  readonly waits: readonly RecordedWait[]
  readonly messages: readonly RecordedMessage[]
}

/** Folds a journal into what it says of its runs. Pure: the same entries give the same history. */
export function foldJournal(flowRunId: string, entries: readonly Entry[]): History {
  const fold = new Fold()
  for (const entry of entries) fold.add(entry)
  const root = fold.runs[0]
  if (root === undefined) throw new InternalError(`the journal of ${flowRunId} has no root`)
  return {
    flowRunId,
    runs: fold.runs,
    root,
    epoch: fold.epoch,
    node: fold.node,
    offers: fold.offers,
    position: entries.length,
    waits: fold.waits,
    messages: fold.messages,
  }
}

class Fold {
  readonly runs: RecordedRun[] = []
  readonly waits: RecordedWait[] = []
  readonly messages: RecordedMessage[] = []
  readonly #children = new Map<string, RecordedChild>()
  epoch = 0
  node = ''
  offers = 0
  #ends = 0

  add(entry: Entry): void {
    switch (entry.kind) {
      case 'claimed':
        this.epoch = entry.epoch
        this.node = entry.node
        return
      case 'submitted':
        this.#submitted(entry)
        return
      case 'transition':
        this.#moved(entry)
        return
      case 'adopted': {
        const run = this.#run(entry.run)
        this.#run(run.submitted.parent).acts.push({ kind: 'adopted', attempt: entry.attempt, run })
        return
      }
      case 'child':
        this.#child(entry)
        return
      case 'draw':
        this.#run(entry.run).acts.push({ kind: 'drew', attempt: entry.attempt, draw: entry })
        return
      case 'wait': {
        const wait = { entry, woken: undefined, message: undefined }
        this.waits.push(wait)
        this.#run(entry.run).acts.push({ kind: 'waited', attempt: entry.attempt, wait })
        return
      }
      case 'woken':
        this.#woken(entry)
        return
      case 'message':
        this.messages.push({ entry, number: this.messages.length + 1, takenBy: 0 })
        return
      case 'offered':
        this.offers = entry.offer
        for (const run of entry.runs) this.#run(run).offer = entry.offer
        return
      case 'note':
        return
    }
  }

  #woken(entry: WokenEntry): void {
    const wait = this.waits[entry.wait - 1]
    if (wait === undefined) throw new InternalError(`wait ${entry.wait} ended before it began`)
    const run = this.#run(wait.entry.run)
    wait.woken = entry
    if (entry.message !== undefined) {
      const message = this.messages[entry.message - 1]
      if (message === undefined)
        throw new InternalError(`message ${entry.message} was taken before it arrived`)
      message.takenBy = wait.entry.attempt
      wait.message = message
    }
    run.acts.push({ kind: 'woken', wait })
  }

  #run(index: number): RecordedRun {
    const run = this.runs[index]
    if (run === undefined) throw new InternalError(`the journal names run ${index} before it was submitted`)
    return run
  }

  #submitted(entry: SubmittedEntry): void {
    const run: RecordedRun = {
      index: this.runs.length,
      submitted: entry,
      last: entry,
      stateName: entry.to,
      seq: 1,
      attempt: 1,
      tries: 0,
      recoveries: 0,
      tryFrom: 1,
      startedAt: 0,
      pausedMs: 0,
      pausedFor: undefined,
      runName: entry.runName,
      outcome: undefined,
      offer: undefined,
      endOrder: 0,
      acts: [],
    }
    this.runs.push(run)
    if (entry.parent === -1) return
    this.#run(entry.parent).acts.push({ kind: 'called', attempt: entry.parentAttempt, run })
  }

  /** Counts as the machine's actions do: a retry when a failed attempt leaves Running, a loss when its host was lost. */
  #moved(entry: TransitionEntry): void {
    const run = this.#run(entry.run)
    const from = run.stateName
    if (isRunning(from) && (entry.to === 'AwaitingRetry' || entry.to === 'Retrying')) run.tries++
    if (isRunning(from) && entry.to === 'Recovering') run.recoveries++
    if (entry.to === 'Retrying' && from !== 'Recovering') run.tryFrom = entry.attempt
    if ((from === 'Paused' || from === 'Suspended') && run.pausedFor !== 'wait')
      run.pausedMs += entry.at - run.last.at
    if (isRunning(entry.to) && from !== 'Recovering' && from !== 'Paused') {
      run.startedAt = entry.at
      run.pausedMs = 0
    }
    if (entry.to !== 'Suspended') run.pausedFor = entry.pausedFor
    run.runName = entry.runName ?? run.runName
    run.stateName = entry.to
    run.seq = entry.seq
    run.attempt = entry.attempt
    run.last = entry
    if (!isTerminal(entry.to)) return
    run.outcome = entry.outcome
    run.endOrder = ++this.#ends
    if (run.submitted.parent === -1) return
    this.#run(run.submitted.parent).acts.push({ kind: 'ended', run })
  }

  #child(entry: ChildEntry): void {
    const { acts } = this.#run(entry.parent)
    if (entry.event === 'started') {
      const child = { started: entry, ended: false, history: undefined }
      this.#children.set(entry.flowRunId, child)
      acts.push({ kind: 'called flow', attempt: entry.parentAttempt, child })
      return
    }
    const child = this.#children.get(entry.flowRunId)
    if (child === undefined) throw new InternalError(`subflow ${entry.flowRunId} ended before it was started`)
    if (entry.event === 'ended') {
      child.ended = true
      acts.push({ kind: 'ended flow', child })
    } else acts.push({ kind: 'adopted flow', attempt: entry.parentAttempt, child })
  }
}
