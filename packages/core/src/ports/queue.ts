/** Of greater priority first; equal ones in the order in which they were offered. @public */
export type QueuePriority = 'high' | 'normal' | 'low'

/** Which queue: of task runs by the queue's name, or of flow runs by the flow's name. @public */
export interface QueueName {
  readonly of: 'task' | 'flow'
  /** Any text of 1 to 200 characters. */
  readonly name: string
}

/** Work for whoever takes it from a queue. @public */
export interface Offer {
  readonly queue: QueueName
  readonly priority: QueuePriority
  /** Names it in its queue: while one of this id waits, is held, or was offered within the last two minutes, another one changes nothing. */
  readonly id: string
  /** What it is; no adapter reads it. */
  readonly body: Uint8Array
}

/**
 * Work that was taken. It is the taker's until it is done or handed back, or until the taker's process dies, or blocks for
 * longer than its transport allows: then it is delivered again, to any taker. The transport keeps it meanwhile, nobody needs
 * to renew it.
 *
 * @public
 */
export interface Delivery {
  readonly id: string
  readonly body: Uint8Array
  /** Whether it may have been delivered before, as far as the transport knows. False is no proof that it was not. */
  readonly repeated: boolean
  /** It is done: forgets it. Lost where the connection is; then it is delivered again. */
  done(): void
  /** Gives it back for others, after `delayMs` milliseconds (default 0). */
  handBack(delayMs?: number): void
}

/** A taker of a queue. @public */
export interface Taking {
  /** Takes up to so many more deliveries than were asked for before. */
  want(count: number): void
  /**
   * Takes nothing more. What was delivered stays the taker's; what is on its way goes back at once. Resolves when that is
   * certain.
   */
  stop(): Promise<void>
}

/**
 * Where work waits for a node that takes it. A hint, and never the truth: work may be delivered twice, to two takers at
 * once, or (where a server forgot it) not at all, and the journal must still be right.
 *
 * Every adapter is held to `queueConformance` of `@troupe/core/testing`.
 *
 * @public
 */
export interface Queue {
  /** Resolves when it is as safe as an entry of the journal. @returns False where one of this id was there. */
  offer(offer: Offer): Promise<boolean>
  /** Takes from a queue as much as is wanted of it; `listener` gets each delivery, also a repeated one. */
  take(queue: QueueName, listener: (delivery: Delivery) => void): Taking
  /** Takes an offer back, if nobody has taken it; does nothing where there is none. */
  withdraw(queue: QueueName, id: string): Promise<void>
  /** Ids that wait in a queue or are held by a taker, at most `limit`, and how many there are in all. */
  pending(
    queue: QueueName,
    limit: number,
  ): Promise<{ readonly ids: readonly string[]; readonly count: number }>
}
