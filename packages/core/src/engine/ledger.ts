import { TroupeError } from '../base/errors.ts'
import { taskRunPrefix } from '../base/ids.ts'
import type { ClaimedEntry, Entry, SubmittedEntry, TransitionEntry } from '../journal/entries.ts'
import type { Append, Journal } from '../ports/journal.ts'
import type { Clock } from '../ports/clock.ts'
import { leaveRun } from '../base/context-store.ts'
import type { InstrumentedAppends } from './instrumented.ts'

/** What an entry is about; told when the entry is safe. */
export interface CommitSubject {
  committed(entry: Entry, position: number): void
}

/** What a ledger needs of the engine. */
export interface LedgerHost {
  readonly journal: Journal
  /** Appends to the journal, when this engine may. */
  append(append: Append): ReturnType<Journal['append']>
  readonly clock: Clock
  readonly node: string
  readonly instruments: InstrumentedAppends | undefined
  /**
   * Number of the turn that has just begun, in which no body has gone on yet; 0 at every other moment. What comes of an
   * append that is answered at once may be handed over in the very turn that made it.
   */
  freshTurn: number
  /** Increasing numbers: for leases, the order of submission, the order of ends. */
  next(): number
  /** A run's change of state is safe, and may be shown. */
  shown(
    ledger: Ledger,
    subject: CommitSubject,
    entry: SubmittedEntry | TransitionEntry,
    position: number,
  ): void
  /** Something went wrong that no caller hears of. */
  report(error: unknown, run: undefined): void
  /**
   * Nothing more is written: the journal was taken over by another writer, or exists already where it was to be created.
   *
   * @param tooLarge - Given where it can't take what was to be appended, however often.
   */
  refused(ledger: Ledger, tooLarge?: unknown): void
  /** An append was not answered, or answered with an error; it is repeated. */
  stalled(ledger: Ledger, error: unknown): void
  /** Such an append was answered after all, or is not waited for any more. */
  goesOn(ledger: Ledger): void
}

/** How long to wait before an append that failed is repeated: doubling from 10 ms to 5 s. */
const firstPauseMs = 10
const longestPauseMs = 5_000

/** For how many entries, and turns, an append waits at most. */
const mostGathered = 128

const never = (): boolean => false

/**
 * The writing end of one journal: gathers entries, appends them in groups, one append in flight, and only then lets
 * out what they say. An entry gets its position by the order of `record`.
 */
export class Ledger<Host extends LedgerHost = LedgerHost> {
  readonly flowRunId: string
  /** What the ids of task runs in this journal begin with. */
  readonly idPrefix: string
  readonly host: Host
  epoch: number
  /** Position of the newest entry that is safe. Moves only by this ledger's own appends. */
  position: number
  /** Runs submitted so far; the next run's index. */
  runs: number
  /** Waits of bodies so far. */
  waits = 0
  /** Offers of several runs so far. */
  offers = 0
  /** When the flow run was started: wall time. */
  startedAt = 0
  /** Hash of the root's name and arguments, where it was started with an id or a key. */
  parametersHash: string | undefined
  #entries: Entry[] = []
  #subjects: (CommitSubject | undefined)[] = []
  #scheduled = false
  #held: boolean
  #lost = false
  #inFlight = 0
  readonly #waits: { readonly position: number; readonly go: () => void }[] = []
  /** What to call before the next append is made of what was recorded. */
  #beforeWriting: (() => void)[] = []
  /** Turns for which the next append has waited for what comes. */
  #waited = 0
  /** Whether the body is being handed values, one a turn: it may be about to submit more. */
  isFed: () => boolean = never
  #pauseMs = firstPauseMs
  #isStalled = false

  /**
   * @param held - Whether to write nothing before `release`.
   * @param from - Where an existing journal stands, for a recovered run.
   */
  constructor(
    host: Host,
    flowRunId: string,
    {
      held = false,
      from,
    }: {
      held?: boolean
      from?: { epoch: number; position: number; runs: number; waits: number; offers: number }
    } = {},
  ) {
    this.host = host
    this.flowRunId = flowRunId
    this.idPrefix = taskRunPrefix(flowRunId)
    this.#held = held
    this.epoch = from?.epoch ?? 0
    this.position = from?.position ?? 0
    this.runs = from?.runs ?? 0
    this.waits = from?.waits ?? 0
    this.offers = from?.offers ?? 0
  }

  /** Whether another writer owns the journal now; nothing is written any more. */
  get lost(): boolean {
    return this.#lost
  }

  /** Position of the newest entry recorded, safe or not. */
  get newest(): number {
    return this.position + this.#inFlight + this.#entries.length
  }

  /** Takes the journal: every later append of an older epoch is refused. */
  claim(): void {
    this.epoch++
    const entry: ClaimedEntry = {
      kind: 'claimed',
      at: this.host.clock.now(),
      epoch: this.epoch,
      node: this.host.node,
    }
    this.record(entry, undefined)
  }

  /** Adds an entry. `subject` is told when it is safe, and in order of position. */
  record(entry: Entry, subject: CommitSubject | undefined): void {
    if (this.#lost) return
    this.#entries.push(entry)
    this.#subjects.push(subject)
    this.#schedule()
  }

