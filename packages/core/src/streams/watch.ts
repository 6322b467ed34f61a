import type { Observable, Observer } from 'rxjs'
import { JournalError, UsageError } from '../base/errors.ts'
import { flowRunIdOf } from '../base/ids.ts'
import { isTerminal } from '../machines/states.ts'
import type { Journal } from '../ports/journal.ts'
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

/** What can be watched: an Observable that is also an async iterable, which pulls at the pace of its consumer. @public */
export interface Watched<T> extends Observable<T>, AsyncIterable<T> {}

/**
 * Watches the journal of one flow run: what was, then what comes, no gap and no repeat, by position.
 *
 * It reads the journal to its end, then waits to be told of a commit and reads on; so a slow observer holds nothing but
 * its position. Completes when the run that is watched has ended and that was emitted.
 */
export function watchJournal(
  journal: Journal,
  watched: {
    readonly flowRunId: string
    readonly runId: string
    readonly from: number
    /** Whether the journal is still to be created, where there is none. */
    readonly expected: () => boolean
  },
  select: (transition: Transition) => boolean,
  report: ReportError,
): Watched<Transition> {
  async function* transitions(follower: Follower): AsyncGenerator<Transition, void, undefined> {
    if ((await journal.summary(watched.flowRunId)) === undefined && !watched.expected())
      throw notFound(watched.runId)
    for await (const transition of follower.transitions()) {
      if (transition.position > watched.from && select(transition)) yield transition
      if (transition.runId === watched.runId && isTerminal(transition.to.name)) return
    }
  }
  return pullable(() => new Follower(journal, watched.flowRunId), transitions, report)
}

/** An Observable, and an async iterable, of what `read` gives; each subscription and each loop with a source of its own. */
function pullable<S extends { stop(): void }, T>(
  open: () => S,
  read: (source: S) => AsyncGenerator<T, void, undefined>,
  report: ReportError,
): Watched<T> {
  const observable = new GuardedObservable<T>(report, (observer) => {
    const source = open()
    void push(read(source), observer)
    return () => source.stop()
  })
  return Object.assign(observable, {
    async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
      const source = open()
      try {
        yield* read(source)
      } finally {
        source.stop()
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
export function watchAll(
  journal: Journal,
  select: (transition: Transition) => boolean,
  report: ReportError,
): Watched<Transition> {
  async function* transitions(fleet: Fleet): AsyncGenerator<Transition, void, undefined> {
    for await (const transition of fleet.transitions()) if (select(transition)) yield transition
  }
  return pullable(() => new Fleet(journal), transitions, report)
}

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
    let after: string | undefined
    do {
      const found = await this.#journal.list({
        limit: page,
        ...(after === undefined ? undefined : { after }),
      })
      for (const { flowRunId } of found) yield* this.#read(flowRunId)
      after = found.length < page ? undefined : found.at(-1)?.flowRunId
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
  }

  stop(): void {
    this.#stopped = true
    this.#unsubscribe()
    this.#wake?.()
  }
}

/** Reads a journal from its beginning, and waits at its end for more. */
class Follower {
  readonly #journal: Journal
  readonly #flowRunId: string
  readonly #unsubscribe: () => void
  #wake: (() => void) | undefined
  #news = false
  #stopped = false

  constructor(journal: Journal, flowRunId: string) {
    this.#journal = journal
    this.#flowRunId = flowRunId
    this.#unsubscribe = journal.subscribe((committed) => {
      if (committed !== flowRunId) return
      this.#news = true
      this.#wake?.()
    })
  }

  async *transitions(): AsyncGenerator<Transition, void, undefined> {
    const reader = new TransitionReader(this.#flowRunId)
    while (!this.#stopped) {
      this.#news = false
      const entries = await this.#journal.read(this.#flowRunId, reader.position + 1, page)
      for (const entry of entries) {
        const transition = reader.read(entry)
        if (transition !== undefined) yield transition
        if (this.#stopped) return
      }
      if (entries.length === page || this.#news) continue
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        if (this.#news || this.#stopped) resolve()
      })
    }
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
