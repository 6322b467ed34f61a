import type { Entry } from '../journal/entries.ts'
import { changeOf, isAskedFor, rootOf } from '../journal/summary.ts'
import { isTerminal, stateTypes, type StateName } from '../machines/states.ts'
import type { Clock } from '../ports/clock.ts'
import type { Journal, JournalQuery, JournalSummary } from '../ports/journal.ts'
import { placeOf, type RunsChange, type RunSummary } from './as-list.ts'
import { pullable, type Sink, type Watched } from './watch.ts'

/** How many runs are read at once. */
const readsAtOnce = 50
/** More runs than this that are to be read: the whole list is read in their place. */
const mostUnread = 10_000
/** How many runs are remembered that are none of those asked for, whatever becomes of them. */
const mostForeign = 10_000
/** So many changes are handed out before it is looked what else has happened. */
const changesInTurn = 100
/** Not every journal tells of runs that others forget: where something happens, it is looked so often which are still there. */
const lookAgainMs = 60_000

/** A list that is kept up to date. */
export function watchRuns(
  journal: Journal,
  query: JournalQuery,
  clock: Clock,
  sink: Sink,
): Watched<RunsChange> {
  const open = (): Roll => new Roll(journal, query, clock)
  // A list never ends by itself.
  return pullable({ open, read: (roll) => roll.changes(), state: { ended: false } }, sink)
}

/**
 * The runs that a query has now, and what of that was told. Both are at most as many as the query's limit, and what happens to a run in
 * between is told as one change: however slow the reader is, nothing else is held for it.
 */
class Roll {
  readonly #journal: Journal
  readonly #query: JournalQuery
  /** The conditions that a run fulfils from its beginning on, or never. */
  readonly #fixed: JournalQuery
  readonly #clock: Clock
  readonly #newestFirst: boolean
  readonly #unsubscribe: () => void
  readonly #now = new Map<string, JournalSummary>()
  /** Ids and places, in the order of the query. */
  readonly #order: { readonly id: string; readonly order: number }[] = []
  /** Whether there are no more than these. */
  #complete = false
  readonly #told = new Map<string, RunSummary>()
  /** Those that may differ from what was told. */
  readonly #dirty = new Set<string>()
  /** Those that were told, and are none of them any more: as they were last. */
  readonly #gone = new Map<string, JournalSummary>()
  /** Those whose summary is to be read. */
  readonly #unread = new Set<string>()
  /** What is being read just now may be older than a commit that comes meanwhile. */
  #reading: ReadonlySet<string> = new Set()
  #listing = false
  readonly #foreign = new Set<string>()
  #listAgain = true
  #listedAt = 0
  #wake: (() => void) | undefined
  #stopped = false

