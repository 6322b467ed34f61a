import type { Observable, Observer } from 'rxjs'
import { JournalError, UsageError } from '../base/errors.ts'
import { flowRunIdOf } from '../base/ids.ts'
import { isTerminal } from '../machines/states.ts'
import type { Entry } from '../journal/entries.ts'
import type { Journal } from '../ports/journal.ts'
import { Fleet } from './fleet.ts'
import { GuardedObservable, type ReportError } from './hub.ts'
import { Pushed } from './pushed.ts'
import { isAnother, TransitionReader } from './reader.ts'
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
  /** Those of flow runs that have this tag, and of their task runs. */
  readonly tag?: string
}

/** @public */
export interface WatchOptions {
  /**
   * Where to begin in the journal of one flow run: after this position; default 0, the beginning. Positions are
   * those of one journal, so it is taken only with a `flowRunId` or a `runId` in the filter.
   */
  readonly from?: number
  /**
   * Of a watch of more than one flow run: those that had ended before this moment are left out, and not read. Milliseconds since
   * 1970, or a date; default none is.
   */
  readonly since?: number | Date
}

const filterNames = ['flowRunId', 'runId', 'flow', 'task', 'tag']

/** @throws {@link UsageError} `INVALID_OPTION` */
export function checkWatch(filter: WatchFilter, { from, since }: WatchOptions): void {
  const { flowRunId, runId } = filter
  for (const name of Object.keys(filter)) {
    if (!filterNames.includes(name))
      throw refused(name, `watch has no filter \`${name}\`; it takes ${filterNames.join(', ')}`)
  }
  if (flowRunId !== undefined && runId !== undefined && flowRunIdOf(runId) !== flowRunId)
    throw refused('runId', `expected \`runId\` to be a run of flow run ${flowRunId}, got ${runId}`)
  const isOfOne = flowRunId !== undefined || runId !== undefined
  if (from !== undefined) {
    if (!Number.isInteger(from) || from < 0)
      throw refused(
        'from',
        `expected \`from\` to be a position, an integer of at least 0, got ${String(from)}`,
      )
    if (!isOfOne)
      throw refused('from', '`from` is a position in one journal: it needs a `flowRunId` or a `runId`')
  }
  if (since === undefined) return
  if (Number.isNaN(Number(since)))
    throw refused('since', 'expected `since` to be a date, or milliseconds since 1970')
  if (isOfOne) throw refused('since', '`since` leaves out flow runs, and this is a watch of one; give `from`')
}

function refused(option: string, message: string): UsageError {
  return new UsageError('INVALID_OPTION', message, { details: { option } })
}

/** Entries per read, and the most that a watcher holds: one that is slower goes back to reading the journal. */
const page = 1_000

/** Where errors of observers go, and where sources say how they are stopped when the engine closes. */
export interface Sink {
  readonly report: ReportError
  readonly closers: Set<() => void>
}

/** What can be watched: an Observable that is also an async iterable, which pulls at the pace of its consumer. @public */
export interface Watched<T> extends Observable<T>, AsyncIterable<T> {
  /**
   * Whether a reader of it has come to the end of the run that is watched. A watch that completes without it was cut short: its
   * engine was closed.
   */
  readonly ended: boolean
}

/** Whether a transition is asked for; the tags are those of the root of its journal. */
type Select = (transition: Transition, tags: readonly string[]) => boolean

