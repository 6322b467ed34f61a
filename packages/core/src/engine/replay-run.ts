import { isDeepStrictEqual } from 'node:util'
import { UsageError } from '../base/errors.ts'
import { flowRunIdOf } from '../base/ids.ts'
import type { Logger } from '../base/logger.ts'
import type { Definition } from '../definitions/definition.ts'
import { flowDefinitionOf, type AnyFlow } from '../definitions/flow.ts'
import { findDefinition } from '../definitions/registry.ts'
import type { Entry } from '../journal/entries.ts'
import { foldJournal } from '../journal/history.ts'
import { stateOf } from '../journal/run-state.ts'
import { isTerminal, type RunState } from '../machines/states.ts'
import type { Clock } from '../ports/clock.ts'
import type { Journal } from '../ports/journal.ts'
import { memoryJournal } from '../ports/memory-journal.ts'
import { systemClock } from '../ports/system-clock.ts'
import type { TaskPool } from '../ports/task-runner.ts'
import { deadlineAfter } from '../runs/deadline.ts'
import { Engine } from './engine.ts'
import { identified } from './call-identities.ts'
import { exchanged } from './exchange.ts'
import { createJournals, readTree, rootEntryOf } from './journal-tree.ts'
import { readHistory } from './read-journal.ts'
import { recoverRoot } from './roots.ts'
import type { Run } from './run.ts'
import type { ValueStore } from './value-store.ts'

/** @public */
export interface ReplayOptions {
  /** The flow whose body to run, of the same name; default the one that is defined. Its version does not matter. */
  readonly flow?: AnyFlow
}

/** What came of a replay. @public */
export interface ReplayReport {
  /** Whether the body did what the journal tells: to its end, or to where the journal of an unfinished run ends. */
  readonly matches: boolean
  /** What it did otherwise, first; undefined where it matches. */
  readonly difference: string | undefined
  /** Newest state of the recorded run. */
  readonly recorded: RunState
  /** What the body came to: a value, an error; undefined where it did not end, as in the replay of an unfinished run. */
  readonly outcome: { readonly value: unknown } | { readonly error: unknown } | undefined
}

/** A run as its journal shows it, and whence it is replayed. */
interface ReplayHost {
  readonly journal: Journal
  readonly values: ValueStore
  checkOpen(): void
}

/** How often it is looked whether the body rests, in milliseconds. */
const glanceMs = 2

/**
 * Runs the body of a recorded flow run again, on what its journal remembers and on nothing else: no task runs, nothing is
 * recorded, no hook is called.
 *
 * @throws JournalError `RUN_NOT_FOUND`; UsageError `INVALID_OPTION`, `UNKNOWN_DEFINITION`, `AMBIGUOUS_NAME`, `ENGINE_CLOSED`
 */
export async function replayRun(
  host: ReplayHost,
  id: string,
  { flow }: ReplayOptions,
): Promise<ReplayReport> {
  host.checkOpen()
  const source = flowRunIdOf(id)
  const tree = exchanged(identified(await readTree(host.journal, source)), host.values)
  const entries = tree.get(source) ?? []
  const { root } = foldJournal(source, entries)
  const definition = definitionFor(entries, flow)
  const journal = memoryJournal({ keep: Number.MAX_SAFE_INTEGER })
  await createJournals(
    { journal, append: (append) => journal.append(append) },
    new Map(tree).set(
      source,
      entries.filter((entry) => !isEnd(entry)),
    ),
  )
  const stage = new Stage(journal, host.values.encodes, root.last.at)
  try {
    const history = await readHistory(journal, source)
    if (history === undefined) throw new UsageError('ENGINE_CLOSED', `the journal of ${source} is gone`)
    const run = recoverRoot(stage, history, definition)
    run.looked = true
    // Where it waited, the replay comes to the wait.
    if (run.isParked) stage.steering.wake(run)
    const isWhole = ownEnds.has(root.stateName)
    const difference = await stage.play(run, isWhole)
    const outcome = outcomeOf(run)
    const recorded = stateOf(root.last)
    const other = difference ?? (isWhole ? otherEnd(host.values, root, outcome) : undefined)
    return { matches: other === undefined, difference: other, recorded, outcome }
  } finally {
    await stage.close(0)
  }
}

/** Ends that follow from what the body did; others came from outside. */
const ownEnds: ReadonlySet<string> = new Set(['Completed', 'Failed', 'UnobservedFailure'])

/** What ended the root is what the replay is to find. */
function isEnd(entry: Entry): boolean {
  return entry.kind === 'transition' && entry.run === 0 && (isTerminal(entry.to) || entry.to === 'Cancelling')
}

