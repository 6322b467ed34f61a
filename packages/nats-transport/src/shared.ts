import type { TransportHost } from '@troupe/core'
import { BlobStore } from './blobs/blob-store.ts'
import { NatsCache } from './cache/cache.ts'
import { Link } from './connection/link.ts'
import { NatsJournal } from './journal/nats-journal.ts'
import { Sweeper } from './journal/sweeper.ts'
import type { PublishSettings, Settings } from './options.ts'
import { Records } from './journal/records.ts'
import { Checkpoint } from './published/checkpoint.ts'
import { LivePublisher } from './published/live.ts'
import { Relay } from './published/relay.ts'
import { TransitionsOf } from './published/transitions-of.ts'
import { NatsRegister } from './register/register.ts'

/** What a node is and keeps besides. */
export interface Beside {
  /** Looks at what else is kept of a flow run that is to be forgotten. @returns Clears that, and nothing that comes later */
  readonly clearing?: (flowRunId: string) => Promise<() => Promise<void>>
  /** Of these nodes, those that are gone for sure. */
  readonly gone?: (nodes: readonly string[]) => Promise<readonly string[]>
}

/** What a node keeps together with others: journals, large values, the register, the cache. */
export class Shared {
  readonly link: Link
  readonly blobs: BlobStore
  readonly journal: NatsJournal
  readonly register: NatsRegister
  readonly cache: NatsCache
  readonly sweeper: Sweeper

  /** There where transitions are published as they are committed. */
  readonly live: LivePublisher | undefined
  /** There where they are published from the journals. */
  readonly relay: Relay | undefined

  constructor(settings: Settings, host: TransportHost, beside: Beside = {}) {
    this.link = new Link(settings, host)
    this.blobs = new BlobStore(this.link)
    this.journal = new NatsJournal(this.link, {
      blobs: this.blobs,
      // Who only starts and watches flow runs cleans up nothing.
      claimed: () => {
        this.sweeper.start()
        this.relay?.start()
      },
      ...(beside.clearing === undefined ? undefined : { clearing: beside.clearing }),
    })
    this.register = new NatsRegister(this.link)
    this.cache = new NatsCache(this.link, this.blobs)
    this.sweeper = new Sweeper(this)
    const { publish } = settings
    this.live =
      publish === undefined || publish.kept !== undefined
        ? undefined
        : new LivePublisher(this.link, publish.format)
    this.relay = publish?.kept === undefined ? undefined : this.#relayOf(publish.format, publish.kept, beside)
  }

  #relayOf(
    format: PublishSettings['format'],
    kept: NonNullable<PublishSettings['kept']>,
    { gone = async () => [] }: Beside,
  ): Relay {
    const { link, journal, register } = this
    const { host } = link
    const { node, clock, random } = host
    const token = `${random.uint32().toString(36)}${random.uint32().toString(36)}`
    const records = new Records(link.settings, this.blobs)
    return new Relay({
      link,
      journal,
      checkpoint: new Checkpoint({ register, node, token, clock, gone }),
      transitions: new TransitionsOf({
        stream: journal.stream,
        records,
        journal,
        report: (error) => host.report(error),
      }),
      settings: { format, kept },
    })
  }

  /** The connections are the last to go. */
  async close(): Promise<void> {
    await this.live?.close()
    await this.relay?.end()
    await this.sweeper.end()
    await this.journal.close()
    await this.link.close()
  }
}
