import { uuidV4 } from '../base/ids.ts'
import type { Clock } from '../ports/clock.ts'
import type { Random } from '../ports/random.ts'
import { decodeValue, encodeValue } from '../values/codec.ts'
import { packPost, type Address } from './node-talk.ts'

/** What a courier needs of its node. */
export interface CourierHost {
  readonly node: string
  readonly clock: Clock
  readonly random: Random
  /** See `RemoteHost.ask`. */
  ask(node: string, topic: string, question: Uint8Array, withinMs: number): Promise<Uint8Array | undefined>
  /** Of these nodes, those that are gone for sure. */
  gone(nodes: readonly string[]): Promise<readonly string[]>
  /** Something went wrong that nobody is told of. */
  report(error: unknown): void
}

/** How long an answer may take, and how long it is waited before the next try: doubling. */
const answerMs = 1_000
const firstPauseMs = 20
const longestPauseMs = 1_000
/** How much goes with one message, in items. */
const mostItems = 500
/** How many lines are remembered that end here. */
const mostSeen = 10_000

/** What is on its way to one address, in order. */
interface Line {
  readonly address: Address
  /** Tells this line from those of other couriers, and of an earlier one to that address. */
  readonly session: string
  seq: number
  items: unknown[]
  /** What to call when all that was sent before has arrived, or never will. */
  waits: ((arrived: boolean) => void)[]
  isBusy: boolean
  isOver: boolean
}

/**
 * Brings items to other nodes: in order and each once, for as long as both live. What is sent in one turn goes as one message,
 * and the next goes when that is answered; one without an answer is repeated.
 */
export class Courier {
  readonly #host: CourierHost
  readonly #lines = new Map<string, Line>()
  /** Newest message of each line that ends here, also of nodes that are gone: one that was cut off may repeat it. */
  readonly #seen = new Map<string, number>()
  #isClosed = false

  constructor(host: CourierHost) {
    this.#host = host
  }

  send(address: Address, item: unknown): void {
    if (this.#isClosed) return
    const line = this.#line(address)
    line.items.push(item)
    this.#schedule(line)
  }

  /** Resolves when all that was sent to the address has arrived: with false where it never will. */
  arrived(address: Address): Promise<boolean> {
    const line = this.#lines.get(keyOf(address))
    if (line === undefined || (!line.isBusy && line.items.length === 0)) return Promise.resolve(true)
    return new Promise((resolve) => void line.waits.push(resolve))
  }

  /** Resolves when nothing is on its way. */
  async idle(): Promise<void> {
    await Promise.all([...this.#lines.values()].map(({ address }) => this.arrived(address)))
  }

  /** A node is gone: nothing is brought to it any more. */
  lost(node: string): void {
    for (const line of this.#lines.values()) if (line.address.node === node) this.#giveUp(line)
  }

  close(): void {
    this.#isClosed = true
    for (const line of this.#lines.values()) this.#giveUp(line)
  }

  #line(address: Address): Line {
    const key = keyOf(address)
    let line = this.#lines.get(key)
    if (line === undefined) {
      line = {
        address,
        session: uuidV4(this.#host.random),
        seq: 0,
        items: [],
        waits: [],
        isBusy: false,
        isOver: false,
      }
      this.#lines.set(key, line)
    }
    return line
  }

  #giveUp(line: Line): void {
    line.isOver = true
    this.#lines.delete(keyOf(line.address))
    for (const wait of line.waits.splice(0)) wait(false)
  }

  #schedule(line: Line): void {
    if (line.isBusy) return
    line.isBusy = true
    this.#host.clock.turn(() => void this.#bring(line))
  }

  async #bring(line: Line): Promise<void> {
    while (line.items.length > 0 && !line.isOver) {
      if (!(await this.#bringOne(line, line.items.splice(0, mostItems)))) break
    }
    if (!line.isOver) for (const wait of line.waits.splice(0)) wait(true)
    line.isBusy = false
  }

  async #bringOne(line: Line, items: readonly unknown[]): Promise<boolean> {
    const { clock } = this.#host
    const { address, session } = line
    line.seq++
    const message = packPost(encodeValue([session, line.seq, this.#host.node, items]))
    for (let pauseMs = firstPauseMs; !line.isOver; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      try {
        const answer = await this.#host.ask(address.node, address.topic, message, answerMs)
        if (answer !== undefined) return true
        if ((await this.#host.gone([address.node])).length > 0) this.#giveUp(line)
      } catch (error) {
        this.#host.report(error)
      }
      if (line.isOver) return false
      await new Promise<void>((resolve) => void clock.at(clock.now() + pauseMs, resolve))
    }
    return false
  }

  /**
   * A message has come.
   *
   * @param take - Called with each item in it that did not come before.
   * @returns What to answer.
   * @throws CodecError `MALFORMED_PAYLOAD` where it is none
   */
  receive(message: Uint8Array, take: (item: unknown, from: string) => void): Uint8Array {
    const [session, seq, from, items] = decodeValue(message) as [string, number, string, readonly unknown[]]
    if (seq <= (this.#seen.get(session) ?? 0)) return received
    this.#seen.delete(session)
    this.#seen.set(session, seq)
    for (const oldest of this.#seen.keys()) {
      if (this.#seen.size <= mostSeen) break
      this.#seen.delete(oldest)
    }
    for (const item of items) {
      try {
        take(item, from)
      } catch (error) {
        // The others must not suffer.
        this.#host.report(error)
      }
    }
    return received
  }
}

const received = Uint8Array.of(1)

function keyOf({ node, topic }: Address): string {
  return `${node}\u0000${topic}`
}
