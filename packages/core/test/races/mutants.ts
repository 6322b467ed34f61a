/** A fault in the engine that the simulation must find. */
export interface Mutant {
  readonly name: string
  /** What goes wrong. */
  readonly fault: string
  /** Below packages. */
  readonly file: string
  /** Text that stands in the file exactly once. */
  readonly find: string
  readonly replace: string
  /** The check that finds it. */
  readonly foundBy: string
}

/**
 * Faults are planted while a test loads a copy of the engine (`@troupe/core?mutant=<name>`), so that the engine itself has no
 * switch for them. One whose text is not in the source any more is an error, and is to be written anew.
 */
export const mutants: readonly Mutant[] = [
  {
    name: 'late-result',
    fault: 'what the body of an attempt that is over finds ends the attempt after it',
    file: 'core/src/engine/attempt.ts',
    find: `    if (this.result !== undefined) return
    this.result = result
    if (this.over) return
`,
    replace: `    this.result = result
    this.cut = undefined
    this.over = false
`,
    foundBy: 'one result',
  },
  {
    name: 'late-result-within-the-end',
    fault: 'what a body finds after its time limit counts while its runs end',
    file: 'core/src/engine/attempt.ts',
    find: `    if (this.result !== undefined) return
    this.result = result
`,
    replace: `    if (this.result !== undefined && this.cut === undefined) return
    this.result = result
    this.cut = undefined
`,
    foundBy: 'one result',
  },
  {
    name: 'slot-given-twice',
    fault: 'a run that is tried again at once gives its slot to another, and goes on with it',
    file: 'core/src/engine/run.ts',
    find: `if (terminal || to === 'AwaitingRetry')`,
    replace: `if (to === 'Retrying') this.held?.release()
    if (terminal || to === 'AwaitingRetry')`,
    foundBy: 'limits hold',
  },
  {
    name: 'cancel-lost-at-the-grant',
    fault: 'a run that has been given its slots, and has not begun, does not hear of its cancel',
    file: 'core/src/engine/cancel-run.ts',
    find: `if (run.ended || run.stateName === 'Cancelling') return`,
    replace: `if (run.ended || run.stateName === 'Cancelling') return
  if (run.stateName === 'AwaitingConcurrencySlot' && run.held?.hasSlots) return`,
    foundBy: 'nothing begins after a cancel',
  },
  {
    name: 'slot-lost-at-the-grant',
    fault: 'a run that is cancelled between the grant of its slots and its beginning keeps them',
    file: 'core/src/engine/admission.ts',
    find: `    this.#claim?.release()`,
    replace: `    if (this.#claim?.granted !== true || this.#attempt.begun) this.#claim?.release()`,
    foundBy: 'nothing is held in the end',
  },
  {
    name: 'retry-after-cancel',
    fault: 'a run that waits to be tried again does not hear of its cancel',
    file: 'core/src/machines/run-machine.ts',
    find: `  awaitSlot: 'AwaitingConcurrencySlot',
  cancel: 'Cancelled',
`,
    replace: `  awaitSlot: 'AwaitingConcurrencySlot',
`,
    foundBy: 'nothing begins after a cancel',
  },
  {
    name: 'skipped-seq',
    fault: 'a number is left out where a run is cancelled in a retry',
    file: 'core/src/engine/run.ts',
    find: `    this.seq++
`,
    replace: `    this.seq += to === 'Cancelling' && context.tries > 0 ? 2 : 1
`,
    foundBy: 'histories are legal',
  },
  {
    name: 'wait-limit-goes-on',
    fault: 'the limit of the wait for slots goes on when the body has begun',
    file: 'core/src/engine/admission.ts',
    find: `  begun(): void {
    this.#stopWait()
`,
    replace: `  begun(): void {
`,
    foundBy: 'bodies are told to stop',
  },
  {
    name: 'end-before-children',
    fault: 'a run ends, or is tried again, while runs of its body are live',
    file: 'core/src/engine/attempt.ts',
    find: `    if (this.#live.size > 0) return
    if (this.run.stateName === 'Paused' && !this.#isInputLate) return`,
    replace: `    if (this.run.stateName === 'Paused' && !this.#isInputLate) return`,
    foundBy: 'children end first',
  },
]
