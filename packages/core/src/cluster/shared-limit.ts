import { callOutside } from '../base/context-store.ts'
import type { Limit } from '../engine/limit.ts'
import type { Clock } from '../ports/clock.ts'
import type { Random } from '../ports/random.ts'
import type { Register, Registered } from '../ports/register.ts'
import {
  freeSlots,
  freeStarts,
  heldOf,
  isEmpty,
  isSameLimit,
  readDocument,
  waitForStarts,
  waitingBefore,
  writeDocument,
  type LimitDocument,
} from './limit-document.ts'
import { planWrite, type Plan } from './limit-plan.ts'
import { Pauses } from './pauses.ts'
import type { Peers } from './peers.ts'
import { Request, type RequestChanges, type SlotRequest, type SlotWish } from './slot-request.ts'

/** What limits of a cluster need, and whom they tell. */
export interface SharedLimitHost {
  readonly register: Register
  readonly peers: Peers
  readonly clock: Clock
  readonly random: Random
  report(error: unknown): void
  /** The limit was set, changed or taken away, on any node. */
  defined(limit: SharedLimit): void
  /** There may be room for runs that wait in this engine. */
  changed(limit: SharedLimit): void
  /** Runs that wait in this engine, those that have asked included. */
  waiting(limit: SharedLimit): number
  /** What stands in the register can't be read, or can again. */
  read(limit: SharedLimit, isReadable: boolean): void
}

/** What is known of the register, and since when. */
interface Known {
  readonly document: LimitDocument
  readonly revision: number
  readonly writtenAt: number
  readonly seenAt: number
}

/** Opens once. */
class Gate {
  open: () => void = () => undefined
  readonly opened = new Promise<void>((resolve) => (this.open = resolve))
}

/** How often a run that waits looks whether it missed something. */
const lookAgainMs = 5_000
/** How long slots of a node that is gone are kept for whoever goes on with its runs. */
export const keptMs = 3_000
/** How long a node may leave what it could have before others come first. */
const patienceMs = 250
/** How old what `list` shows may be where nobody waits. */
const refreshMs = 1_000

/**
 * One limit of the cluster, as one engine sees it. Of the engine's own entries in the register the engine knows what they
 * should be; it writes until they are. Everything that comes together is one write, and one write is on its way at once.
 */
export class SharedLimit {
  /** Its key in the register. */
  readonly name: string
  /** What counts here: as it was set here or, after that, by others. */
  limit: Limit | undefined
  /** The node that set it, where that is known. */
  by: string | undefined
  /** How many runs of this engine may ask at once. */
  window = 1
  readonly #host: SharedLimitHost
  readonly #pauses: Pauses
  readonly #requests = new Map<number, Request>()
  #asking = 0
  /** Requests that have begun, and whose start the register does not know yet. */
  readonly #begun = new Set<number>()
  #counter = 0
  /** What is to be written as its definition. */
  #wanted: { readonly limit: Limit | undefined } | undefined
  #known: Known | undefined
  #isStale = true
  /** A write was not answered: another one must be, before it is known what stands there. */
  #isUncertain = false
  #loop: Promise<void> | undefined
  #isDue = false
  #stopTimer: (() => void) | undefined
  #refreshes = false
  #readsSoon = false
  /** Whether to look for nodes that are gone, though nobody waits. */
  #looksForGone = false
  #askedPeersAt = Number.NEGATIVE_INFINITY
  readonly #goneSince = new Map<string, number>()
  /** The engine whose turn it is, where it could go on and does not, and this one waits for that. */
  #heldUpBy: string | undefined
  #heldUpSince = 0
  #waitsInside = false
  #isClosing = false
  /** There where what stands in the register can't be read. */
  #readable: Gate | undefined
  /** Whoever waits until it is known, or known to be unreadable. */
  #loaded: (() => void) | undefined

  constructor(name: string, host: SharedLimitHost) {
    this.name = name
    this.#host = host
    this.#pauses = new Pauses(host.clock, host.random)
  }

