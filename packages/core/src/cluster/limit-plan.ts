import type { Limit } from '../engine/limit.ts'
import {
  copyDocument,
  freeSlots,
  freeStarts,
  isSameLimit,
  pruneStarts,
  waitingBefore,
  type LimitDocument,
  type Share,
} from './limit-document.ts'
import type { Request } from './slot-request.ts'

/** What an engine wants a limit to be in the register. */
export interface Wishes {
  readonly owner: string
  /** A time that the clock of the store has reached. */
  readonly now: number
  readonly define: { readonly limit: Limit | undefined; readonly by: string } | undefined
  /** Owners that are gone, and whose slots are free. */
  readonly gone: readonly string[]
  /** Those, and owners that are gone and whose slots are kept for a while: it is nobody's turn. */
  readonly leaving: ReadonlySet<string>
  /** By number, in the order in which they asked. */
  readonly requests: ReadonlyMap<number, Request>
  /** Requests that have begun, and whose start is not counted yet. */
  readonly begun: ReadonlySet<number>
  /** How many runs of the engine wait. */
  readonly waiting: number
  /** Whether others, whose turn it is and who do not come, are left behind. */
  readonly skips: boolean
}

/** What to write, and what comes of it. */
export interface Plan {
  readonly document: LimitDocument
  readonly isChanged: boolean
  /** Requests that are granted when it is written. */
  readonly granted: readonly Request[]
  /** Those that have to wait. */
  readonly waiting: readonly Request[]
  /** Starts that are counted with it. */
  readonly confirmed: readonly number[]
  /** Whether there is something to be had that is for others to take. */
  readonly isHeldUp: boolean
  /** Whether a run that has a slot waits for a start alone: those before it in the queue need not come first. */
  readonly waitsInside: boolean
}

/** Works out the next form of a limit: from what stands there, and from what one engine wants. */
export function planWrite(known: LimitDocument, wishes: Wishes): Plan {
  return new Planning(known, wishes).plan()
}

class Planning {
  readonly #wishes: Wishes
  readonly #document: LimitDocument
  readonly #own: Share
  readonly #confirmed: number[] = []
  readonly #granted: Request[] = []
  #isChanged = false
  #slots = 0
  #starts = 0
  #startsInside = 0
  readonly #waiting: Request[] = []
  #waitsInside = false

  constructor(known: LimitDocument, wishes: Wishes) {
    this.#wishes = wishes
    this.#document = copyDocument(known)
    this.#own = this.#document.shares[wishes.owner] ?? { holds: [], begins: [], waits: 0 }
  }

  plan(): Plan {
    this.#define()
    this.#takeBack()
    this.#tidy()
    const isHeldUp = this.#distribute()
    this.#takeTurns()
    const document = this.#document
    const { owner, now } = this.#wishes
    document.shares[owner] = this.#own
    for (const [name, share] of Object.entries(document.shares))
      if (share.holds.length + share.begins.length + share.waits === 0) delete document.shares[name]
    if (this.#isChanged) pruneStarts(document, now)
    return {
      document,
      isChanged: this.#isChanged,
      granted: this.#granted,
      waiting: this.#waiting,
      confirmed: this.#confirmed,
      isHeldUp,
      waitsInside: this.#waitsInside,
    }
  }

  #define(): void {
    const { define } = this.#wishes
    if (define === undefined) return
    const document = this.#document
    if (isSameLimit(document.limit, define.limit)) return
    document.limit = define.limit
    document.by = define.by
    this.#isChanged = true
  }

