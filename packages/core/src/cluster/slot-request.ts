/** What a run wants of a limit. */
export interface SlotWish {
  /** Id of the run. */
  readonly run: string
  /** Whether it wants a slot. */
  readonly slot: boolean
  /** Whether it wants to begin an attempt. */
  readonly start: boolean
  granted(): void
  /** It can't have it now. */
  waits(): void
}

/** A wish that was told to a limit. */
export interface SlotRequest {
  readonly number: number
  readonly wish: SlotWish
  readonly isGranted: boolean
  /** Its attempt begins now. */
  begun(): void
  /** Gives everything back, granted or not; a second call does nothing. */
  release(): void
}

/** Who is told of what becomes of a request. */
export interface RequestChanges {
  begun(request: Request): void
  released(request: Request): void
}

/** A wish, as the limit keeps it. */
export class Request implements SlotRequest {
  readonly number: number
  readonly wish: SlotWish
  readonly #changes: RequestChanges
  isGranted = false
  /** Whether the register has its start as one to come. */
  #isPromised = false
  #isGone = false
  #toldToWait = false

  constructor(number: number, wish: SlotWish, changes: RequestChanges) {
    this.number = number
    this.wish = wish
    this.#changes = changes
  }

  grant(isPromised: boolean): void {
    this.isGranted = true
    this.#isPromised = isPromised
    this.wish.granted()
  }

  tellToWait(): void {
    if (this.#toldToWait) return
    this.#toldToWait = true
    this.wish.waits()
  }

  begun(): void {
    if (!this.#isPromised || this.#isGone) return
    this.#isPromised = false
    this.#changes.begun(this)
  }

  release(): void {
    if (this.#isGone) return
    this.#isGone = true
    this.#changes.released(this)
  }
}
