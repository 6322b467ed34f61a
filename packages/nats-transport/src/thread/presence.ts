import type { Subscription } from '@nats-io/transport-node'
import { JournalError, TroupeError, type NodeInfo } from '@troupe/core'
import type { Connected } from '../connection/connected.ts'
import { isNoRoom } from '../connection/errors.ts'
import { Keys, nodeToken, type Key, type StoredKey } from './keys.ts'
import { LeaseKeeper } from './leases.ts'
import { pause, Pings } from './pings.ts'
import { Ring } from './ring.ts'
import { awayFor, awayWord, beatWord, fencedAfter, type Ask, type Away, type PresenceData } from './wires.ts'

/** How often it is looked whether the node is alive. */
const tickMs = 250
/** Between two tries to take a name, at least and at most. */
const retryMs = [250, 5_000] as const

const encoder = new TextEncoder()
const inProgress = encoder.encode('+WPI')

/** A name of this node. */
interface Announced {
  readonly node: string
  readonly session: string
  readonly info: NodeInfo
  revision: number
  /** When the newest write of its key that was answered began, by monotonic time. */
  confirmedAt: number
  answers: Subscription | undefined
  refresh: NodeJS.Timeout | undefined
  /** Whether pings are answered. */
  isThere: boolean
  /** Whether the node was there by another thread, and is not yet by this one. */
  isAgain: boolean
}

export interface PresenceEvents {
  readonly lost: (node: string) => void
  readonly away: (why: Away) => void
  readonly report: (error: unknown) => void
}

/**
 * Presence of a node: answers pings, keeps its keys, and prolongs what it holds. It has a connection and, where it can, a thread of its
 * own, so it goes on while user code blocks the node; and it ends where that takes too long, or where no server hears it.
 */
export class NodePresence {
  readonly #connected: Connected
  readonly #data: PresenceData
  readonly #events: PresenceEvents
  readonly #keys: Keys
  readonly #pings: Pings
  readonly #ring: Ring
  readonly #leases = new LeaseKeeper()
  readonly #pulse: Int32Array
  readonly #announced = new Map<string, Announced>()
  readonly #timers: NodeJS.Timeout[]
  #beat = -1
  #beatAt: number
  #isClosed = false