  ask(wish: SlotWish): SlotRequest {
    const request = new Request(++this.#counter, wish, this.#changes)
    this.#requests.set(request.number, request)
    this.#asking++
    this.#kick()
    return request
  }

  readonly #changes: RequestChanges = {
    begun: ({ number }) => {
      this.#begun.add(number)
      this.#kick()
    },
    released: ({ number, isGranted }) => {
      this.#requests.delete(number)
      if (!isGranted) this.#asking--
      this.#kick()
    },
  }

  /** Sets it, or takes it away, for all nodes. */
  define(limit: Limit | undefined): void {
    this.#wanted = { limit }
    this.limit = limit
    this.#kick()
  }

  /** Whether this engine is about to set it or take it away. */
  get isBeingSet(): boolean {
    return this.#wanted !== undefined
  }

  /** It was written, or may have been. */
  noticed(): void {
    this.#isStale = true
    if (this.limit === undefined || this.#wanted !== undefined) this.#kick()
    else if (this.#asking > 0 || this.#host.waiting(this) > 0) this.#readSoon()
    else this.#refreshLater()
  }

  /** Those who are next read at once, others when it may be their turn. */
  #readSoon(): void {
    if (this.#readsSoon) return
    const { document } = this.#known ?? {}
    const place = document === undefined ? 0 : document.queue.indexOf(this.#host.peers.owner)
    if (place <= 0) {
      this.#kick()
      return
    }
    this.#readsSoon = true
    void this.#pauses.wait(Math.min(50, 5 * place)).then(() => {
      this.#readsSoon = false
      this.#kick()
    })
  }

  #refreshLater(): void {
    if (this.#refreshes) return
    this.#refreshes = true
    void this.#pauses.wait(refreshMs).then(() => {
      this.#refreshes = false
      if (this.#isStale) this.#kick()
    })
  }

