import { JournalError, memoryMailbox, type MailMessage } from '@troupe/core'
import { virtualClock, type VirtualClock } from '@troupe/core/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { BlobStore } from '../../src/blobs/blob-store.ts'
import { Bodies } from '../../src/bodies/bodies.ts'
import { BodiesMailbox } from '../../src/bodies/mailbox.ts'
import { Link } from '../../src/connection/link.ts'
import { settingsOf } from '../../src/options.ts'
import { hostOf } from '../support.ts'

/** An object store that has everything, and that can't be reached at first. */
class StoreOfTest extends BlobStore {
  reads = 0
  isReached: (reads: number) => boolean = () => true
  /** Called with each read. */
  isRead: (reads: number) => void = () => undefined

  override async get(_flowRunId: string, name: string): Promise<Uint8Array | undefined> {
    this.isRead(++this.reads)
    if (!this.isReached(this.reads)) throw new JournalError('TRANSPORT_UNAVAILABLE', 'no server answers')
    return Buffer.from(`the body ${name}`)
  }
}

describe('a message whose body is in the object store', () => {
  const reports: unknown[] = []
  let clock: VirtualClock
  let link: Link
  let store: StoreOfTest
  let told: string[]
  let hears: () => void
  let stop: () => void
  const inner = memoryMailbox()

  beforeEach(() => {
    reports.length = 0
    told = []
    hears = () => undefined
    clock = virtualClock()
    // It is never connected: what is small is in its message, and all else in the store.
    link = new Link(settingsOf({ servers: 'nats://127.0.0.1:1' }), hostOf(reports, clock))
    store = new StoreOfTest(link)
    const mailbox = new BodiesMailbox(inner, new Bodies(link, store))
    stop = mailbox.subscribe(({ id, body }: MailMessage) => {
      told.push(`${id}: ${Buffer.from(body).toString()}`)
      hears()
    })
  })
  afterEach(async () => {
    stop()
    for (const flowRunId of await inner.addressees(100)) await inner.clear(flowRunId)
    await link.close()
  })

  /** Lets time pass until so many have come, or a minute. */
  async function heard(count: number): Promise<readonly string[]> {
    const all = new Promise<void>((resolve) => {
      hears = () => (told.length >= count ? resolve() : undefined)
      hears()
    })
    const late = new Promise<void>((resolve) => void clock.at(clock.now() + 60_000, resolve))
    await clock.run(Promise.race([all, late]))
    return told
  }

  const send = (flowRunId: string, id: string, body: string): Promise<void> =>
    inner.send({ flowRunId, id, body: Buffer.from(body) })

  it('is told though it could not be read at first, and before what came after it', async () => {
    store.isReached = (reads) => reads > 2
    await send('run', 'large', 'troupe-blob:m-1')
    await send('run', 'small', 'small')
    await send('run', 'larger', 'troupe-blob:m-2')
    expect(await heard(3)).toEqual(['large: the body m-1', 'small: small', 'larger: the body m-2'])
    expect(reports.map(String)).toEqual(Array(2).fill('JournalError: no server answers'))
  })

  it('keeps nothing from the others while it can not be read', async () => {
    let isThere = false
    store.isReached = () => isThere
    await send('run', 'large', 'troupe-blob:m-1')
    await send('another', 'small', 'small')
    await send('third', 'large', 'troupe-blob:m-2')
    await send('third', 'small', 'small')
    await send('fourth', 'small', 'of the fourth')
    expect(await heard(2)).toEqual(['small: small', 'small: of the fourth'])
    isThere = true
    expect((await heard(5)).slice(2).toSorted()).toEqual([
      'large: the body m-1',
      'large: the body m-2',
      'small: small',
    ])
  })

  it('is not asked for any more when nobody listens', async () => {
    store.isReached = () => false
    const isAgain = new Promise<void>((resolve) => {
      store.isRead = (reads) => (reads === 3 ? resolve() : undefined)
    })
    await send('run', 'large', 'troupe-blob:m-1')
    await clock.run(isAgain)
    stop()
    store.isReached = () => true
    expect(await heard(1)).toEqual([])
    expect(store.reads).toBe(3)
  })
})
