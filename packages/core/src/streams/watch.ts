import type { Observable, Observer } from 'rxjs'
import { JournalError, UsageError } from '../base/errors.ts'
import { flowRunIdOf } from '../base/ids.ts'
import { isTerminal } from '../machines/states.ts'
import type { Entry } from '../journal/entries.ts'
import type { Journal, JournalSummary } from '../ports/journal.ts'
import { GuardedObservable, type ReportError } from './hub.ts'
import { TransitionReader } from './reader.ts'
import type { Transition } from './transition.ts'

/** Which transitions to watch. All given conditions must hold. @public */
export interface WatchFilter {
  /** Those in the journal of this flow run: the flow run's own and its task runs'. */
  readonly flowRunId?: string
  /** Those of this run only. */
  readonly runId?: string
  /** Those of flows of this name, and of their task runs. */
  readonly flow?: string
  /** Those of task runs of this name. */
  readonly task?: string
}

/** @public */
export interface WatchOptions {
  /**
   * Where to begin in the journal of one flow run: after this position; default 0, the beginning. Positions are
   * those of one journal, so it is taken only with a `flowRunId` or a `runId` in the filter.
   */
  readonly from?: number
}

const filterNames = ['flowRunId', 'runId', 'flow', 'task']

/** @throws {@link UsageError} `INVALID_OPTION` */
export function checkWatch(filter: WatchFilter, { from }: WatchOptions): void {
  const details = (option: string) => ({ details: { option } })
  for (const name of Object.keys(filter)) {
    if (filterNames.includes(name)) continue
    throw new UsageError(
      'INVALID_OPTION',
      `watch has no filter \`${name}\`; it takes ${filterNames.join(', ')}`,
      details(name),
    )
  }
  if (from === undefined) return
  if (!Number.isInteger(from) || from < 0) {
    throw new UsageError(
      'INVALID_OPTION',
      `expected \`from\` to be a position, an integer of at least 0, got ${String(from)}`,
      details('from'),
    )
  }
  if (filter.flowRunId !== undefined || filter.runId !== undefined) return
  throw new UsageError(
    'INVALID_OPTION',
    '`from` is a position in one journal: it needs a `flowRunId` or a `runId`',
    details('from'),
  )
}

/** Entries per read, and the most that a watcher holds: one that is slower goes back to reading the journal. */
const page = 1_000

/** Where errors of observers go, and where sources say how they are stopped when the engine closes. */
export interface Sink {
  readonly report: ReportError
  readonly closers: Set<() => void>
}

/** What can be watched: an Observable that is also an async iterable, which pulls at the pace of its consumer. @public */
export interface Watched<T> extends Observable<T>, AsyncIterable<T> {}

/** Watches what a filter asks for: the journal of one flow run, or all of them. */
export function watchBy(
  journal: Journal,
  asked: {
    readonly filter: WatchFilter
    readonly options: WatchOptions
    /** Whether a flow run is live, whose journal may be still to be created. */
    readonly isLive: (flowRunId: string) => boolean
  },
  sink: Sink,
): Watched<Transition> {
  const { flowRunId, runId, flow, task } = asked.filter
  const select = (transition: Transition): boolean =>
    (runId === undefined || transition.runId === runId) &&
    (flow === undefined || transition.flow === flow) &&
    (task === undefined || transition.task === task)
  const one = flowRunId ?? (runId === undefined ? undefined : flowRunIdOf(runId))
  if (one === undefined) return watchAll(journal, select, sink)
  const { from = 0 } = asked.options
  const watched = { flowRunId: one, runId: runId ?? one, from, expected: () => asked.isLive(one) }
  return watchJournal(journal, watched, select, sink)
}

/**
 * Watches the journal of one flow run: what was, then what comes, no gap and no repeat, by position.
 *
 * It reads the journal to its end, then waits to be told of a commit and reads on; so a slow observer holds nothing but
 * its position. Completes when the run that is watched has ended and that was emitted.
 */
