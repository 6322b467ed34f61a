import type { Subscription } from '@nats-io/transport-node'
import type { Connected } from '../connection/connected.ts'
import type { Times } from '../times.ts'
import { nodeToken, type Keys, type StoredKey } from './keys.ts'
import { pause, type Pings } from './pings.ts'

/** How many pings lie between two looks at the keys of all. */
const pingsPerLook = 20
/** How many nodes behind the next one are pinged, too: one at each turn, for the next one may have died with the one that pings it. */
const further = 2

/** News of nodes, on the wire. */
interface News {
  readonly node: string
}

export interface RingParts {
  readonly connected: Connected
  readonly namespace: string
  readonly times: Times
  readonly keys: Keys
  readonly pings: Pings
  /** Tokens of the nodes that are here. */
  readonly own: () => readonly string[]
  /** Tells of a node that is gone. */
  readonly lost: (node: string) => void
  readonly report: (error: unknown) => void
}

/**
 * Finds nodes that have died: each node pings the one that follows it in the order of their names, the ones after that as soon as
 * nothing is heard of the first, and the two behind it in turns whatever is heard. What one finds, all are told.
 */
export class Ring {
  readonly #parts: RingParts
  readonly #subscriptions: Subscription[]
  /** Names of the nodes that are there, by their tokens; an empty one where it is not known yet. */
  readonly #peers = new Map<string, string>()
  readonly #examined = new Set<string>()
  #timer: NodeJS.Timeout | undefined
  #pings = 0
  #isLooking = false
  #isClosed = false

  constructor(parts: RingParts) {
    this.#parts = parts
    const { connected, namespace, times } = parts
    const listen = (subject: string, told: (node: string) => void): Subscription =>
      connected.nc.subscribe(`${namespace}.node.${subject}`, {
        callback: (error, message) => {
          if (error === null) told(message.json<News>().node)
        },
      })
    this.#subscriptions = [
      listen('here', (node) => this.#peers.set(nodeToken(node), node)),
      listen('lost', (node) => this.#told(node)),
    ]
    this.#timer = setInterval(() => this.#turn(), times.pingMs)
    this.#lookSoon()
  }

  /** Tells all that a node is there. */
  here(node: string): void {
    this.#publish('here', node)
  }

  /** Tells all that a node is gone. */
  lost(node: string): void {
    this.#publish('lost', node)
  }

  close(): void {
    this.#isClosed = true
    clearInterval(this.#timer)
    for (const subscription of this.#subscriptions) subscription.unsubscribe()
  }

  /**
   * Whether a node is gone: nobody has its name any more, or nobody has answered for so long that its key was forgotten. Its key
   * then says so, so that it learns of it when it is there after all.
   */
  async isGone(node: string): Promise<boolean> {
    const { keys, pings } = this.#parts
    const token = nodeToken(node)
    if (this.#parts.own().includes(token)) return false
    const key = await keys.read(node)
    if (key !== undefined && key.state !== 'there') return true
    const verdict = await pings.verdictOn(node, () => this.#isClosed)
    if (verdict === 'there') return false
    const now = await keys.read(node)
    if (now === undefined || now.state !== 'there') return true
    if (verdict === 'silent' || now.session !== (key?.session ?? now.session)) return false
    return this.#buried(now)
  }

  /** @returns Whether the node has not written its key in the meantime */
  async #buried({ revision, ...key }: StoredKey): Promise<boolean> {
    const { keys } = this.#parts
    const written = await keys.write(key.info.node, { ...key, state: 'lost' }, revision)
    if (typeof written === 'object' && written.state === 'there') return false
    if (typeof written === 'number') this.lost(key.info.node)
    return true
  }

  #publish(subject: string, node: string): void {
    const { connected, namespace } = this.#parts
    if (connected.up) connected.nc.publish(`${namespace}.node.${subject}`, JSON.stringify({ node }))
  }

  #told(node: string): void {
    this.#peers.delete(nodeToken(node))
    this.#parts.lost(node)
  }

  #turn(): void {
    const { connected, own, report } = this.#parts
    if (!connected.up) return
    if (this.#pings++ % pingsPerLook === 0) this.#lookSoon()
    const [first] = own()
    if (first === undefined) return
    const ring = this.#ringAfter(first)
    this.#pingNext(ring).catch(report)
    const behind = ring[1 + (this.#pings % further)]
    if (behind !== undefined) this.#ping(behind).catch(report)
  }

  /** The others, from the one that follows. */
  #ringAfter(own: string): readonly string[] {
    const mine = this.#parts.own()
    const tokens = [...this.#peers.keys()].filter((token) => !mine.includes(token)).toSorted()
    const after = tokens.findIndex((token) => token > own)
    return after === -1 ? tokens : [...tokens.slice(after), ...tokens.slice(0, after)]
  }

  /** Pings the neighbour, and the next ones where nothing is heard of it. */
  async #pingNext(ring: readonly string[]): Promise<void> {
    for (const token of ring) if (await this.#ping(token)) return
  }

  /** @returns Whether nothing speaks against its being there */
  async #ping(token: string): Promise<boolean> {
    const pong = await this.#parts.pings.ping(token)
    if (pong === 'there' || pong === 'down' || this.#isClosed) return true
    this.#examine(token)
    return false
  }

  #examine(token: string): void {
    if (this.#examined.has(token)) return
    this.#examined.add(token)
    this.#judge(token)
      .catch((error: unknown) => {
        if (!this.#isClosed) this.#parts.report(error)
      })
      .finally(() => this.#examined.delete(token))
  }

  async #judge(token: string): Promise<void> {
    const node = this.#peers.get(token)
    if (node === undefined) return
    const known = node === '' ? (await this.#parts.keys.ofToken(token))?.info.node : node
    if (known === undefined) {
      this.#peers.delete(token)
      return
    }
    this.#peers.set(token, known)
    if (!(await this.isGone(known)) || this.#isClosed) return
    // Whoever else found it has told of it, perhaps while this node could not hear.
    if (this.#peers.has(token)) this.lost(known)
  }

  #lookSoon(): void {
    if (this.#isLooking) return
    this.#isLooking = true
    this.#look()
      .catch((error: unknown) => {
        if (!this.#isClosed) this.#parts.report(error)
      })
      .finally(() => (this.#isLooking = false))
  }

  /** Compares the keys with what is known: news are lost while there is no connection. */
  async #look(): Promise<void> {
    const { keys } = this.#parts
    const tokens = new Set(await keys.tokens())
    for (const token of tokens) {
      if (this.#peers.has(token)) continue
      const key = await keys.ofToken(token)
      if (key?.state === 'there') this.#peers.set(token, key.info.node)
    }
    // One whose key is not there any more, or says so, is gone, or has lost its key.
    for (const token of this.#peers.keys()) {
      if (!tokens.has(token)) this.#examine(token)
    }
    await pause(0)
  }
}