/** Watches what a filter asks for: the journal of one flow run, or all of them. */
export function watchBy(
  journal: Journal,
  asked: {
    readonly filter: WatchFilter
    readonly options: WatchOptions
    /** Whether a flow run is live, whose journal may be still to be created. */
    readonly isLive: (flowRunId: string) => boolean
    /** Calls `look` when it is clear that it will not be created. @returns Takes that back */
    readonly whenGivenUp: (flowRunId: string, look: () => void) => () => void
  },
  sink: Sink,
): Watched<Transition> {
  const { flowRunId, runId, flow, task, tag } = asked.filter
  const select: Select = (transition, tags) =>
    (runId === undefined || transition.runId === runId) &&
    (flow === undefined || transition.flow === flow) &&
    (task === undefined || transition.task === task) &&
    (tag === undefined || tags.includes(tag))
  const one = flowRunId ?? (runId === undefined ? undefined : flowRunIdOf(runId))
  const { from = 0, since } = asked.options
  if (one === undefined)
    return watchAll(() => new Fleet(journal, since === undefined ? undefined : Number(since)), select, sink)
  const watched = {
    flowRunId: one,
    runId: runId ?? one,
    from,
    expected: () => asked.isLive(one),
    whenGivenUp: (look: () => void) => asked.whenGivenUp(one, look),
  }
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
    readonly whenGivenUp: (look: () => void) => () => void
  },
  select: Select,
  sink: Sink,
): Watched<Transition> {
  const state = { ended: false }
  async function* transitions(follower: Follower): AsyncGenerator<Transition, void, undefined> {
    if ((await journal.summary(watched.flowRunId)) === undefined) {
      if (!watched.expected()) throw notFound(watched.runId)
      follower.expects(watched.whenGivenUp)
    }
    for await (const transition of follower.transitions()) {
      if (transition.position > watched.from && select(transition, follower.tags)) yield transition
      if (!isLast(transition, watched.runId)) continue
      state.ended = true
      return
    }
  }
  return pullable({ open: () => new Follower(journal, watched.flowRunId), read: transitions, state }, sink)
}

/**
 * Whether a run ends with a transition.
 *
 * @throws JournalError `RUN_NOT_FOUND` where that is the end of its flow run: nothing follows it, and the run was never submitted
 */
function isLast({ runId, flowRunId, to }: Transition, of: string): boolean {
  if (!isTerminal(to.name)) return false
  if (runId === of) return true
  if (runId === flowRunId) throw notFound(of)
  return false
}

/** An Observable, and an async iterable, of what `read` gives; each subscription and each loop with a source of its own. */
export function pullable<S extends { stop(): void }, T>(
  source: {
    readonly open: () => S
    readonly read: (opened: S) => AsyncGenerator<T, void, undefined>
    readonly state: { readonly ended: boolean }
  },
  { report, closers }: Sink,
): Watched<T> {
  const open = (): { values: AsyncGenerator<T, void, undefined>; close: () => void } => {
    const opened = source.open()
    const stop = (): void => opened.stop()
    closers.add(stop)
    const close = (): void => {
      closers.delete(stop)
      stop()
    }
    return { values: source.read(opened), close }
  }
  const observable = new GuardedObservable<T>(report, (observer) => {
    const { values, close } = open()
    void push(values, observer)
    return close
  })
  const iterable = {
    get ended() {
      return source.state.ended
    },
    [Symbol.asyncIterator]: () => iteratorOf(open),
  }
  return Object.defineProperties(observable, Object.getOwnPropertyDescriptors(iterable)) as Watched<T> &
    typeof observable
}