function watchJournal(
  journal: Journal,
  watched: {
    readonly flowRunId: string
    readonly runId: string
    readonly from: number
    /** Whether the journal is still to be created, where there is none. */
    readonly expected: () => boolean
  },
  select: (transition: Transition) => boolean,
  sink: Sink,
): Watched<Transition> {
  async function* transitions(follower: Follower): AsyncGenerator<Transition, void, undefined> {
    if ((await journal.summary(watched.flowRunId)) === undefined && !watched.expected())
      throw notFound(watched.runId)
    for await (const transition of follower.transitions()) {
      if (transition.position > watched.from && select(transition)) yield transition
      if (transition.runId === watched.runId && isTerminal(transition.to.name)) return
    }
  }
  return pullable(() => new Follower(journal, watched.flowRunId), transitions, sink)
}

/** An Observable, and an async iterable, of what `read` gives; each subscription and each loop with a source of its own. */
export function pullable<S extends { stop(): void }, T>(
  open: () => S,
  read: (source: S) => AsyncGenerator<T, void, undefined>,
  { report, closers }: Sink,
): Watched<T> {
  const opened = (): { source: S; close: () => void } => {
    const source = open()
    const stop = (): void => source.stop()
    closers.add(stop)
    const close = (): void => {
      closers.delete(stop)
      stop()
    }
    return { source, close }
  }
  const observable = new GuardedObservable<T>(report, (observer) => {
    const { source, close } = opened()
    void push(read(source), observer)
    return close
  })
  return Object.assign(observable, {
    async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
      const { source, close } = opened()
      try {
        yield* read(source)
      } finally {
        close()
      }
    },
  })
}

async function push<T>(values: AsyncGenerator<T, void, undefined>, observer: Observer<T>): Promise<void> {
  try {
    for await (const value of values) observer.next(value)
    observer.complete()
  } catch (error) {
    observer.error(error)
  }
}

function notFound(runId: string): JournalError {
  return new JournalError('RUN_NOT_FOUND', `there is no run ${runId}`, { details: { runId } })
}

/** Watches all journals: those that are there, then what comes to them and to new ones. Ordered within each of them. */
function watchAll(
  journal: Journal,
  select: (transition: Transition) => boolean,
  sink: Sink,
): Watched<Transition> {
  async function* transitions(fleet: Fleet): AsyncGenerator<Transition, void, undefined> {
    for await (const transition of fleet.transitions()) if (select(transition)) yield transition
  }
  return pullable(() => new Fleet(journal), transitions, sink)
}

/** Finished journals remembered: more than can have been told of and not been read. */
const endedKept = 10_000

/** Reads all journals, each from its beginning, and waits for more. Holds a position and the names for each unfinished one. */
class Fleet {
  readonly #journal: Journal
  readonly #readers = new Map<string, TransitionReader>()
  readonly #ended = new Set<string>()
  readonly #news = new Set<string>()
  readonly #unsubscribe: () => void
  #wake: (() => void) | undefined
  #stopped = false