  constructor(connected: Connected, data: PresenceData, events: PresenceEvents) {
    const { times, namespace } = data
    this.#connected = connected
    this.#data = data
    this.#events = events
    this.#pulse = new Int32Array(data.pulse)
    this.#beatAt = performance.now()
    this.#keys = new Keys(connected, data)
    this.#pings = new Pings(connected, namespace, times)
    this.#ring = new Ring({
      connected,
      namespace,
      times,
      keys: this.#keys,
      pings: this.#pings,
      own: () =>
        [...this.#announced.values()].flatMap(({ node, isThere }) => (isThere ? [nodeToken(node)] : [])),
      lost: (node) => events.lost(node),
      report: (error) => events.report(error),
    })
    connected.onReconnect(() => this.#reconnected())
    this.#timers = [
      setInterval(() => this.#tick(), Math.min(tickMs, times.keyLifeMs / 20)),
      setInterval(() => this.#prolong(this.#leases.due()), times.ackWaitMs / 6),
    ]
  }

  addTable(table: SharedArrayBuffer): void {
    this.#leases.add(table)
  }

  /** @throws JournalError `NODE_IN_USE` */
  async announce({ node, session, info, isAgain }: Extract<Ask, { op: 'announce' }>): Promise<void> {
    if (this.#announced.has(node)) throw inUse(node)
    const announced: Announced = {
      node,
      session,
      info,
      revision: 0,
      confirmedAt: -Infinity,
      answers: undefined,
      refresh: undefined,
      isThere: false,
      isAgain,
    }
    this.#announced.set(node, announced)
    try {
      await this.#claimPatiently(announced)
    } catch (error) {
      this.#unlisten(announced)
      if (this.#announced.get(node) === announced) this.#announced.delete(node)
      throw error
    }
  }

  async withdraw(node: string): Promise<void> {
    const announced = this.#announced.get(node)
    if (announced === undefined) return
    this.#announced.delete(node)
    this.#unlisten(announced)
    await this.#leave(announced, 'bye')
  }

  async gone(nodes: readonly string[]): Promise<readonly string[]> {
    const gone = await Promise.all(nodes.map((node) => this.#ring.isGone(node)))
    return nodes.filter((_, index) => gone[index])
  }

  async list(): Promise<readonly NodeInfo[]> {
    return this.#keys.there()
  }

  /** Resolves when news of others are heard. */
  async listen(): Promise<void> {
    await this.#connected.patiently("can't listen to the news of nodes", () => this.#connected.nc.flush())
  }

  /** The node has let go of all it had, and is there again. */
  async back(): Promise<void> {
    for (const announced of this.#announced.values()) {
      if (!announced.isThere) await this.#claim(announced)
    }
    this.#beatAt = performance.now()
    Atomics.store(this.#pulse, awayWord, awayFor.there)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (const timer of this.#timers) clearInterval(timer)
    const names = [...this.#announced.keys()]
    const farewell = Promise.all(names.map((node) => this.withdraw(node)))
    // Where no server hears it, the key is forgotten soon.
    await Promise.race([
      farewell.catch((error: unknown) => this.#events.report(error)),
      pause(this.#data.times.refreshMs),
    ])
    this.#ring.close()
    await this.#connected.flush()
    await this.#connected.close()
  }

  /** Claims again what may be claimed later: a new name while the server is full, one of before until it is known whose it is. */
  async #claimPatiently(announced: Announced): Promise<void> {
    const { node, isAgain } = announced
    const [least, most] = retryMs
    for (let waitMs: number = least; ; waitMs = Math.min(waitMs * 2, most)) {
      // It comes `back`.
      if (isAgain && this.#isAway()) return
      try {
        await this.#claim(announced)
        return
      } catch (error) {
        if (announced.isThere) return
        this.#unlisten(announced)
        if (isAgain && TroupeError.is(error, 'NODE_IN_USE')) {
          this.#leaveAll(awayFor.replaced)
          return
        }
        if (this.#isClosed || !(isAgain || isNoRoom(error))) throw error
        this.#events.report(error)
        await pause(waitMs)
        if (this.#isClosed || this.#announced.get(node) !== announced) throw error
      }
    }
  }

  /** Takes a name, where nobody has it. One of before is not taken where the node has to let go of what it held first. */
  async #claim(announced: Announced): Promise<void> {
    const { node, session } = announced
    const { keyLifeMs, goneMs } = this.#data.times
    const until = performance.now() + keyLifeMs + goneMs * 2
    if ((await this.#pings.ping(nodeToken(node))) === 'there') throw inUse(node)
    // Before the key is there, so that nobody takes it for that of a dead node.
    this.#listen(announced)
    for (;;) {
      const found = await this.#keys.read(node)
      const isKept = found?.session === session && found.state === 'there'
      if (announced.isAgain && !isKept && !this.#isAway()) {
        this.#unlisten(announced)
        this.#leaveAll(whyAway(found, session))
        return
      }
      if (found?.state === 'there' && found.session !== session) {
        const verdict = await this.#othersVerdict(announced)
        // One that is silent keeps its name for as long as its key is written.
        if (verdict === 'there' || performance.now() > until) throw inUse(node)
        if (verdict === 'silent') continue
      }
      const startedAt = performance.now()
      const written = await this.#keys.write(node, this.#keyOf(announced, 'there'), found?.revision ?? 0)
      if (typeof written !== 'number') {
        await pause(goneMs / 6)
        continue
      }
      this.#confirmed(announced, written, startedAt)
      announced.isThere = true
      announced.isAgain = false
      announced.refresh ??= setInterval(() => void this.#refresh(announced), this.#data.times.refreshMs)
      this.#ring.here(node)
      return
    }
  }

  /** What others say who have the name. */
  async #othersVerdict(announced: Announced): Promise<'there' | 'nobody' | 'silent'> {
    this.#unlisten(announced)
    const verdict = await this.#pings.verdictOn(announced.node, () => this.#isClosed)
    this.#listen(announced)
    return verdict
  }

  #keyOf({ info, session }: Announced, state: Key['state']): Key {
    return { info, session, state }
  }

  #confirmed(announced: Announced, revision: number, startedAt: number): void {
    announced.revision = revision
    announced.confirmedAt = startedAt
  }

  #listen(announced: Announced): void {
    announced.answers ??= this.#connected.nc.subscribe(this.#pings.subjectOf(nodeToken(announced.node)), {
      callback: (error, message) => {
        if (error === null && announced.isThere) message.respond(announced.session)
      },
    })
  }

  #unlisten(announced: Announced): void {
    announced.isThere = false
    announced.answers?.unsubscribe()
    announced.answers = undefined
    clearInterval(announced.refresh)
    announced.refresh = undefined
  }

  async #refresh(announced: Announced): Promise<void> {
    if (!this.#connected.up || !announced.isThere) return
    const startedAt = performance.now()
    try {
      const { node, session, revision } = announced
      const key = this.#keyOf(announced, 'there')
      let written = await this.#keys.write(node, key, revision)
      // The server has lost it, and nobody has taken it: nobody has counted this node as gone.
      if (written === undefined && this.#isSure(announced)) written = await this.#keys.write(node, key, 0)
      if (this.#announced.get(node) !== announced || !announced.isThere) return
      if (typeof written === 'number') this.#confirmed(announced, written, startedAt)
      else if (written?.session === session && written.state === 'there')
        this.#confirmed(announced, written.revision, startedAt)
      else this.#leaveAll(whyAway(written, session))
    } catch (error) {
      // It is written again, until it is too late.
      if (!this.#isClosed) this.#events.report(error)
    }
  }

  /** Whether others can't have counted the node as gone because its key was too old. */
  #isSure({ confirmedAt }: Announced): boolean {
    return performance.now() - confirmedAt < this.#data.times.keyLifeMs * fencedAfter
  }

  #reconnected(): void {
    this.#prolong(this.#leases.all())
    for (const announced of this.#announced.values()) void this.#refresh(announced)
  }

  #prolong(subjects: readonly string[]): void {
    if (!this.#connected.up || this.#isAway()) return
    for (const subject of subjects) this.#connected.nc.publish(subject, inProgress)
  }

  #isAway(): boolean {
    return Atomics.load(this.#pulse, awayWord) !== awayFor.there
  }

  #tick(): void {
    const now = performance.now()
    const beat = Atomics.load(this.#pulse, beatWord)
    if (beat !== this.#beat) {
      this.#beat = beat
      this.#beatAt = now
    }
    if (this.#isAway()) return
    for (const announced of this.#announced.values()) {
      if (announced.isThere && !this.#isSure(announced)) {
        this.#leaveAll(awayFor.cutOff)
        return
      }
    }
    if (now - this.#beatAt >= this.#data.maxBlockedMs) this.#leaveAll(awayFor.blocked)
  }

  /** Lets go of everything: others may have it, or are to have it. */
  #leaveAll(why: Away): void {
    if (this.#isAway()) return
    Atomics.store(this.#pulse, awayWord, why)
    const held = this.#leases.all()
    this.#leases.lose()
    for (const announced of this.#announced.values()) {
      if (!announced.isThere) continue
      this.#unlisten(announced)
      if (why === awayFor.blocked)
        this.#leave(announced, 'lost').catch((error: unknown) => this.#events.report(error))
    }
    if (why === awayFor.blocked && this.#connected.up) {
      for (const subject of held) this.#connected.nc.publish(subject, encoder.encode('-NAK'))
    }
    this.#events.away(why)
  }

  async #leave(announced: Announced, state: 'bye' | 'lost'): Promise<void> {
    const { node, revision } = announced
    let written: Awaited<ReturnType<Keys['write']>>
    try {
      written = await this.#keys.write(node, this.#keyOf(announced, state), revision)
    } catch (error) {
      if (!isNoRoom(error)) throw error
      // The key can't say it, and is forgotten soon.
      this.#events.report(error)
    }
    // Where another one has the name, it is not lost.
    if (typeof written === 'number' || written === undefined) this.#ring.lost(node)
  }
}

/** Why a node is away whose key is not as it wrote it. */
function whyAway(found: StoredKey | undefined, session: string): Away {
  return found !== undefined && found.session !== session ? awayFor.replaced : awayFor.cutOff
}

function inUse(node: string): JournalError {
  return new JournalError(
    'NODE_IN_USE',
    `an engine that is called ${JSON.stringify(node)} is there already; give each engine its own \`node\``,
    { details: { node } },
  )
}