  /**
   * Reads it, and takes back what nodes have that are gone. Resolves when it is known; or can't be read, which must not keep the
   * others from being known.
   */
  async load(): Promise<void> {
    this.lookForGone()
    await Promise.race([this.#loop, new Promise<void>((resolve) => (this.#loaded = resolve))])
  }

  /** Where what stands in the register can't be read: resolves when it can be. */
  get readable(): Promise<void> | undefined {
    return this.#readable?.opened
  }

  /** A node is gone. */
  lookForGone(): void {
    this.#looksForGone = true
    this.#isStale = true
    this.#kick()
  }

  /** Whether a run has a slot that it got on another node. */
  hasElsewhere(run: string): boolean {
    const { shares = {} } = this.#known?.document ?? {}
    const { owner } = this.#host.peers
    return Object.entries(shares).some(([name, { holds }]) => name !== owner && holds.includes(run))
  }

  /** Runs that have a slot or wait for one on other nodes, as far as it is known. */
  elsewhere(): { readonly held: number; readonly waiting: number } {
    const { document } = this.#known ?? {}
    if (document === undefined) return { held: 0, waiting: 0 }
    const { owner } = this.#host.peers
    const others = Object.entries(document.shares).filter(([name]) => name !== owner)
    const waiting = others.reduce((sum, [, share]) => sum + share.waits, 0)
    return { held: heldOf(document) - (document.shares[owner]?.holds.length ?? 0), waiting }
  }

  // --- the loop ---------------------------------------------------------------------------------------------------

  #kick(): void {
    this.#isDue = true
    if (this.#pauses.isStopped) return
    // What is done in the same turn goes into one write.
    if (this.#loop !== undefined) return
    callOutside(() => {
      this.#loop = Promise.resolve().then(() => this.#run())
    })
  }

  async #run(): Promise<void> {
    this.#disarm()
    while (this.#isDue && !this.#pauses.isStopped) {
      this.#isDue = false
      try {
        await this.#step()
      } catch (error) {
        this.#isStale = true
        this.#isDue = true
        await this.#pauses.failed(error, (what) => this.#host.report(what))
      }
    }
    this.#loop = undefined
    if (!this.#isClosing) this.#arm()
  }

  async #step(): Promise<void> {
    const known = this.#isStale || this.#known === undefined ? await this.#read() : this.#known
    if (this.#shouldAskPeers()) await this.#askPeers(known.document)
    const wanted = this.#wanted
    const plan = this.#plan(known)
    if (this.#mustWrite(known, plan) && !(await this.#write(known, plan))) {
      this.#isDue = true
      await this.#pauses.refused()
      return
    }
    this.#pauses.worked()
    if (this.#wanted === wanted) this.#wanted = undefined
    if (plan.granted.length > 0) this.#heldUpBy = undefined
    this.#grant(plan)
  }

  #mustWrite({ revision }: Known, { document, isChanged }: Plan): boolean {
    if (this.#isUncertain) return true
    return isEmpty(document) ? revision > 0 : isChanged
  }

  async #read(): Promise<Known> {
    const { register, clock } = this.#host
    // What is noticed from here on may be newer than the answer.
    this.#isStale = false
    const registered = await register.get(this.name)
    const { revision = 0, writtenAt = 0 } = registered ?? {}
    if (this.#known?.revision === revision && this.#known.writtenAt === writtenAt) {
      this.#canBeRead()
      return this.#known
    }
    const known = { document: this.#readDocument(registered), revision, writtenAt, seenAt: clock.monotonic() }
    this.#known = known
    for (const number of this.#begun)
      if (known.document.shares[this.#host.peers.owner]?.begins.includes(number) !== true)
        this.#begun.delete(number)
    this.#follow(known.document)
    return known
  }

  /** @throws CodecError where it can't be read: unlike a store that does not answer, that is not over in a moment */
  #readDocument(registered: Registered | undefined): LimitDocument {
    try {
      const document = readDocument(this.name, registered)
      this.#canBeRead()
      return document
    } catch (error) {
      if (this.#readable === undefined) this.#host.read(this, false)
      this.#readable ??= new Gate()
      this.#loaded?.()
      throw error
    }
  }

  #canBeRead(): void {
    if (this.#readable === undefined) return
    this.#host.read(this, true)
    this.#readable.open()
    this.#readable = undefined
  }

  #follow({ limit, by }: LimitDocument): void {
    this.by = by
    if (this.#wanted !== undefined || isSameLimit(limit, this.limit)) return
    this.limit = limit
    this.#host.defined(this)
  }

  #shouldAskPeers(): boolean {
    if (this.#looksForGone || this.#takenBack().length > 0) return true
    return this.#asking > 0 && this.#host.clock.monotonic() - this.#askedPeersAt >= lookAgainMs
  }

  async #askPeers({ shares, queue }: LimitDocument): Promise<void> {
    const { peers, clock } = this.#host
    this.#looksForGone = false
    this.#askedPeersAt = clock.monotonic()
    try {
      const gone = await peers.gone([...Object.keys(shares), ...queue])
      // One that was cut off may be there again, and what it writes from then on is its own.
      for (const owner of this.#goneSince.keys()) if (!gone.has(owner)) this.#goneSince.delete(owner)
      for (const owner of gone) if (!this.#goneSince.has(owner)) this.#goneSince.set(owner, clock.monotonic())
    } catch (error) {
      this.#looksForGone = true
      throw error
    }
  }

  #plan(known: Known): Plan {
    const { peers, clock } = this.#host
    const now = clock.monotonic()
    this.#forgetGone(known.document)
    const plan = planWrite(known.document, {
      owner: peers.owner,
      now: this.#storeTime(known),
      define: this.#wanted === undefined ? undefined : { ...this.#wanted, by: peers.node },
      gone: this.#takenBack(),
      leaving: new Set(this.#goneSince.keys()),
      requests: this.#requests,
      begun: this.#begun,
      waiting: this.#host.waiting(this),
      skips: this.#heldUpBy !== undefined && now - this.#heldUpSince >= patienceMs,
    })
    this.#waitsInside = plan.waitsInside
    const by = plan.isHeldUp ? plan.document.queue[0] : undefined
    if (by !== this.#heldUpBy) this.#heldUpSince = now
    this.#heldUpBy = by
    return plan
  }

  /** Nodes that have been gone for so long that what they had is free. */
  #takenBack(): readonly string[] {
    const now = this.#host.clock.monotonic()
    return [...this.#goneSince].filter(([, since]) => now - since >= keptMs).map(([owner]) => owner)
  }

  #forgetGone({ shares, queue }: LimitDocument): void {
    for (const owner of this.#goneSince.keys())
      if (shares[owner] === undefined && !queue.includes(owner)) this.#goneSince.delete(owner)
  }

  /** A time that the clock of the store has reached: later than the newest write by what has passed since it was read. */
  #storeTime({ writtenAt, seenAt }: Known): number {
    return writtenAt + this.#host.clock.monotonic() - seenAt
  }

  /** @returns False where another write came first. */
  async #write(known: Known, plan: Plan): Promise<boolean> {
    const { register } = this.#host
    const { document } = plan
    const { revision } = known
    const deletes = isEmpty(document) && revision > 0
    this.#isUncertain = true
    const stored = deletes
      ? (await register.delete(this.name, revision)) && 0
      : await register.put(this.name, writeDocument(document), revision)
    this.#isUncertain = false
    if (stored === undefined || stored === false) {
      this.#isStale = true
      return false
    }
    // Written to make sure: nothing is to stay of it.
    if (isEmpty(document) && !deletes) this.#isDue = true
    for (const number of plan.confirmed) this.#begun.delete(number)
    this.#known = { ...known, document, revision: stored }
    return true
  }

  #grant({ granted, waiting, document }: Plan): void {
    for (const request of granted) {
      // It may have been given back while that was written.
      if (this.#requests.get(request.number) !== request || request.isGranted) this.#isDue = true
      else {
        this.#asking--
        request.grant(document.shares[this.#host.peers.owner]?.begins.includes(request.number) === true)
      }
    }
    this.#openWindow(document)
    for (const request of waiting) if (this.#requests.has(request.number)) request.tellToWait()
  }

  #openWindow(document: LimitDocument): void {
    const known = this.#known
    if (known === undefined) return
    const before = waitingBefore(document, this.#host.peers.owner)
    const free = Math.min(freeSlots(document), freeStarts(document, this.#storeTime(known)))
    this.window = Math.max(1, free - before)
    this.#host.changed(this)
  }

  // --- time -------------------------------------------------------------------------------------------------------

  /** Nothing is on its way: what is waited for comes by itself, or with time. */
  #arm(): void {
    const known = this.#known
    if (known === undefined || this.#pauses.isStopped) return
    const waits = this.#asking > 0
    this.#forgetGone(known.document)
    const times = waits ? [this.#pauses.jittered(lookAgainMs), ...this.#timesOf(known)] : []
    if (this.#goneSince.size > 0) times.push(this.#untilTakenBack(waits))
    if (times.length === 0) return
    const { clock } = this.#host
    const isPlain = times[0] === Math.min(...times)
    this.#stopTimer = clock.at(clock.now() + Math.ceil(Math.max(0, Math.min(...times))), () => {
      if (isPlain && waits) this.#isStale = true
      this.#kick()
    })
  }

  #timesOf(known: Known): number[] {
    const { document } = known
    const now = this.#storeTime(known)
    const before = waitingBefore(document, this.#host.peers.owner)
    const forStarts = waitForStarts(document, now, before + 1)
    const times = []
    if (this.#waitsInside) times.push(waitForStarts(document, now, 1))
    if (this.#heldUpBy !== undefined)
      times.push(this.#heldUpSince + patienceMs - this.#host.clock.monotonic())
    if (freeSlots(document) > 0 && forStarts > 0) times.push(forStarts)
    return times
  }

  #untilTakenBack(waits: boolean): number {
    const since = Math.min(...this.#goneSince.values())
    const left = Math.max(0, since + keptMs - this.#host.clock.monotonic())
    // Where nobody waits, one node is enough.
    return waits ? left : left + this.#host.random.number() * keptMs
  }

  #disarm(): void {
    this.#stopTimer?.()
    this.#stopTimer = undefined
  }

  /** What the runs of this engine have given back is written. Resolves when it is. */
  async close(): Promise<void> {
    this.#isClosing = true
    this.#disarm()
    if (this.#isUncertain || this.#wanted !== undefined || this.#hasOwn()) this.#kick()
    await this.#loop
  }

  #hasOwn(): boolean {
    const { document } = this.#known ?? {}
    const { owner } = this.#host.peers
    return document !== undefined && (owner in document.shares || document.queue.includes(owner))
  }

  /** Lets go, written or not. */
  stop(): void {
    this.#isClosing = true
    this.#disarm()
    this.#pauses.stop()
  }
}