  /** Calls `go` when everything recorded so far is safe; at once where it is. */
  whenSafe(go: () => void): void {
    const position = this.newest
    if (this.#lost || position === this.position) go()
    else this.#waits.push({ position, go })
  }

  /**
   * Calls `go` right before what was recorded so far is written: what it records goes along with that. Where nothing waits to be
   * written, in the next turn.
   */
  whenWriting(go: () => void): void {
    if (this.#entries.length > 0) this.#beforeWriting.push(go)
    else this.host.clock.turn(go)
  }

  /** Ends the holding back. */
  release(): void {
    this.#held = false
    if (this.#entries.length > 0) this.#schedule()
  }

  /** Writes nothing any more: another node goes on, or the engine is closed. */
  abandon(): void {
    this.#lost = true
    this.#entries = []
    this.#subjects = []
    this.#inFlight = 0
    this.#goOn()
    // Those who wait look again, and see that the run has left.
    for (const go of this.#beforeWriting.splice(0)) go()
    for (const { go } of this.#waits.splice(0)) go()
  }

  #goOn(): void {
    if (this.#isStalled) this.host.goesOn(this)
    this.#isStalled = false
  }

  /** In a turn of its own, so that all that happens in this one goes with one append. */
  #schedule(): void {
    if (this.#scheduled || this.#held) return
    this.#scheduled = true
    this.host.clock.turn(this.#flush)
  }

  readonly #flush = (): void => {
    // What comes of it, as what observers do, belongs to no body.
    leaveRun()
    const { instruments } = this.host
    if (instruments === undefined) this.#write()
    else instruments.outside(() => this.#write())
  }

  #write(): void {
    if (this.#lost || this.#entries.length === 0) {
      this.#scheduled = false
      return
    }
    if (this.#isGathering()) {
      this.#waited++
      this.host.clock.turn(this.#flush)
      return
    }
    this.#waited = 0
    this.#callBeforeWriting()
    const entries = this.#entries
    const subjects = this.#subjects
    this.#entries = []
    this.#subjects = []
    this.#inFlight = entries.length
    this.#append({ flowRunId: this.flowRunId, expected: this.position, epoch: this.epoch, entries }, subjects)
  }

  /** Runs that go to other nodes go together, and so do their submissions. */
  #isGathering(): boolean {
    const isFull = this.#entries.length >= mostGathered || this.#waited >= mostGathered
    return this.#beforeWriting.length > 0 && !isFull && this.isFed()
  }

  #callBeforeWriting(): void {
    if (this.#beforeWriting.length === 0) return
    const calls = this.#beforeWriting
    this.#beforeWriting = []
    for (const go of calls) {
      try {
        go()
      } catch (error) {
        this.host.report(error, undefined)
      }
    }
  }

  #append(append: Append, subjects: readonly (CommitSubject | undefined)[]): void {
    const { instruments, clock } = this.host
    const since = instruments === undefined ? 0 : clock.monotonic()
    const answered = (answer: Awaited<ReturnType<Journal['append']>>): void => {
      leaveRun()
      instruments?.appended(append.entries.length, since, answer === undefined)
      if (this.#lost) return
      if (answer === undefined) this.#committed(append.entries, subjects)
      else {
        this.abandon()
        this.host.refused(this)
      }
    }
    let answer: ReturnType<Journal['append']>
    try {
      answer = this.host.append(append)
    } catch (error) {
      this.#repeat(append, subjects, error)
      return
    }
    if (answer instanceof Promise) {
      answer.then(answered, (error: unknown) => this.#repeat(append, subjects, error))
      return
    }
    this.host.freshTurn = this.host.next()
    answered(answer)
    this.host.freshTurn = 0
  }

  /** The same entries at the same position: where the first try was stored after all, the journal knows them. */
  #repeat(append: Append, subjects: readonly (CommitSubject | undefined)[], error: unknown): void {
    if (this.#lost) return
    if (TroupeError.is(error, 'PAYLOAD_TOO_LARGE')) {
      this.abandon()
      this.host.refused(this, error)
      return
    }
    this.#isStalled = true
    this.host.stalled(this, error)
    this.host.instruments?.appendFailed(error)
    const { clock } = this.host
    clock.at(clock.now() + this.#pauseMs, () => {
      if (!this.#lost) this.#append(append, subjects)
    })
    this.#pauseMs = Math.min(this.#pauseMs * 2, longestPauseMs)
  }

  #committed(entries: readonly Entry[], subjects: readonly (CommitSubject | undefined)[]): void {
    this.#pauseMs = firstPauseMs
    this.#goOn()
    const first = this.position + 1
    this.position += entries.length
    this.#inFlight = 0
    this.#scheduled = false
    if (this.#entries.length > 0) this.#schedule()
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]
      const subject = subjects[i]
      if (entry === undefined || subject === undefined) continue
      try {
        if (entry.kind === 'submitted' || entry.kind === 'transition')
          this.host.shown(this, subject, entry, first + i)
        subject.committed(entry, first + i)
      } catch (error) {
        // The entry is stored whatever comes of it, and the others are to be told of theirs.
        this.host.report(error, undefined)
      }
    }
    while (this.#waits[0] !== undefined && this.#waits[0].position <= this.position) this.#waits.shift()?.go()
  }
}
