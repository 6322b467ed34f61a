import type { StoredMsg } from '@nats-io/jetstream'
import { nanos } from '@nats-io/transport-node'
import type { NodeInfo } from '@troupe/core'
import type { Connected } from '../connection/connected.ts'
import { lastOf, store } from '../connection/store.ts'
import { ensureStream } from '../connection/streams.ts'
import { subjectsOf } from '../queue/subjects.ts'
import { tokenOf } from '../tokens.ts'
import type { PresenceData } from './wires.ts'

/** Longest token of a node's name. */
const longestName = 64

/** What a node's key says: it is there, it said goodbye, or others found that it is gone. */
export type KeyState = 'there' | 'bye' | 'lost'

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
  readonly #data: PresenceData
  readonly #stream: string
  readonly #prefix: string
  #made: Promise<unknown> | undefined
  #writes = 0

  constructor(connected: Connected, data: PresenceData) {
    const bucket = `${data.namespace}_node`
    this.#connected = connected
    this.#data = data
    this.#stream = `KV_${bucket}`
    this.#prefix = `$KV.${bucket}.`
  }

  async read(node: string): Promise<StoredKey | undefined> {
    await this.#make()
    const { refreshMs } = this.#data.times
    return keyOf(await lastOf(this.#connected, this.#stream, this.#subjectOf(node), refreshMs * 2))
  }

  /**
   * Writes a key over a revision, 0 for none.
   *
   * @returns Its revision, or the key that another one wrote; undefined where there is none at all
   */
  async write(node: string, key: Key, expected: number): Promise<number | StoredKey | undefined> {
    await this.#make()
    const stored = await store(this.#connected, {
      stream: this.#stream,
      subject: this.#subjectOf(node),
      payload: new TextEncoder().encode(JSON.stringify(key)),
      id: `${key.session}.${key.state}.${++this.#writes}`,
      expected,
      forMs: this.#data.times.refreshMs,
    })
    if (stored.kind === 'stored') return stored.seq
    return stored.kind === 'moved' ? keyOf(stored.last) : undefined
  }

  /** Tokens of all names that have a key. */
  async tokens(): Promise<string[]> {
    await this.#make()
    const tokens: string[] = []
    for (;;) {
      const page = await subjectsOf(this.#connected, this.#stream, `${this.#prefix}>`, tokens.length)
      const subjects = Object.keys(page.subjects)
      tokens.push(...subjects.map((subject) => subject.slice(this.#prefix.length)))
      if (subjects.length === 0 || tokens.length >= page.total) return tokens
    }
  }

  async ofToken(token: string): Promise<StoredKey | undefined> {
    return keyOf(await lastOf(this.#connected, this.#stream, this.#prefix + token))
  }

  /** The bucket may have been deleted. */
  forget(): void {
    this.#made = undefined
  }

  #subjectOf(node: string): string {
    return this.#prefix + nodeToken(node)
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
