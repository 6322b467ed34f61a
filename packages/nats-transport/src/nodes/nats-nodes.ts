import type { ClusterNodes, NodeInfo } from '@troupe/core'
import type { Connected } from '../connection/connected.ts'
import type { Link } from '../connection/link.ts'
import type { Presence } from '../thread/link.ts'
import { askNode, questionsTo } from './questions.ts'

export interface NodesParts {
  readonly link: Link
  readonly presence: Presence
  /** Called when the node is known as one that serves flows. */
  readonly serves?: () => void
}

/** Nodes of a namespace: presence is its thread's, and questions are requests of core NATS. */
export class NatsNodes implements ClusterNodes {
  readonly #link: Link
  readonly #presence: Presence
  readonly #serves: (() => void) | undefined
  readonly #answers = new Set<() => void>()

  constructor({ link, presence, serves }: NodesParts) {
    this.#serves = serves
    this.#link = link
    this.#presence = presence
  }

  async announce(node: string, info: NodeInfo = { node, flows: [], queues: {} }): Promise<void> {
    this.#link.assertOpen()
    // Where there is no server, the node learns of it here, and at once.
    await this.#link.control()
    await this.#presence.announce(node, info)
    if (info.flows.length > 0) this.#serves?.()
  }

  async withdraw(node: string): Promise<void> {
    this.#link.assertOpen()
    await this.#presence.withdraw(node)
  }

  async gone(nodes: readonly string[]): Promise<readonly string[]> {
    this.#link.assertOpen()
    return nodes.length === 0 ? [] : this.#presence.gone(nodes)
  }

  async list(): Promise<readonly NodeInfo[]> {
    this.#link.assertOpen()
    return this.#presence.list()
  }

  lost(listener: (node: string) => void): () => void {
    this.#link.assertOpen()
    this.#presence.start()
    return this.#presence.onLost(listener)
  }

  answer(node: string, listener: (question: Uint8Array) => Promise<Uint8Array>): () => void {
    this.#link.assertOpen()
    let isOver = false
    let end = (): void => {}
    this.#link.control().then(
      (connected) => {
        if (!isOver) end = this.#answerOver(connected, node, listener)
      },
      (error: unknown) => {
        if (!this.#link.closed) this.#link.host.report(error)
      },
    )
    const stop = (): void => {
      if (isOver) return
      isOver = true
      this.#answers.delete(stop)
      end()
    }
    this.#answers.add(stop)
    return stop
  }

  /** Answers nothing more: who asks from now on hears at once that nobody listens. */
  async close(): Promise<void> {
    if (this.#answers.size === 0) return
    for (const stop of this.#answers) stop()
    // A server learns of the end of a connection later than of what was sent before it.
    await (await this.#link.control()).flush()
  }

  ask(node: string, question: Uint8Array, withinMs: number): Promise<Uint8Array | undefined> {
    return askNode(this.#link, { node, question, withinMs })
  }

  #answerOver(
    connected: Connected,
    node: string,
    listener: (question: Uint8Array) => Promise<Uint8Array>,
  ): () => void {
    const subscription = connected.nc.subscribe(questionsTo(this.#link, node), {
      callback: (error, message) => {
        if (error !== null) return
        // What it throws goes to nobody: whoever asked hears nothing.
        Promise.resolve(new Uint8Array(message.data))
          .then(listener)
          .then((answer) => message.respond(answer))
          .catch(() => undefined)
      },
    })
    return () => subscription.unsubscribe()
  }
}
