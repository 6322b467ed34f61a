import { flowRunIdOf, runNameOf } from '../base/ids.ts'
import { stateOf } from '../journal/run-state.ts'
import { stateTypes } from '../machines/states.ts'
import type { Clock } from '../ports/clock.ts'
import type { Journal, JournalQuery, JournalSummary } from '../ports/journal.ts'
import type { Target } from '../runs/current-body.ts'
import { Elsewhere, type ElsewhereHost } from './elsewhere.ts'
import { hasMessage, readEnd, readState, type EndReader } from './ends.ts'
import type { Mail } from './mail.ts'
import { readHistory } from './read-journal.ts'
import { findLive } from './run-tree.ts'
import type { Run } from './run.ts'
import type { Watching } from './watching.ts'

interface LookupHost {
  readonly journal: Journal
  readonly clock: Clock
  readonly mail: Mail
  readonly ends: EndReader
  rootOf(flowRunId: string): Run | undefined
  readonly watching: Pick<Watching, 'watch' | 'states'>
}

/** A page of runs with a journal of their own. */
export interface Listed {
  readonly targets: Target[]
  /** Place of the last one in the order of creation; undefined where no page follows. */
  readonly last: number | undefined
}

/** Finds runs by what they are known as: those that are live here, and those that only their journals know. */
export class Lookup {
  readonly #host: LookupHost
  readonly elsewhere: ElsewhereHost

  constructor(host: LookupHost) {
    this.#host = host
    this.elsewhere = {
      clock: host.clock,
      mail: host.mail,
      stateOf: (runId) => readState(host.ends, runId),
      hasMessage: (flowRunId, id) => hasMessage(host.ends, flowRunId, id),
      untilEnd: (runId) => readEnd(host.ends, runId),
      watch: (runId) => host.watching.watch(runId.includes('.') ? { runId } : { flowRunId: runId }),
      watchStates: (runId) => host.watching.states(runId),
    }
  }

  /** The run of an id; undefined where the journal has none. */
  async get(id: string): Promise<Target | undefined> {
    const root = this.#host.rootOf(flowRunIdOf(id))
    const live = root === undefined ? undefined : findLive(root, id)
    if (live !== undefined) return live
    const history = await readHistory(this.#host.journal, flowRunIdOf(id))
    const recorded = history?.runs.find(({ submitted }) => submitted.runId === id)
    if (recorded === undefined) return undefined
    const { runKind: kind, name } = recorded.submitted
    const names = { kind, name, runName: runNameOf(recorded.runName, name, recorded.index) }
    return new Elsewhere(this.elsewhere, id, stateOf(recorded.last), names)
  }

  /** Runs with a journal of their own, in the order in which they were started. */
  async list(query: JournalQuery): Promise<Listed> {
    const page = await this.#host.journal.list(query)
    const targets = await Promise.all(page.map((summary) => this.#listed(summary)))
    return { targets, last: page.length < query.limit ? undefined : page.at(-1)?.order }
  }

  async #listed(summary: JournalSummary): Promise<Target> {
    const live = this.#host.rootOf(summary.flowRunId)
    if (live !== undefined) return live
    const { flowRunId, kind, name, runName = name, state, changedAt } = summary
    const type = stateTypes[state]
    // What it is paused for is in its journal alone.
    const told = type === 'PAUSED' ? await readState(this.#host.ends, flowRunId) : undefined
    const current = told ?? { type, name: state, at: changedAt }
    return new Elsewhere(this.elsewhere, flowRunId, current, { kind, name, runName })
  }

  /** A run that this engine had, as seen from outside: another engine has it by now. */
  foreign({ id, kind, name, runName, state, ledger }: Run): Target {
    const { elsewhere } = this
    // Where nothing of it was stored from here, its journal may still come to be there.
    const host =
      ledger.position > 0
        ? elsewhere
        : { ...elsewhere, stateOf: async (runId: string) => (await elsewhere.stateOf(runId)) ?? state }
    return new Elsewhere(host, id, state, { kind, name, runName })
  }
}