/** Written by hand: the `return` of a generator would wait until what it waits for has come. */
function iteratorOf<T>(
  open: () => { values: AsyncGenerator<T, void, undefined>; close: () => void },
): AsyncIterator<T, undefined, undefined> {
  let opened: ReturnType<typeof open> | undefined
  let over = false
  const end = (): void => {
    over = true
    opened?.close()
  }
  return {
    async next() {
      if (over) return { done: true, value: undefined }
      try {
        opened ??= open()
        const result = await opened.values.next()
        if (result.done !== true && !over) return result
      } catch (error) {
        end()
        throw error
      }
      end()
      return { done: true, value: undefined }
    },
    async return() {
      end()
      return { done: true, value: undefined }
    },
  }
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
function watchAll(open: () => Fleet, select: Select, sink: Sink): Watched<Transition> {
  async function* transitions(fleet: Fleet): AsyncGenerator<Transition, void, undefined> {
    for await (const { transition, tags } of fleet.transitions())
      if (select(transition, tags)) yield transition
  }
  return pullable({ open, read: transitions, state: { ended: false } }, sink)
}

/**
 * Reads a journal from its beginning, and waits at its end for more. What is committed meanwhile is taken from the
 * commit itself, as long as there is room; a follower that is slower goes back to reading.
 */
class Follower {
  readonly #journal: Journal
  readonly #flowRunId: string
  readonly #unsubscribe: () => void
  readonly #reader: TransitionReader
  readonly #pushed = new Pushed()
  #news = false
  /** The journal that it reads is gone: another flow run has been given its id. */
  #replaced = false
  /** Whether a journal that is to be created is known to have been there, or will not be. */
  #seen = false
  #stopExpecting: (() => void) | undefined
  #wake: (() => void) | undefined
  #stopped = false

  constructor(journal: Journal, flowRunId: string) {
    this.#journal = journal
    this.#flowRunId = flowRunId
    this.#reader = new TransitionReader(flowRunId)
    this.#unsubscribe = journal.subscribe((committed, first, entries) => {
      if (committed !== flowRunId) return
      this.#pushed.add(first, entries, page)
      // A commit may be told of more than once, and late.
      if (first === 1 && isAnother(this.#pushed.startedAt, this.#reader.startedAt)) this.#replaced = true
      // That one was forgotten may be told late: of another one, which had the id before.
      if (first > 0) this.#seen = true
      this.#news = true
      this.#wake?.()
    }, flowRunId)
  }

  /** Tags of the flow run, once its submission was read. */
  get tags(): readonly string[] {
    return this.#reader.tags
  }

  /** The journal is still to be created. */
  expects(whenGivenUp: (look: () => void) => () => void): void {
    if (this.#stopped) return
    this.#stopExpecting = whenGivenUp(() => {
      this.#seen = true
      this.#news = true
      this.#wake?.()
    })
  }

  async *transitions(): AsyncGenerator<Transition, void, undefined> {
    const reader = this.#reader
    // Whether all that is still to come is told of.
    let atEnd = false
    while (!this.#stopped) {
      const wasTold = this.#news || this.#pushed.size > 0
      this.#news = false
      const pushed = this.#pushed.take(reader.position + 1)
      const entries: readonly Entry[] =
        pushed ?? (atEnd && !wasTold ? [] : await this.#read(reader.position + 1))
      if (pushed === undefined) atEnd = entries.length === 0
      if (this.#replaced) throw notFound(this.#flowRunId)
      for (const entry of entries) {
        const transition = reader.read(entry)
        if (transition !== undefined) yield transition
        if (this.#stopped) return
      }
      if (entries.length > 0 || this.#news || this.#pushed.size > 0) continue
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        if (this.#news || this.#stopped) resolve()
      })
    }
  }

  /** @throws JournalError `RUN_NOT_FOUND` where the journal was dropped before it was read, or was never created */
  async #read(position: number): Promise<readonly Entry[]> {
    const entries = await this.#journal.read(this.#flowRunId, position, page)
    const isExpected = position === 1 && !this.#seen && this.#stopExpecting !== undefined
    if (entries.length > 0 || this.#stopped || isExpected) return entries
    // What was pushed may begin behind what is missing now: that never comes.
    if ((await this.#journal.summary(this.#flowRunId)) === undefined && !this.#pushed.has(position))
      throw notFound(this.#flowRunId)
    return entries
  }

  stop(): void {
    this.#stopped = true
    this.#unsubscribe()
    this.#stopExpecting?.()
    this.#wake?.()
  }
}

/**
 * Waits for the end of a run that another node, or nobody, owns.
 *
 * @param closers - Where it says how it is stopped when the engine closes.
 * @throws JournalError `RUN_NOT_FOUND`; UsageError `ENGINE_CLOSED`
 */
export async function untilTerminal(
  journal: Journal,
  runId: string,
  closers: Sink['closers'],
): Promise<void> {
  const flowRunId = flowRunIdOf(runId)
  if ((await journal.summary(flowRunId)) === undefined) {
    throw notFound(runId)
  }
  const follower = new Follower(journal, flowRunId)
  const stop = (): void => follower.stop()
  closers.add(stop)
  try {
    for await (const transition of follower.transitions()) {
      if (isLast(transition, runId)) return
    }
  } finally {
    closers.delete(stop)
    stop()
  }
  throw new UsageError('ENGINE_CLOSED', 'the engine was closed before the run had ended')
}
