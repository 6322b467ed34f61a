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

/** Marks what listens while an engine closes: of several engines of a process the last one ends it. */
const closing = Symbol.for('troupe.closing')

type Heard = (signal: NodeJS.Signals) => void

function closingOnes(signal: NodeJS.Signals): readonly Heard[] {
  return process.listeners(signal).filter((listener) => closing in listener)
}

/**
 * Closes an engine when the process is told to end: it takes nothing more, what runs may end within the grace, and the rest
 * goes on elsewhere. Then the process ends by that signal, as if nobody had listened; of several engines, when the last one is
 * closed. A second signal ends it at once.
 *
 * @returns A function that takes it back.
 * @throws {@link UsageError} `INVALID_DURATION`
 * @public
 */
export function closeOnSignals(engine: Engine, options: CloseOnSignalsOptions = {}): () => void {
  const { grace = '30s', signals = ['SIGTERM', 'SIGINT'] } = options
  toMilliseconds(grace, 'grace')
  const stop = (): void => {
    for (const signal of signals) process.off(signal, told).off(signal, toldAgain)
  }
  const toldAgain: Heard = (signal) => {
    for (const listener of closingOnes(signal)) process.off(signal, listener)
    process.kill(process.pid, signal)
  }
  Object.assign(toldAgain, { [closing]: true })
  const told: Heard = (signal) => {
    stop()
    for (const each of signals) process.on(each, toldAgain)
    const closed = (): void => {
      stop()
      if (closingOnes(signal).length === 0) process.kill(process.pid, signal)
    }
    engine.close({ grace }).then(closed, (error: unknown) => {
      process.exitCode = 1
      console.error(error)
      closed()
    })
  }
  for (const signal of signals) process.on(signal, told)
  return stop
}
