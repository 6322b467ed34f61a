import type { SubmittedEntry, TransitionEntry } from '../journal/entries.ts'
import { withFields } from '../base/logger.ts'
import type { Hook, HookEvent } from '../definitions/hooks.ts'
import type { Transition } from '../streams/transition.ts'
import { runOutside } from '../runs/run-context.ts'
import type { Run } from './run.ts'

/** Calls hooks: those of one run one after the other, those of different runs side by side. */
export class HookCalls {
  readonly #last = new Map<Run, Promise<void>>()
  readonly #failed: (error: unknown, run: Run) => void

  /** @param failed - Told what a hook threw or rejected with. */
  constructor(failed: (error: unknown, run: Run) => void) {
    this.#failed = failed
  }

  /** A run has entered a state, and the journal has it. */
  entered(run: Run, transition: Transition): void {
    const hooks = run.definition.settings.hooks?.[transition.to.type]
    if (hooks === undefined) return
    const before = this.#last.get(run) ?? Promise.resolve()
    const event = eventOf(run, transition, (error) => this.#failed(error, run))
    const done = before.then(() => this.#callAll(run, hooks, event))
    this.#last.set(run, done)
    void done.then(() => {
      if (this.#last.get(run) === done) this.#last.delete(run)
    })
  }

  async #callAll(run: Run, hooks: readonly Hook[], event: HookEvent): Promise<void> {
    for (const hook of hooks) {
      try {
        await runOutside(run.host, () => hook(event))
      } catch (error) {
        this.#failed(error, run)
      }
    }
  }

  /** Resolves when all hooks that were called, and those that follow on them, have settled. */
  async idle(): Promise<void> {
    while (this.#last.size > 0) await Promise.all(this.#last.values())
  }
}

function eventOf(run: Run, transition: Transition, onError: (error: unknown) => void): HookEvent {
  const { flowRunId, runId, runName, attempt } = transition
  const { type } = transition.to
  return {
    transition,
    error: type === 'FAILED' || type === 'CRASHED' || type === 'CANCELLED' ? run.error : undefined,
    get value() {
      return type === 'COMPLETED' ? run.value : undefined
    },
    get parameters() {
      return transition.seq === 1 ? undefined : parametersOf(run)
    },
    tags: run.tags,
    logger: withFields(run.host.logger, { flowRunId, runId, run: runName, attempt }, onError),
  }
}

/** What the body gets; a copy where values are stored encoded. */
function parametersOf(run: Run): readonly unknown[] | undefined {
  const parameters = run.body?.arguments
  if (parameters === undefined || !run.host.values.encodes) return parameters
  return run.host.values.load(run.host.values.save(parameters, 'args')) as readonly unknown[]
}

/** Whether a run only rests, by itself or after it was paused: nobody is asked for anything, and no hook tells of it. */
export function isOwnRest(entry: SubmittedEntry | TransitionEntry): boolean {
  return entry.to === 'Suspended' || (entry.kind === 'transition' && entry.pausedFor === 'wait')
}
