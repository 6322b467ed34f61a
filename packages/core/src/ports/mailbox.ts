/** What is sent to a flow run that another engine may own. @public */
export interface MailMessage {
  /** Given by the sender: a message that is sent twice is received once. */
  readonly id: string
  readonly flowRunId: string
  /** The node that is believed to own the flow run, where the sender knows: it hears of the message first. */
  readonly owner?: string
  /** What it is, encoded by the engine; no adapter reads it. */
  readonly body: Uint8Array
}

/**
 * Where messages to flow runs arrive: signals, inputs, and what steers a run, from engines that do not own it. A message
 * waits there until the owner has recorded what it says, and confirms it; also while no engine owns the run.
 *
 * Every adapter is held to `mailboxConformance` of `@troupe/core/testing`.
 *
 * @public
 */
export interface Mailbox {
  /** Resolves when the message is as safe as an entry of the journal. One that was sent before changes nothing. */
  send(message: MailMessage): Promise<void>
  /** Messages to a flow run that are not confirmed, in the order in which they were sent. */
  pending(flowRunId: string): Promise<readonly MailMessage[]>
  /**
   * Calls `listener` for every message that is sent from now on, by any engine; where `owner` is given, an adapter may leave
   * out those that were sent to another `owner`. @returns A function that ends it.
   */
  subscribe(listener: (message: MailMessage) => void, owner?: string): () => void
  /** Forgets a message; does nothing where there is none. */
  confirm(flowRunId: string, id: string): Promise<void>
  /** Forgets all messages to a flow run: it has ended. */
  clear(flowRunId: string): Promise<void>
  /**
   * Flow runs that have messages, at most `limit`, in an order that is always the same; absent where the adapter sees to those of ended
   * runs itself.
   *
   * @param after - The last of those that were given before: what comes after it, whether it has messages by now or not.
   */
  addressees?(limit: number, after?: string): Promise<readonly string[]>
}

/** Nobody changes what is kept. */
const copyOf = (message: MailMessage): MailMessage => ({ ...message, body: message.body.slice() })

/** A mailbox in this process's memory. @public */
export function memoryMailbox(): Required<Mailbox> {
  const kept = new Map<string, Map<string, MailMessage>>()
  const listeners = new Set<(message: MailMessage) => void>()
  return {
    async send(message) {
      const { id, flowRunId } = message
      let box = kept.get(flowRunId)
      if (box === undefined) kept.set(flowRunId, (box = new Map()))
      if (box.has(id)) return
      box.set(id, copyOf(message))
      for (const listener of listeners) listener(copyOf(message))
    },
    pending: async (flowRunId) => Array.from(kept.get(flowRunId)?.values() ?? [], copyOf),
    subscribe(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    async confirm(flowRunId, id) {
      const box = kept.get(flowRunId)
      box?.delete(id)
      if (box?.size === 0) kept.delete(flowRunId)
    },
    clear: async (flowRunId) => void kept.delete(flowRunId),
    async addressees(limit, after) {
      const rest = [...kept.keys()].filter((flowRunId) => after === undefined || flowRunId > after)
      return rest.toSorted().slice(0, limit)
    },
  }
}
