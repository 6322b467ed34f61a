/** Something that a body waits for: the end of a run, of a wait. */
export interface HandedOver {
  /** Whether the body has asked for it already, so that handing it over makes the body go on. */
  readonly wanted: boolean
  /** @param then - Called when the body has it: at once, or when it has its slot back. */
  deliver(then: () => void): void
}
