import type { Duration } from '../base/duration.ts'
import { toMilliseconds } from '../base/duration.ts'
import type { Engine } from './create-engine.ts'

/** @public */
export interface CloseOnSignalsOptions {
  /** How long runs, and bodies that run for other nodes, may take to end; default `'30s'`. */
  readonly grace?: Duration
  /** Default SIGTERM and SIGINT. */
  readonly signals?: readonly NodeJS.Signals[]
}

/**
 * Closes an engine when the process is told to end: it takes nothing more, what runs may end within the grace, and the rest
 * goes on elsewhere. Then the process ends by that signal, as if nobody had listened. A second signal ends it at once.
 *
 * @returns A function that takes it back.
 * @throws {@link UsageError} `INVALID_DURATION`
 * @public
 */
export function closeOnSignals(engine: Engine, options: CloseOnSignalsOptions = {}): () => void {
  const { grace = '30s', signals = ['SIGTERM', 'SIGINT'] } = options
  toMilliseconds(grace, 'grace')
  const stop = (): void => {
    for (const signal of signals) process.off(signal, told)
  }
  const told = (signal: NodeJS.Signals): void => {
    // The next one finds no listener, and ends the process.
    stop()
    engine.close({ grace }).then(
      () => process.kill(process.pid, signal),
      (error: unknown) => {
        process.exitCode = 1
        console.error(error)
        process.kill(process.pid, signal)
      },
    )
  }
  for (const signal of signals) process.on(signal, told)
  return stop
}
