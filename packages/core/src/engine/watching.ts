import type { Observable } from 'rxjs'
import type { RunState } from '../machines/states.ts'
import type { Clock } from '../ports/clock.ts'
import type { Journal, JournalQuery } from '../ports/journal.ts'
import type { RunsChange } from '../streams/as-list.ts'
import { GuardedObservable } from '../streams/hub.ts'
import { watchRuns } from '../streams/runs.ts'
import type { Transition } from '../streams/transition.ts'
import { watchBy, type Sink, type Watched, type WatchFilter, type WatchOptions } from '../streams/watch.ts'

interface Host {
  readonly clock: Clock
  /** Whether a flow run is live here, or is to be soon: its journal may be still to be created. */
  isLive(flowRunId: string): boolean
  report(error: unknown, run: undefined): void
}

/** What ends those who watch. Of one that comes when all are ended, at once. */
class Closers extends Set<() => void> {
  #isClosed = false

  override add(close: () => void): this {
    if (!this.#isClosed) return super.add(close)
    close()
    return this
  }

  close(): void {
    this.#isClosed = true
    for (const close of this) close()
  }
}

/** What people watch of an engine's journal. */
export class Watching {
  readonly #host: Host
  readonly #journal: Journal
  readonly closers = new Closers()
  readonly #sink: Sink
  /** Those who wait for journals that are to be created. */
  readonly #expecting = new Map<string, Set<() => void>>()

  constructor(host: Host, journal: Journal) {
    this.#host = host
    this.#journal = journal
    this.#sink = { report: (error) => host.report(error, undefined), closers: this.closers }
  }

  watch(filter: WatchFilter, options: WatchOptions = {}): Watched<Transition> {
    const isLive = (flowRunId: string): boolean => this.#host.isLive(flowRunId)
    const whenGivenUp = (flowRunId: string, look: () => void): (() => void) => this.#expects(flowRunId, look)
    return watchBy(this.#journal, { filter, options, isLive, whenGivenUp }, this.#sink)
  }

  #expects(flowRunId: string, look: () => void): () => void {
    const looks = this.#expecting.get(flowRunId) ?? new Set()
    this.#expecting.set(flowRunId, looks.add(look))
    return () => {
      looks.delete(look)
      if (looks.size === 0 && this.#expecting.get(flowRunId) === looks) this.#expecting.delete(flowRunId)
    }
  }

  /** A flow run has no journal, and will have none: those who wait for it are told. */
  givenUp(flowRunId: string): void {
    for (const look of this.#expecting.get(flowRunId) ?? []) look()
  }

  runs(query: JournalQuery): Watched<RunsChange> {
    return watchRuns(this.#journal, query, this.#host.clock, this.#sink)
  }

  states(runId: string): Observable<RunState> {
    return new GuardedObservable<RunState>(this.#sink.report, (observer) => {
      const subscription = this.watch({ runId }).subscribe({
        next: ({ to, at }) => observer.next({ ...to, at }),
        error: (error: unknown) => observer.error(error),
        complete: () => observer.complete(),
      })
      return () => subscription.unsubscribe()
    })
  }

  /** Ends all of it. */
  stop(): void {
    this.closers.close()
  }
}
