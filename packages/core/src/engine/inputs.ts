import type { PauseReason } from '../journal/entries.ts'
import type { Given } from '../runs/current-body.ts'
import { runOutside } from '../runs/run-context.ts'
import { inboxOf, type MessageWait } from './inbox.ts'
import { invalidInputError, noInputError } from './run-errors.ts'
import type { Run } from './run.ts'
import type { Identified } from './steer.ts'

/** Pauses a run, if its state allows that. @param reason - What ends the pause besides `resume()`. */
export function pauseFor(run: Run, reason: PauseReason | undefined, message: string): void {
  const { rarely } = run
  const before = rarely.pausedFor
  rarely.pausedFor = reason
  if (run.move({ type: 'pause' }, message)) run.body?.hold()
  else rarely.pausedFor = before
}

/** Ends a pause; one for an input follows where the body has asked for one meanwhile. */
export function goOnFrom(run: Run): void {
  if (!run.move({ type: 'resume' })) return
  run.rarely.pausedFor = undefined
  run.body?.goOn()
  if (inboxOf(run).asked !== undefined) pauseFor(run, 'input', waitsForInput)
}

export const waitsForInput = 'waits for an input'

/**
 * Gives a run the input that it waits for, and lets it go on.
 *
 * @param replay - Brings back the body of a run that was let go: only the body knows what the input must be.
 * @throws RunError `NO_INPUT_EXPECTED`, `INVALID_INPUT`; CodecError `NOT_ENCODABLE`
 */
export async function giveInput(
  run: Run,
  { input, id }: Identified<Given>,
  replay: () => Promise<void>,
): Promise<void> {
  const inbox = inboxOf(run)
  if (inbox.knows(id)) return
  if (!waits(run)) throw noInputError(run)
  if (run.isParked) {
    await replay()
    await untilAsked(run)
    // Another engine has it, and is asked.
    if (run.ledger.lost) return
  }
  const wait = inbox.asked
  if (wait === undefined || !waits(run)) throw noInputError(run)
  const value = await checked(run, wait, input)
  // Another one was faster, or the run has ended meanwhile.
  if (inbox.asked !== wait || !waits(run)) throw noInputError(run)
  const payload = run.host.values.save(value, 'input')
  inbox.arrive({ id, for: 'input', name: undefined, payload })
  if (inbox.asked !== undefined) return
  // Paused from outside meanwhile, it waits for `resume()`.
  if (run.rarely.isHeld) run.rarely.pausedFor = undefined
  else goOnFrom(run)
}

function waits({ stateName, rare }: Run): boolean {
  return (stateName === 'Paused' || stateName === 'Suspended') && rare?.pausedFor === 'input'
}

/** What the schema makes of it. @throws RunError `INVALID_INPUT` */
async function checked(run: Run, { awaited }: MessageWait, input: unknown): Promise<unknown> {
  const schema = awaited?.schema
  if (schema === undefined) return input
  const result = await runOutside(run.host, () => schema['~standard'].validate(input))
  if (result.issues === undefined) return result.value
  throw invalidInputError(run, result.issues)
}

/** Until the body that was brought back asks for its input, or its run has come to something else. */
function untilAsked(run: Run): Promise<void> {
  return until(run, () => run.stateName === 'Paused')
}

/** Until the body of a run that was let go is back. */
export function untilBack(run: Run): Promise<void> {
  return until(run, () => run.stateName !== 'Recovering')
}

/** Until a state of the run is there; at once where it has ended or left. */
async function until(run: Run, isThere: () => boolean): Promise<void> {
  const listeners = (run.rarely.listeners ??= new Set())
  const isDone = (): boolean => isThere() || run.ended || run.ledger.lost
  if (isDone()) return
  await new Promise<void>((resolve) => {
    const listener = (): void => {
      if (!isDone()) return
      listeners.delete(listener)
      resolve()
    }
    listeners.add(listener)
  })
}
