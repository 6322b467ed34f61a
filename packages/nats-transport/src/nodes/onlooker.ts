import type { ClusterNodes, NodeInfo } from '@troupe/core'
import type { Link } from '../connection/link.ts'
import { Keys } from '../thread/keys.ts'
import type { Times } from '../times.ts'
import { askNode } from './questions.ts'

/** Nodes as one sees them that is none itself: it has no presence, and so no thread, and tells nobody of anything. */
export class Onlooker implements ClusterNodes {
  readonly #link: Link
  readonly #times: Times
  #keys: Promise<Keys> | undefined

  constructor(link: Link, times: Times) {
    this.#link = link
    this.#times = times
  }

  /** @throws UsageError `READ_ONLY` where it is to serve: it could not report what it did */
  async announce(_node: string, info?: NodeInfo): Promise<void> {
    const serves = info !== undefined && info.flows.length + Object.keys(info.queues).length > 0
    if (serves) this.#link.assertWrites('to serve flows or tasks')
    // Where there is no server, the engine learns of it here, and at once.
    await this.#link.control()
  }

  async withdraw(): Promise<void> {
    this.#link.assertOpen()
  }

  /** It takes nothing over, so it need not know. */
  async gone(): Promise<readonly string[]> {
    this.#link.assertOpen()
    return []
  }

  async list(): Promise<readonly NodeInfo[]> {
    this.#link.assertOpen()
    this.#keys ??= this.#open()
    return (await this.#keys).there()
  }

  lost(): () => void {
    this.#link.assertOpen()
    return () => undefined
  }

  answer(): () => void {
    this.#link.assertOpen()
    return () => undefined
  }

  ask(node: string, question: Uint8Array, withinMs: number): Promise<Uint8Array | undefined> {
    return askNode(this.#link, { node, question, withinMs })
  }

  /** Nobody asks it anything. */
  async close(): Promise<void> {}

  async #open(): Promise<Keys> {
    const { namespace, replicas = 1, storage } = this.#link.settings
    try {
      return new Keys(await this.#link.control(), { namespace, replicas, storage, times: this.#times })
    } catch (error) {
      this.#keys = undefined
      throw error
    }
  }
}
