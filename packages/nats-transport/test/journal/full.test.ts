import { jetstream, jetstreamManager, type JetStreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { JournalError } from '@troupe/core'
import { afterEach, describe, expect, it } from 'vitest'
import { useServer, type NatsServer } from '../servers/index.ts'
import { append, claimed, create, moved, nodeAt, note, root, type TestNode } from '../support.ts'

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

function node(options: Parameters<typeof nodeAt>[0]): TestNode {
  const made = nodeAt(options)
  closing.push(() => made.close())
  return made
}

async function ended({ journal }: TestNode, run: string): Promise<void> {
  await append(journal, run, 0, [claimed(), root(run, { inputs: new Uint8Array(2_000) })])
  await append(journal, run, 2, [moved('Completed')])
}

async function listed({ journal }: TestNode): Promise<string[]> {
  return (await journal.list({ limit: 100 })).map(({ flowRunId }) => flowRunId)
}

/** How many bytes a server takes until it is full. */
type Left = (jsm: JetStreamManager, stream: string) => Promise<number>

const ofStream: Left = async (jsm, stream) => {
  const { config, state } = await jsm.streams.info(stream)
  return config.max_bytes - state.bytes
}

const ofAccount: Left = async (jsm) => {
  const { limits, storage } = await jsm.getAccountInfo()
  return limits.max_storage - storage
}

/** Leaves so few bytes that no message fits into them, with what is no record. */
async function fill({ url }: NatsServer, { namespace }: TestNode, left: Left): Promise<void> {
  const nc = await connect({ servers: url })
  closing.push(() => nc.close())
  const jsm = await jetstreamManager(nc)
  const put = (bytes: number) => jetstream(nc).publish(`${namespace}.ev.filler`, new Uint8Array(bytes))
  const now = () => left(jsm, `${namespace}_EV`)
  const piece = 500_000
  let [before, after] = [await now(), 0]
  for (; ; before = after) {
    await put(piece)
    after = await now()
    if (after < 1_000_000) break
  }
  const around = before - after - piece
  await put(after - around - 20)
  expect(await now()).toBe(20)
}

const full = { code: 'JOURNAL_UNAVAILABLE', details: { reason: 'full' } }

/** Room for a megabyte or two of all streams together. */
const smallAccount = `
accounts { SMALL { jetstream: { max_file: 2MB }, users: [{ user: small, password: small }] } }
no_auth_user: small
`

// A server of 2.9 has no `maxBytes`; and it stores what an account has no room for, removes it, and has its consumers wait for it.
describe('on a server', () => {
  const large = useServer({ version: 'newest' })
  const small = useServer({ version: 'newest', config: smallAccount })

  const places = [
    ['a stream', { maxBytes: 1_048_576 }, large, ofStream],
    ['an account', {}, small, ofAccount],
  ] as const
  describe.each(places)('%s that has no room', (_, options, server, left) => {
    it('has room again when ended runs are forgotten', async () => {
      const one = node({ servers: server().url, keep: { count: 0 }, ...options })
      await create(one.journal, 'goes-on')
      // What it makes for itself is there before.
      expect(await one.sweeper.sweep()).toMatchObject({ runs: 0 })
      for (const run of ['a', 'b', 'c']) await ended(one, run)
      await fill(server(), one, left)
      await expect(append(one.journal, 'goes-on', 2, [note('x')])).rejects.toMatchObject(full)

      expect(await one.sweeper.sweep()).toMatchObject({ runs: 3 })
      expect(one.reports).toEqual([])
      expect(await listed(one)).toEqual(['goes-on'])
      expect(await append(one.journal, 'goes-on', 2, [note('x')])).toBeUndefined()
    }, 60_000)
  })

  it('flow runs that can’t be forgotten keep no others from it, and are told of once', async () => {
    const one = node({ servers: large().url, keep: { count: 0 } })
    for (let n = 0; n < 40; n++) await ended(one, `run-${n}`)
    const { journal } = one
    const forget = journal.forget.bind(journal)
    journal.forget = async (...args) => {
      if (['run-1', 'run-20'].includes(args[0]))
        throw new JournalError('JOURNAL_UNAVAILABLE', 'there is no room', { details: { reason: 'full' } })
      return forget(...args)
    }
    expect(await one.sweeper.sweep()).toMatchObject({ runs: 38 })
    expect(await listed(one)).toEqual(['run-1', 'run-20'])
    expect(one.reports).toMatchObject([
      { ...full, message: expect.stringMatching(/^2 .* there is no room$/) },
    ])
  }, 60_000)
})