  constructor(journal: Journal, query: JournalQuery, clock: Clock) {
    const { name, tag, parent, since, before, newestFirst = false } = query
    this.#journal = journal
    this.#query = query
    this.#clock = clock
    this.#newestFirst = newestFirst
    this.#fixed = {
      limit: 1,
      ...(name === undefined ? undefined : { name }),
      ...(tag === undefined ? undefined : { tag }),
      ...(parent === undefined ? undefined : { parent }),
      ...(since === undefined ? undefined : { since }),
      ...(before === undefined ? undefined : { before }),
    }
    // Before it is read, so that nothing falls between.
    this.#unsubscribe = journal.subscribe((flowRunId, first, entries) => {
      this.#committed(flowRunId, first, entries)
      if (this.#hasWork) this.#wake?.()
    })
  }

  async *changes(): AsyncGenerator<RunsChange, void, undefined> {
    await this.#work()
    if (this.#stopped) return
    const runs = this.#order.flatMap(({ id }) => {
      const summary = this.#now.get(id)
      return summary === undefined ? [] : [shown(summary)]
    })
    for (const run of runs) this.#told.set(run.id, run)
    this.#dirty.clear()
    yield { kind: 'list', runs, newestFirst: this.#newestFirst }
    while (!this.#stopped) {
      await this.#work()
      for (let count = 0; count < changesInTurn && !this.#stopped; count++) {
        const change = this.#next()
        if (change === undefined) break
        yield change
      }
      if (this.#hasWork || this.#stopped) continue
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  stop(): void {
    this.#stopped = true
    this.#unsubscribe()
    this.#wake?.()
  }

  get #hasWork(): boolean {
    const { size } = this.#now
    return (
      this.#listAgain ||
      this.#unread.size + this.#dirty.size + this.#gone.size > 0 ||
      (!this.#complete && size < this.#query.limit)
    )
  }

  /** What is to be told next: first what leaves, so that nobody who follows has more than the limit. */
  #next(): RunsChange | undefined {
    for (const [id, summary] of this.#gone) {
      this.#gone.delete(id)
      this.#told.delete(id)
      return { kind: 'removed', run: shown(summary) }
    }
    for (const id of this.#dirty) {
      this.#dirty.delete(id)
      const summary = this.#now.get(id)
      const before = this.#told.get(id)
      if (summary === undefined) continue
      const run = shown(summary)
      if (before !== undefined && isSame(before, run)) continue
      this.#told.set(id, run)
      return { kind: before === undefined ? 'added' : 'changed', run }
    }
    return undefined
  }

  // --- what happens ----------------------------------------------------------------------------------------------

  #committed(flowRunId: string, first: number, entries: readonly Entry[]): void {
    if (this.#clock.monotonic() - this.#listedAt > lookAgainMs) this.#listAgain = true
    const known = this.#now.get(flowRunId)
    if (first === 0) return this.#forgotten(flowRunId)
    if (known === undefined) {
      if (this.#mayBeAskedFor(flowRunId, entries)) this.#read(flowRunId)
      return
    }
    // It may be that the answer which is on its way does not know of this; or that it is another run, of the same id.
    if (this.#listing || first === 1) this.#read(flowRunId)
    const last = first + entries.length - 1
    if (entries.length > 0 && last <= known.position) return
    if (entries.length === 0 || first !== known.position + 1) return this.#read(flowRunId)
    this.#put({ ...known, ...changeOf(entries), position: last })
  }

  /** Another one may have its id by now; and what is being read may have it still. */
  #forgotten(flowRunId: string): void {
    this.#foreign.delete(flowRunId)
    if (this.#now.has(flowRunId) || this.#listing || this.#reading.has(flowRunId)) this.#read(flowRunId)
  }

  /** Whether a run that is none of those asked for may be one of them now. */
  #mayBeAskedFor(flowRunId: string, entries: readonly Entry[]): boolean {
    // Something came that could not be read.
    if (entries.length === 0) return true
    const root = rootOf(entries)
    const state = newestState(entries)
    const isBeingRead = this.#listing || this.#reading.has(flowRunId)
    // Another node has it, which what is being read may not know.
    if (state === undefined) return isBeingRead && entries.some(({ kind }) => kind === 'claimed')
    if (root !== undefined) {
      const summary = { ...root, flowRunId, position: 0, ended: false, node: '', epoch: 0, order: 0 }
      if (isAskedFor(summary, this.#fixed)) this.#foreign.delete(flowRunId)
      else this.#remember(flowRunId)
    }
    if (this.#foreign.has(flowRunId)) {
      if (isTerminal(state)) this.#foreign.delete(flowRunId)
      return false
    }
    if (isBeingRead) return true
    const { states, ended } = this.#query
    const isRight = states?.includes(state) !== false && (ended === undefined || ended === isTerminal(state))
    if (!isRight) this.#unread.delete(flowRunId)
    return isRight
  }

  #remember(flowRunId: string): void {
    this.#foreign.add(flowRunId)
    for (const oldest of this.#foreign) {
      if (this.#foreign.size <= mostForeign) break
      this.#foreign.delete(oldest)
    }
  }

  #read(flowRunId: string): void {
    this.#unread.add(flowRunId)
    if (this.#unread.size <= mostUnread) return
    this.#unread.clear()
    this.#listAgain = true
  }

  // --- what is read ----------------------------------------------------------------------------------------------

  /** Does one piece of what is to be done, if there is any. */
  async #work(): Promise<void> {
    if (this.#listAgain) await this.#list()
    else if (this.#unread.size > 0) await this.#readSome()
    else if (!this.#complete && this.#now.size < this.#query.limit) await this.#readMore()
  }

  async #list(): Promise<void> {
    this.#listAgain = false
    this.#listedAt = this.#clock.monotonic()
    const found = await this.#found(this.#query)
    const there = new Set(found.map(({ flowRunId }) => flowRunId))
    for (const id of this.#now.keys()) if (!there.has(id)) this.#remove(id)
    // Whatever stands in the list now belongs to it, and what comes behind is looked for.
    this.#complete = true
    for (const summary of found) this.#put(summary)
    this.#complete = found.length < this.#query.limit
  }

  async #readSome(): Promise<void> {
    const ids = [...this.#unread].slice(0, readsAtOnce)
    for (const id of ids) this.#unread.delete(id)
    const summaries = await this.#summariesOf(ids)
    for (const [index, id] of ids.entries()) {
      // What came meanwhile is newer: it is read once more.
      if (this.#unread.has(id)) continue
      const summary = summaries[index]
      if (summary === undefined) this.#remove(id)
      else this.#put(summary)
    }
  }

  async #summariesOf(ids: readonly string[]): Promise<readonly (JournalSummary | undefined)[]> {
    this.#reading = new Set(ids)
    try {
      return await Promise.all(ids.map((id) => this.#journal.summary(id)))
    } finally {
      this.#reading = new Set()
    }
  }

  /** Those that follow on the last one, in place of some that have left. */
  async #readMore(): Promise<void> {
    const last = this.#order.at(-1)
    const limit = this.#query.limit - this.#order.length
    const found = await this.#found({
      ...this.#query,
      limit,
      ...(last === undefined ? undefined : { after: last.order }),
    })
    this.#complete = true
    for (const summary of found) this.#put(summary)
    this.#complete = found.length < limit && this.#order.length < this.#query.limit
  }

  async #found(query: JournalQuery): Promise<readonly JournalSummary[]> {
    this.#listing = true
    try {
      return await this.#journal.list(query)
    } finally {
      this.#listing = false
    }
  }

  // --- what there is ---------------------------------------------------------------------------------------------

  /** A run as it is: one of those that are asked for, or not. */
  #put(summary: JournalSummary): void {
    const { flowRunId: id, order, position } = summary
    let known = this.#now.get(id)
    if (known !== undefined && known.order !== order) {
      // Another one that was given the id of a forgotten one.
      this.#remove(id)
      known = undefined
    }
    if (known !== undefined && position < known.position) return
    if (!isAskedFor(summary, this.#query)) {
      if (known === undefined) return
      this.#now.set(id, summary)
      this.#remove(id)
      if (this.#listing || this.#reading.has(id)) this.#read(id)
    } else if (known === undefined) this.#insert(summary)
    else {
      this.#now.set(id, summary)
      this.#dirty.add(id)
    }
  }

  #insert(summary: JournalSummary): void {
    const { flowRunId: id, order } = summary
    const place = placeOf(this.#order, order, this.#newestFirst)
    // There may be others between the last one and this.
    if (place === this.#order.length && !this.#complete) return
    this.#order.splice(place, 0, { id, order })
    this.#now.set(id, summary)
    this.#gone.delete(id)
    this.#dirty.add(id)
    const last = this.#order.at(-1)
    if (last === undefined || this.#order.length <= this.#query.limit) return
    this.#remove(last.id)
    this.#complete = false
  }

  #remove(id: string): void {
    const summary = this.#now.get(id)
    if (summary === undefined) return
    this.#now.delete(id)
    const place = placeOf(this.#order, summary.order, this.#newestFirst)
    // Where it stands is the place before that.
    if (this.#order[place - 1]?.id === id) this.#order.splice(place - 1, 1)
    else this.#order.splice(place, 1)
    this.#dirty.delete(id)
    if (this.#told.has(id)) this.#gone.set(id, summary)
  }
}

/** The newest state of the root in these entries; undefined where they don't change it. */
function newestState(entries: readonly Entry[]): StateName | undefined {
  let state: StateName | undefined
  for (const entry of entries) {
    if (entry.kind === 'submitted' ? entry.parent === -1 : entry.kind === 'transition' && entry.run === 0)
      state = (entry as { readonly to: StateName }).to
  }
  return state
}

function shown(summary: JournalSummary): RunSummary {
  const { flowRunId: id, kind, name, version, runName = name, state, tags, parentRunId } = summary
  const { startedAt, changedAt, node, order } = summary
  return {
    id,
    kind,
    flow: name,
    version,
    runName,
    state: { type: stateTypes[state], name: state },
    tags,
    startedAt,
    changedAt,
    node,
    ...(parentRunId === undefined ? undefined : { parentRunId }),
    order,
  }
}

/** Whether two summaries of a run say the same; what else they say does not change. */
function isSame(a: RunSummary, b: RunSummary): boolean {
  return (
    a.state.name === b.state.name &&
    a.changedAt === b.changedAt &&
    a.node === b.node &&
    a.runName === b.runName &&
    a.order === b.order
  )
}
