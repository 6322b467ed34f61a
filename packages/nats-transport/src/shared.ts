import type { TransportHost } from '@troupe/core'
import { BlobStore } from './blobs/blob-store.ts'
import { NatsCache } from './cache/cache.ts'
import { Link } from './connection/link.ts'
import { NatsJournal } from './journal/nats-journal.ts'
import { Sweeper } from './journal/sweeper.ts'
import type { Settings } from './options.ts'
import { NatsRegister } from './register/register.ts'

/** What a node keeps together with others: journals, large values, the register, the cache. */
export class Shared {
  readonly link: Link
  readonly blobs: BlobStore
  readonly journal: NatsJournal
  readonly register: NatsRegister
  readonly cache: NatsCache
  readonly sweeper: Sweeper

  /** @param forget - What else is kept of a flow run that is forgotten goes by this. */
  constructor(settings: Settings, host: TransportHost, forget?: (flowRunId: string) => Promise<void>) {
    this.link = new Link(settings, host)
    this.blobs = new BlobStore(this.link)
    this.journal = new NatsJournal(this.link, {
      blobs: this.blobs,
      // Who only starts and watches flow runs cleans up nothing.
      claimed: () => this.sweeper.start(),
      ...(forget === undefined ? undefined : { forget }),
    })
    this.register = new NatsRegister(this.link)
    this.cache = new NatsCache(this.link, this.blobs)
    this.sweeper = new Sweeper(this)
  }

  /** The connections are the last to go. */
  async close(): Promise<void> {
    await this.sweeper.end()
    await this.journal.close()
    await this.link.close()
  }
}
