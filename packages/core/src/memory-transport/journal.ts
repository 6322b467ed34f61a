import type { Entry } from '../journal/entries.ts'
import { packEntries, unpackEntries } from '../journal/records.ts'
import type { Cache } from '../ports/cache.ts'
import type { Append, Journal } from '../ports/journal.ts'
import type { Mailbox, MailMessage } from '../ports/mailbox.ts'
import type { ClusterNodes } from '../ports/nodes.ts'
import type { Wire } from './wire.ts'

/** What one node has of the journals. Entries go through bytes, so that no two nodes share an object. */
export class StationJournal implements Journal {
  readonly encodes = true
  readonly mailbox: Mailbox
  readonly nodes: ClusterNodes
  readonly cache: Cache
  readonly #wire: Wire
  readonly #shared: Journal
  /** What was made of the entries of an append, for one that is repeated. */
  readonly #sent = new WeakMap<readonly Entry[], readonly Entry[]>()
  #closed = false

  constructor(wire: Wire, shared: Journal, beside: { mailbox: Mailbox; nodes: ClusterNodes; cache: Cache }) {
    this.#wire = wire
    this.#shared = shared
    this.mailbox = beside.mailbox
    this.nodes = beside.nodes
    this.cache = beside.cache
  }

  append(append: Append): ReturnType<Journal['append']> {
    const entries = this.#sent.get(append.entries) ?? throughBytes(append.entries)
    this.#sent.set(append.entries, entries)
    const { world } = this.#wire
    return this.#call(
      () => this.#shared.append({ ...append, entries }),
      () => !world.happens(world.settings.faults.unanswered),
    )
  }

  read(flowRunId: string, from: number, limit: number): ReturnType<Journal['read']> {
    return this.#call(async () => {
      const entries = await this.#shared.read(flowRunId, from, limit)
      return throughBytes(entries)
    })
  }

  summary(flowRunId: string): ReturnType<Journal['summary']> {
    return this.#call(() => this.#shared.summary(flowRunId))
  }

  list(query: Parameters<Journal['list']>[0]): ReturnType<Journal['list']> {
    return this.#call(() => this.#shared.list(query))
  }

  delete(flowRunId: string): Promise<void> {
    return this.#call(() => this.#shared.delete(flowRunId))
  }

  subscribe(listener: Parameters<Journal['subscribe']>[0], flowRunId?: string): () => void {
    return this.#wire.listen(listener, (tell) =>
      this.#shared.subscribe((id, first, entries) => {
        if (flowRunId !== undefined && id !== flowRunId) return
        const told = (): void => (this.#closed ? undefined : tell(id, first, throughBytes(entries)))
        this.#wire.down(told, 'waits')
      }),
    )
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  #call<T>(ask: () => T | Promise<T>, isAnswered?: () => boolean): Promise<T> {
    // Refused as by one whose station is closed.
    if (this.#closed) return this.#wire.refuse()
    return this.#wire.call(ask, isAnswered)
  }
}

function throughBytes(entries: readonly Entry[]): readonly Entry[] {
  if (entries.length === 0) return entries
  const { bytes } = packEntries(entries, { codecs: [], largeValue: Number.POSITIVE_INFINITY })
  return unpackEntries(bytes, { codecs: [], blob: () => undefined })
}

/** What one node has of the mailboxes. */
export function stationMailbox(wire: Wire, shared: Required<Mailbox>): Mailbox {
  const { world } = wire
  const { lose, double } = world.settings.faults
  return {
    send: (given) => {
      const message = { ...given, body: given.body.slice() }
      return wire.call(() => shared.send(message))
    },
    pending: (flowRunId) => wire.call(() => shared.pending(flowRunId)),
    confirm: (flowRunId, id) => wire.call(() => shared.confirm(flowRunId, id)),
    clear: (flowRunId) => wire.call(() => shared.clear(flowRunId)),
    addressees: (limit, after) => wire.call(() => shared.addressees(limit, after)),
    subscribe: (listener, owner) =>
      wire.listen(listener, (tell) => {
        const told = (message: MailMessage): void => {
          const down = (): void => wire.downLate(() => tell(message), 'waits')
          // Whoever listens looks for what it missed, now and then.
          if (world.happens(lose)) world.after(world.settings.leaseMs, down)
          else down()
        }
        return shared.subscribe((message) => {
          if (owner !== undefined && message.owner !== undefined && message.owner !== owner) return
          told(message)
          if (world.happens(double)) told({ ...message, body: message.body.slice() })
        })
      }),
  }
}

/** What one node has of the cache. */
export function stationCache(wire: Wire, shared: Cache): Cache {
  return {
    get: (key) => wire.call(() => shared.get(key)),
    put: (key, given) => {
      const entry = { ...given, value: given.value.slice() }
      return wire.call(() => shared.put(key, entry))
    },
    delete: (key) => wire.call(() => shared.delete(key)),
  }
}
