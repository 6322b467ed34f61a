/** What Ctrl-C does. */

/** Exit code of a process ended by Ctrl-C: 128 and the number of SIGINT. */
export const INTERRUPTED = 130

/**
 * The first Ctrl-C cancels the run, so that what it began is put away; the second ends the process at once.
 *
 * @param beforeExit - Called at the second Ctrl-C, to leave the terminal as it was.
 * @returns A function that gives Ctrl-C back its usual meaning.
 */
export function cancelOnInterrupt(
  run: { cancel: (reason?: string) => Promise<unknown> },
  beforeExit: () => void = () => undefined,
): () => void {
  const end = (): void => {
    beforeExit()
    process.exit(INTERRUPTED)
  }
  const cancel = (): void => {
    process.once('SIGINT', end)
    // How the run ends is seen by whoever waits for it; a cancel that fails leaves the second Ctrl-C.
    run.cancel('Ctrl-C').catch(() => undefined)
  }
  process.once('SIGINT', cancel)
  return () => {
    process.off('SIGINT', cancel)
    process.off('SIGINT', end)
  }
}
