import { cancelledError } from './run-errors.ts'
import type { Run } from './run.ts'

/**
 * Cancels a run: at once where its body has not begun, else through its signal and its grace. Changes nothing where the
 * run has ended or is being cancelled.
 */
export function cancelRun(run: Run, reason: unknown): void {
  if (run.ended || run.stateName === 'Cancelling') return
  if (run.isParked || run.rare?.recorded !== undefined) {
    // What it had submitted is known to its journal alone.
    void run.host.steering.cancel(run, reason)
    return
  }
  // It may have begun in another thread meanwhile.
  run.body?.beganElsewhere()
  const error = cancelledError(run, reason)
  const moved = run.move({ type: 'cancel' }, error.message, { failure: run.host.values.saveError(error) })
  if (!moved) return
  const { body } = run
  if (run.ended) body?.finish()
  else if (body === undefined || body.over) {
    run.move({ type: 'cancelled' }, error.message, { failure: run.host.values.saveError(error) })
  } else body.cancel(reason)
}
