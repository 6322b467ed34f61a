import type { EngineError, Hook, HookEvent, HookOptions, TaskRunner } from '@troupe/core'

const kinds = [
  'onScheduled',
  'onPending',
  'onRunning',
  'onPaused',
  'onCancelling',
  'onCompletion',
  'onFailure',
  'onCrashed',
  'onCancellation',
] as const satisfies readonly (keyof HookOptions)[]

/** A hook of every kind. */
export function everyHook(call: (kind: (typeof kinds)[number], event: HookEvent) => unknown): HookOptions {
  return Object.fromEntries(
    kinds.map((kind) => [kind, ((event) => call(kind, event)) satisfies Hook]),
  ) as HookOptions
}

/** A hook of every kind, and `kind State` for each call. */
export function noted(): { readonly hooks: HookOptions; readonly calls: string[] } {
  const calls: string[] = []
  return {
    hooks: everyHook((kind, { transition }) => void calls.push(`${kind} ${transition.to.name}`)),
    calls,
  }
}

/** A task runner whose places are lost as `causes` says, one after the other; then bodies run. */
export function losingRunner(...causes: readonly { readonly crashed: boolean }[]): TaskRunner {
  const left = [...causes]
  return {
    name: 'losing',
    mode: 'concurrent',
    createPool: (host) => ({
      lends: false,
      assign: (assignment) =>
        host.turn(() => {
          if (!host.reports.started(assignment)) return
          const cause = left.shift()
          if (cause !== undefined) {
            host.reports.lost(assignment, { ...cause, error: new Error('exit code 1') })
            return
          }
          void Promise.resolve()
            .then(() => assignment.invoke())
            .then(
              (value) => host.reports.finished(assignment, { value }),
              (error: unknown) => host.reports.finished(assignment, { error }),
            )
        }),
      stop: () => undefined,
      lend: () => undefined,
      reclaim: (_, resume) => resume(),
      close: async () => undefined,
    }),
  }
}

/** Everything that an engine says that no caller hears of, from now on. */
export function errorsOf(engine: { errors: { subscribe: (next: (error: EngineError) => void) => unknown } }) {
  const errors: EngineError[] = []
  engine.errors.subscribe((error) => errors.push(error))
  return errors
}