/** The body as it is now, told from the recorded one by nothing but what it does. */
function definitionFor(entries: readonly Entry[], flow: AnyFlow | undefined): Definition {
  const { runKind, runId, name, version } = rootEntryOf(entries)
  if (runKind !== 'flow') throw invalid('id', `${runId} is no flow run; the body of a task is not replayed`)
  const definition = flow === undefined ? findDefinition('flow', name, version) : flowDefinitionOf(flow)
  if (definition.name !== name)
    throw invalid('flow', `expected \`flow\` to be a flow ${name}, as ${runId} is, got ${definition.name}`)
  const settings = {
    ...definition.settings,
    hooks: undefined,
    retries: 0,
    timeoutMs: undefined,
    onDivergence: 'park',
    onHostLost: 'recover',
    maxRecoveries: Number.MAX_SAFE_INTEGER,
  } as const
  return { ...definition, version, settings }
}

function outcomeOf(run: Run): ReplayReport['outcome'] {
  if (!run.settled) return undefined
  return run.completed ? { value: run.value } : { error: run.error }
}

/** How the end of the body differs from the recorded one. */
function otherEnd(
  values: ValueStore,
  { stateName, outcome }: ReturnType<typeof foldJournal>['root'],
  found: ReplayReport['outcome'],
): string | undefined {
  if (outcome === undefined) return undefined
  if (found === undefined) return `its body did not end, and that of the recorded run did (${stateName})`
  if ('value' in outcome) {
    if ('error' in found)
      return `its body failed: ${wordsOf(found.error)}; the recorded run ended ${stateName}`
    return isDeepStrictEqual(values.load(outcome.value), found.value)
      ? undefined
      : 'its body ended with another value than the recorded one'
  }
  const error = values.loadError(outcome.failure)
  if ('value' in found) return `its body ended with a value; the recorded run failed: ${wordsOf(error)}`
  return wordsOf(error) === wordsOf(found.error)
    ? undefined
    : `its body failed: ${wordsOf(found.error)}; the recorded run: ${wordsOf(error)}`
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
}

/** Where a body is replayed: an engine that executes no tasks and tells nobody. */
class Stage extends Engine {
  /** What the body did that is not in the journal, first. */
  #news: string | undefined
  #assigned = false

  /** @param at - Wall time to begin with: what the run waits for that had not come is not to come here. */
  constructor(journal: Journal, strictValues: boolean, at: number) {
    super({ journal, strictValues, clock: clockFrom(at), logger: silent, node: 'replay' })
    journal.subscribe((_id, _first, entries) => {
      for (const entry of entries) this.#news ??= newsIn(entry)
    })
  }

  /** A task that would run comes to nothing. */
  override pool(): TaskPool {
    return {
      lends: false,
      assign: () => (this.#assigned = true),
      stop: nothing,
      lend: nothing,
      reclaim: (_assignment, resume) => resume(),
      close: async () => undefined,
    }
  }

  override shown(): void {
    // Neither hooks nor observers: this is no run of anybody's.
  }

  /** Waits until the body has ended, or has come to where the journal does. @returns What it did otherwise. */
  async play(run: Run, isWhole: boolean): Promise<string | undefined> {
    for (;;) {
      const { state } = run
      if (state.name === 'Paused' && state.message?.startsWith('diverged') === true) return state.message
      if (this.#news !== undefined)
        return isWhole ? `its body ${this.#news}; the recorded one did not` : undefined
      if (run.settled || (!isWhole && (this.#assigned || rests(run)))) return undefined
      await deadlineAfter(this.clock, glanceMs).done
    }
  }
}

/** This machine's clock, but for the wall time that it begins with. */
function clockFrom(start: number): Clock {
  const clock = systemClock()
  const ahead = clock.now() - start
  return {
    now: () => clock.now() - ahead,
    monotonic: () => clock.monotonic(),
    at: (deadline, fn) => clock.at(deadline + ahead, fn),
    turn: (fn) => clock.turn(fn),
  }
}

/** Whether the body has been handed all that its journal has, and waits for more. */
function rests(run: Run): boolean {
  const { body, stateName } = run
  // The next try of one that waits for it is not in the journal.
  if (stateName === 'Paused' || stateName === 'AwaitingRetry') return true
  return body !== undefined && body.begun && body.isCaughtUp
}

/** What an entry tells of a body that takes a step of its own. */
function newsIn(entry: Entry): string | undefined {
  switch (entry.kind) {
    case 'submitted':
      return `called ${entry.runKind} ${entry.name}`
    case 'child':
      return entry.event === 'started' ? `called flow ${entry.name}` : undefined
    case 'draw':
      return `drew ${entry.draw}`
    case 'wait':
      return entry.for === undefined
        ? 'waited for a time'
        : `waited for ${entry.for} ${entry.name ?? ''}`.trim()
    default:
      return undefined
  }
}

const nothing = (): void => undefined
const silent: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing }

function invalid(option: string, message: string): UsageError {
  return new UsageError('INVALID_OPTION', message, { details: { option } })
}
