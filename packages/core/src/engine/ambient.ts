import { UsageError } from '../base/errors.ts'

/** One of the two places with module-level state: the engines that are open in this process. */
const key = Symbol.for('@troupe/core/engines')

interface Engines {
  readonly open: Set<object>
  /** Made when a run was started while no engine was open. */
  lazy: object | undefined
}

const shared = globalThis as { [key]?: Engines }
const engines: Engines = (shared[key] ??= { open: new Set(), lazy: undefined })

export function engineOpened(engine: object): void {
  engines.open.add(engine)
}

export function engineClosed(engine: object): void {
  engines.open.delete(engine)
  if (engines.lazy === engine) engines.lazy = undefined
}

/**
 * The engine for a call outside any run: the one that is open, or one in memory that `make` makes once.
 *
 * @throws {@link UsageError} `NO_ENGINE` where several are open
 */
export function ambientEngine(make: () => object): object {
  const [first, second] = engines.open
  if (second !== undefined) {
    throw new UsageError(
      'NO_ENGINE',
      `${engines.open.size} engines are open in this process, and the call is inside no run; ` +
        'say which: `engine.run(flow, …)` or `flow.with({ engine })(…)`. Inside a run, where the run context was lost ' +
        '(a callback of an event emitter, say), wrap the callback in `bindRun`',
    )
  }
  return first ?? (engines.lazy ??= make())
}
