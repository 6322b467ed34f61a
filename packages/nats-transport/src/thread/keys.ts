import type { StoredMsg } from '@nats-io/jetstream'
import { nanos } from '@nats-io/transport-node'
import type { NodeInfo } from '@troupe/core'
import { patienceMs, type Connected } from '../connection/connected.ts'
import { noRoom } from '../connection/errors.ts'
import { isStreamGone, lastOf, store } from '../connection/store.ts'
import { ensureStream } from '../connection/streams.ts'
import { subjectsOf } from '../queue/subjects.ts'
import { tokenOf } from '../tokens.ts'
import type { PresenceData } from './wires.ts'

/** Longest token of a node's name. */
const longestName = 64

/** What has to be known of where keys are. */
export type KeysData = Pick<PresenceData, 'namespace' | 'replicas' | 'storage' | 'times'>

/** What a node's key says: it is there, it said goodbye, or others found that it is gone. */
type KeyState = 'there' | 'bye' | 'lost'

export interface Key {
  readonly info: NodeInfo
  /** Tells two nodes of one name apart. */
  readonly session: string
  readonly state: KeyState
}

export interface StoredKey extends Key {
  readonly revision: number
}

export const nodeToken = (node: string): string => tokenOf(node, longestName)

/**
 * The keys of nodes: a bucket of NATS's key-value store whose keys are forgotten where they are not written again. In a file, so that
 * a server that is started again does not forget them all.
 */
export class Keys {
  readonly #connected: Connected
  readonly #data: KeysData
  readonly #stream: string
  readonly #prefix: string
  #made: Promise<unknown> | undefined
  #writes = 0

  constructor(connected: Connected, data: KeysData) {
    const bucket = `${data.namespace}_node`
    this.#connected = connected
    this.#data = data
    this.#stream = `KV_${bucket}`
    this.#prefix = `$KV.${bucket}.`
  }

  async read(node: string): Promise<StoredKey | undefined> {
    return this.ofToken(nodeToken(node))
  }

  /**
   * Writes a key over a revision, 0 for none.
   *
   * @returns Its revision, or the key that another one wrote; undefined where there is none at all
   * @throws JournalError `TRANSPORT_UNAVAILABLE`, with the reason `full` where there is no room: nothing is known of the key then
   */
  async write(node: string, key: Key, expected: number): Promise<number | StoredKey | undefined> {
    const message = {
      stream: this.#stream,
      subject: this.#prefix + nodeToken(node),
      payload: new TextEncoder().encode(JSON.stringify(key)),
      id: `${key.session}.${key.state}.${++this.#writes}`,
      expected,
      forMs: this.#data.times.refreshMs,
    }
    const stored = await this.#inBucket(() => store(this.#connected, message))
    if (stored.kind === 'stored') return stored.seq
    if (stored.kind === 'moved') return keyOf(stored.last)
    const refused = { stream: this.#stream, said: stored.refusal.description }
    throw noRoom(`can't write the key of ${key.info.node}`, this.#connected.where, refused)
  }

  /** Tokens of all names that have a key. */
  async tokens(): Promise<string[]> {
    const tokens: string[] = []
    for (;;) {
      const page = await this.#inBucket(() =>
        subjectsOf(this.#connected, this.#stream, `${this.#prefix}>`, tokens.length),
      )
      const subjects = Object.keys(page.subjects)
      tokens.push(...subjects.map((subject) => subject.slice(this.#prefix.length)))
      if (subjects.length === 0 || tokens.length >= page.total) return tokens
    }
  }

  /** @param forMs - How long to ask; by default so long that what keeps names goes on soon. */
  async ofToken(token: string, forMs = this.#data.times.refreshMs * 2): Promise<StoredKey | undefined> {
    const subject = this.#prefix + token
    return keyOf(await this.#inBucket(() => lastOf(this.#connected, this.#stream, subject, forMs)))
  }

  /** Nodes that are there. As patient as any question of a user: an election may take longer than presence itself can wait. */
  async there(): Promise<NodeInfo[]> {
    const keys = await Promise.all((await this.tokens()).map((token) => this.ofToken(token, patienceMs)))
    return keys.flatMap((key) => (key?.state === 'there' ? [key.info] : []))
  }

  /** Makes the bucket first, and anew where somebody deleted it. */
  async #inBucket<T>(ask: () => Promise<T>): Promise<T> {
    await this.#make()
    try {
      return await ask()
    } catch (error) {
      if (!isStreamGone(error)) throw error
      this.#made = undefined
      await this.#make()
      return ask()
    }
  }

  #make(): Promise<unknown> {
    if (this.#made === undefined) {
      const { times, replicas, storage } = this.#data
      const life = nanos(times.keyLifeMs)
      // As the client's own key-value store makes its streams.
      this.#made = ensureStream(this.#connected, {
        name: this.#stream,
        subjects: [`${this.#prefix}>`],
        retention: 'limits',
        storage,
        num_replicas: replicas,
        max_msgs_per_subject: 1,
        discard: 'new',
        max_age: life,
        duplicate_window: life,
        deny_delete: true,
        allow_rollup_hdrs: true,
      })
      this.#made.catch(() => (this.#made = undefined))
    }
    return this.#made
  }
}

function keyOf(message: StoredMsg | undefined): StoredKey | undefined {
  if (message === undefined || message.data.length === 0) return undefined
  return { ...message.json<Key>(), revision: message.seq }
}