  /** What nodes have that are gone; a start that was promised to one of them may have happened. */
  #takeBack(): void {
    const document = this.#document
    const { gone, leaving } = this.#wishes
    for (const owner of gone) {
      const share = document.shares[owner]
      if (share === undefined) continue
      document.fresh += share.begins.length
      delete document.shares[owner]
      this.#isChanged = true
    }
    const queue = document.queue.filter((owner) => !leaving.has(owner))
    if (queue.length === document.queue.length) return
    document.queue = queue
    this.#isChanged = true
  }

  /** Of the engine's own entries, what it has no more. */
  #tidy(): void {
    const { requests, begun } = this.#wishes
    const own = this.#own
    const runs = new Set<string>()
    for (const { wish } of requests.values()) if (wish.slot) runs.add(wish.run)
    const holds = own.holds.filter((run) => runs.has(run))
    const begins = own.begins.filter((number) => !begun.has(number) && requests.has(number))
    for (const number of begun) {
      this.#confirmed.push(number)
      if (own.begins.includes(number)) this.#document.fresh++
    }
    if (holds.length === own.holds.length && begins.length === own.begins.length) return
    own.holds = holds
    own.begins = begins
    this.#isChanged = true
  }

  /** Gives what there is to the engine's requests, in their order. @returns Whether others could have had it, and did not */
  #distribute(): boolean {
    const { owner, now, skips, requests } = this.#wishes
    const document = this.#document
    // Its own share may be new, and nothing is granted from it yet.
    const before = waitingBefore(document, owner)
    const free = { slots: freeSlots(document), starts: freeStarts(document, now) }
    this.#slots = skips ? free.slots : free.slots - before
    this.#starts = skips ? free.starts : free.starts - before
    this.#startsInside = free.starts
    const holds = new Set(this.#own.holds)
    const begins = new Set(this.#own.begins)
    let slotsOver = false
    let startsOver = false
    for (const request of requests.values()) {
      if (request.isGranted) continue
      const { wish } = request
      const needsSlot = wish.slot && !holds.has(wish.run) && !this.#isElsewhere(wish.run)
      const needsStart = wish.start && !begins.has(request.number)
      const hasSlot = !needsSlot || (!slotsOver && this.#slots > 0)
      const isInside = wish.slot ? !needsSlot : holds.has(wish.run)
      const hasStart = !needsStart || (isInside ? this.#startsInside > 0 : !startsOver && this.#starts > 0)
      if (hasSlot && hasStart) this.#grant(request, needsSlot, needsStart)
      else {
        this.#waiting.push(request)
        if (isInside) this.#waitsInside = true
        // Nobody of the same engine overtakes.
        else if (!hasSlot) slotsOver = true
        if (!isInside && !hasStart) startsOver = true
      }
    }
    return this.#waiting.length > 0 && before > 0 && freeSlots(document) > 0 && freeStarts(document, now) > 0
  }

  /** Another node had the run, and its slot, before. */
  #isElsewhere(run: string): boolean {
    for (const [owner, { holds }] of Object.entries(this.#document.shares))
      if (owner !== this.#wishes.owner && holds.includes(run)) return true
    return false
  }

  #grant(request: Request, needsSlot: boolean, needsStart: boolean): void {
    const { limit, shares } = this.#document
    const { run, slot } = request.wish
    this.#granted.push(request)
    if (slot && !this.#own.holds.includes(run) && limit?.concurrency !== undefined) {
      for (const share of Object.values(shares)) share.holds = share.holds.filter((held) => held !== run)
      this.#own.holds.push(run)
      this.#isChanged = true
    }
    if (needsSlot) this.#slots--
    if (!needsStart) return
    this.#starts--
    this.#startsInside--
    if (limit?.rate === undefined) return
    this.#own.begins.push(request.number)
    this.#isChanged = true
  }

  /** Whoever still waits, and got something, lets those who wait with it come first. */
  #takeTurns(): void {
    const { owner, waiting, skips } = this.#wishes
    const document = this.#document
    const isQueued = document.queue.includes(owner)
    if (this.#waiting.length === 0) {
      if (isQueued) document.queue = document.queue.filter((other) => other !== owner)
    } else if (skips && this.#granted.length > 0) {
      const place = isQueued ? document.queue.indexOf(owner) : document.queue.length
      const late = document.queue.slice(0, place)
      const others = document.queue.slice(place).filter((other) => other !== owner)
      document.queue = [...others, ...late, owner]
    } else if (!isQueued || this.#granted.length > 0)
      document.queue = [...document.queue.filter((other) => other !== owner), owner]
    if (isQueued !== this.#waiting.length > 0) this.#isChanged = true
    // Of those that have not asked here yet, nothing is to stay behind: it is written only with what is written anyway.
    const isThere = this.#waiting.length + this.#own.holds.length > 0
    const waits = isThere ? Math.max(this.#waiting.length, waiting - this.#granted.length) : 0
    if (this.#own.waits > 0 !== waits > 0) this.#isChanged = true
    this.#own.waits = waits
  }
}