  constructor(journal: Journal) {
    this.#journal = journal
    this.#unsubscribe = journal.subscribe((flowRunId) => {
      this.#news.add(flowRunId)
      this.#wake?.()
    })
  }

  async *transitions(): AsyncGenerator<Transition, void, undefined> {
    let after: number | undefined = 0
    do {
      const found: readonly JournalSummary[] = await this.#journal.list({ limit: page, after })
      for (const { flowRunId } of found) yield* this.#read(flowRunId)
      after = found.length < page ? undefined : found.at(-1)?.order
    } while (after !== undefined && !this.#stopped)
    while (!this.#stopped) {
      for (const flowRunId of this.#news) {
        this.#news.delete(flowRunId)
        yield* this.#read(flowRunId)
      }
      if (this.#news.size > 0 || this.#stopped) continue
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  async *#read(flowRunId: string): AsyncGenerator<Transition, void, undefined> {
    if (this.#ended.has(flowRunId)) return
    const reader = this.#readers.get(flowRunId) ?? new TransitionReader(flowRunId)
    this.#readers.set(flowRunId, reader)
    for (;;) {
      const entries = await this.#journal.read(flowRunId, reader.position + 1, page)
      for (const entry of entries) {
        const transition = reader.read(entry)
        if (transition === undefined) continue
        if (transition.runId === flowRunId && isTerminal(transition.to.name)) this.#end(flowRunId)
        yield transition
        if (this.#stopped) return
      }
      if (entries.length < page) return
    }
  }

  /** A finished journal gets no more entries; its name is kept so that it is not read twice. */
  #end(flowRunId: string): void {
    this.#readers.delete(flowRunId)
    this.#ended.add(flowRunId)
    for (const oldest of this.#ended) {
      if (this.#ended.size <= endedKept) break
      this.#ended.delete(oldest)
    }
  }

  stop(): void {
    this.#stopped = true
    this.#unsubscribe()
    this.#wake?.()
  }
}

/**
 * Reads a journal from its beginning, and waits at its end for more. What is committed meanwhile is taken from the
 * commit itself, as long as there is room; a follower that is slower goes back to reading.
 */
class Follower {
  readonly #journal: Journal
  readonly #flowRunId: string
  readonly #unsubscribe: () => void
  #pushed: Entry[] = []
  /** Position of the first of them. */
  #pushedFrom = 0
  #news = false
  /** Whether the journal is known to have been there. */
  #seen = false
  #wake: (() => void) | undefined
  #stopped = false

  constructor(journal: Journal, flowRunId: string) {
    this.#journal = journal
    this.#flowRunId = flowRunId
    this.#unsubscribe = journal.subscribe((committed, first, entries) => {
      if (committed !== flowRunId) return
      this.#push(first, entries)
      this.#seen = true
      this.#news = true
      this.#wake?.()
    }, flowRunId)
  }

  #push(first: number, entries: readonly Entry[]): void {
    if (this.#pushed.length === 0) this.#pushedFrom = first
    const contiguous = first === this.#pushedFrom + this.#pushed.length
    if (contiguous && this.#pushed.length + entries.length <= page)
      for (const entry of entries) this.#pushed.push(entry)
    else this.#pushed = []
  }

  async *transitions(): AsyncGenerator<Transition, void, undefined> {
    const reader = new TransitionReader(this.#flowRunId)
    while (!this.#stopped) {
      this.#news = false
      const entries = this.#takePushed(reader.position + 1) ?? (await this.#read(reader.position + 1))
      for (const entry of entries) {
        const transition = reader.read(entry)
        if (transition !== undefined) yield transition
        if (this.#stopped) return
      }
      if (entries.length > 0 || this.#news || this.#pushed.length > 0) continue
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        if (this.#news || this.#stopped) resolve()
      })
    }
  }

  /** What was committed from `position` on; undefined where that is not at hand. */
  #takePushed(position: number): readonly Entry[] | undefined {
    const skip = position - this.#pushedFrom
    if (skip < 0 || skip >= this.#pushed.length) {
      if (skip >= this.#pushed.length) this.#pushed = []
      return undefined
    }
    const entries = this.#pushed.slice(skip)
    this.#pushed = []
    return entries
  }

  /** @throws JournalError `RUN_NOT_FOUND` where the journal was dropped before it was read */
  async #read(position: number): Promise<readonly Entry[]> {
    const entries = await this.#journal.read(this.#flowRunId, position, page)
    if (entries.length > 0 || this.#stopped || (position === 1 && !this.#seen)) return entries
    if ((await this.#journal.summary(this.#flowRunId)) === undefined && this.#pushed.length === 0)
      throw notFound(this.#flowRunId)
    return entries
  }

  stop(): void {
    this.#stopped = true
    this.#unsubscribe()
    this.#wake?.()
  }
}

/** Waits for the end of a run that another node, or nobody, owns. @throws JournalError `RUN_NOT_FOUND` */
export async function untilTerminal(journal: Journal, runId: string): Promise<void> {
  const flowRunId = flowRunIdOf(runId)
  if ((await journal.summary(flowRunId)) === undefined) {
    throw notFound(runId)
  }
  const follower = new Follower(journal, flowRunId)
  try {
    for await (const transition of follower.transitions()) {
      if (transition.runId === runId && isTerminal(transition.to.name)) return
    }
  } finally {
    follower.stop()
  }
}
