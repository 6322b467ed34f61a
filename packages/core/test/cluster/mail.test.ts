import {
  flow,
  JournalError,
  receive,
  type FlowRunHandle,
  type Mailbox,
  type MailMessage,
  type Station,
  type TransportHost,
  type Transition,
} from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { encodeValue } from '../../src/values/codec.ts'
import { ClusterOfTest } from './nodes.ts'
import { hostOf } from './support.ts'

const waits = flow('waits for a word', async () => {
  const word = await receive('word')
  return `heard ${String(word)}`
})
const done = flow('is done', () => 'done')

function pass({ clock }: ClusterOfTest, ms: number): Promise<void> {
  return clock.run(new Promise<void>((resolve) => void clock.at(clock.now() + ms, resolve)))
}

/** What comes of it within a minute. */
function soon<T>(cluster: ClusterOfTest, promise: Promise<T>): Promise<T | 'nothing'> {
  const { clock } = cluster
  const late = new Promise<'nothing'>(
    (resolve) => void clock.at(clock.now() + 60_000, () => resolve('nothing')),
  )
  return cluster.settle(Promise.race([promise, late]))
}

/** What each node has of the mailboxes, and what it was told of. */
interface Post {
  readonly mailboxes: Map<string, Mailbox>
  readonly told: { readonly node: string; readonly message: MailMessage; again(): void }[]
}

function postOf(cluster: ClusterOfTest): Post {
  const post: Post = { mailboxes: new Map(), told: [] }
  const open = cluster.transport.open.bind(cluster.transport)
  Object.assign(cluster.transport, {
    open(host: TransportHost): Station {
      const station = open(host)
      const { mailbox } = station
      const subscribe = mailbox.subscribe.bind(mailbox)
      const heard: Mailbox['subscribe'] = (listener, owner) =>
        subscribe((message) => {
          post.told.push({ node: host.node, message, again: () => listener(message) })
          listener(message)
        }, owner)
      post.mailboxes.set(host.node, Object.assign(mailbox, { subscribe: heard }))
      return station
    },
  })
  return post
}

/** The next call of a mailbox that is wanted fails, as where no server answers. */
function failsOnce<Name extends 'send' | 'confirm'>(
  mailbox: Mailbox | undefined,
  name: Name,
  isWanted: (...args: Parameters<Mailbox[Name]>) => boolean,
): { times: number } {
  if (mailbox === undefined) throw new TypeError('there is no such node')
  const failed = { times: 0 }
  const call = mailbox[name].bind(mailbox) as (...args: Parameters<Mailbox[Name]>) => Promise<void>
  const failing = (...args: Parameters<Mailbox[Name]>): Promise<void> => {
    if (failed.times > 0 || !isWanted(...args)) return call(...args)
    failed.times++
    return Promise.reject(new JournalError('TRANSPORT_UNAVAILABLE', 'no server answers'))
  }
  Object.assign(mailbox, { [name]: failing })
  return failed
}

/** A flow run that waits on one node, as another one sees it. */
async function waiting(cluster: ClusterOfTest): Promise<FlowRunHandle<unknown>> {
  cluster.start('server', { serve: { flows: [waits, done] } })
  const client = cluster.start('client')
  const handle = await cluster.settle(client.run('waits for a word'))
  await pass(cluster, 1_000)
  return handle
}

async function statesOf(cluster: ClusterOfTest, handle: FlowRunHandle<unknown>): Promise<string[]> {
  const states: string[] = []
  const seen = handle.transitions.subscribe(({ to }: Transition) => states.push(to.name))
  await pass(cluster, 1_000)
  seen.unsubscribe()
  return states
}

describe('a letter to the owner of a flow run', () => {
  it('is answered though the answer could not be sent at first, and obeyed once', async () => {
    await using cluster = new ClusterOfTest()
    const { mailboxes } = postOf(cluster)
    const handle = await waiting(cluster)
    const failed = failsOnce(mailboxes.get('server'), 'send', ({ flowRunId }) =>
      flowRunId.startsWith('reply-'),
    )
    expect(await soon(cluster, handle.pause())).toMatchObject({ name: 'Paused' })
    expect(failed.times).toBe(1)
    expect(await soon(cluster, handle.resume())).toMatchObject({ name: 'Running' })
    expect(await statesOf(cluster, handle)).toEqual(['Pending', 'Running', 'Paused', 'Running'])
    expect(await cluster.settle(mailboxes.get('client')!.pending(handle.id))).toEqual([])
  })

  it('is forgotten though that failed at first', async () => {
    await using cluster = new ClusterOfTest()
    const { mailboxes } = postOf(cluster)
    const handle = await waiting(cluster)
    const failed = failsOnce(mailboxes.get('server'), 'confirm', (flowRunId) => flowRunId === handle.id)
    expect(await soon(cluster, handle.pause())).toMatchObject({ name: 'Paused' })
    await pass(cluster, 20_000)
    expect(failed.times).toBe(1)
    expect(await cluster.settle(mailboxes.get('client')!.pending(handle.id))).toEqual([])
    expect((await statesOf(cluster, handle)).filter((name) => name === 'Paused')).toHaveLength(1)
  })

  it('that comes again after it was obeyed is not obeyed again', async () => {
    await using cluster = new ClusterOfTest()
    const { told } = postOf(cluster)
    const handle = await waiting(cluster)
    expect(await soon(cluster, handle.pause())).toMatchObject({ name: 'Paused' })
    expect(await soon(cluster, handle.resume())).toMatchObject({ name: 'Running' })
    const pause = told.find(({ node, message }) => node === 'server' && message.flowRunId === handle.id)
    pause?.again()
    await pass(cluster, 20_000)
    expect(pause).toBeDefined()
    expect(await statesOf(cluster, handle)).toEqual(['Pending', 'Running', 'Paused', 'Running'])
  })
})

describe('mail that nobody reads', () => {
  const body = new TextEncoder().encode('late')

  it('goes at once where it is an answer to a node that waits for it no more', async () => {
    await using cluster = new ClusterOfTest()
    const { mailboxes } = postOf(cluster)
    cluster.start('server')
    cluster.start('client')
    await cluster.settle(
      mailboxes.get('server')!.send({ id: 'answer', flowRunId: 'reply-late', owner: 'client', body }),
    )
    await pass(cluster, 1_000)
    expect(await cluster.settle(mailboxes.get('server')!.addressees!(10))).toEqual([])
  })

  it('goes in some minutes, though there are a thousand answers to the dead before it', async () => {
    await using cluster = new ClusterOfTest()
    const server = cluster.start('server', { serve: { flows: [done] } })
    const { id } = server.run(done.with({ id: 'zz-ended' }))
    await pass(cluster, 1_000)
    const { mailbox } = cluster.transport.open(hostOf('observer', cluster.clock))
    const answers = Array.from({ length: 1_000 }, (_, n) => `reply-${n}`)
    await cluster.settle(
      Promise.all([
        ...answers.map((flowRunId) => mailbox.send({ id: 'answer', flowRunId, owner: 'dead', body })),
        mailbox.send({ id: 'late', flowRunId: id, body }),
        mailbox.send({ id: 'lost', flowRunId: 'zz-unknown', body }),
      ]),
    )
    await pass(cluster, 60_000)
    expect(await cluster.settle(mailbox.pending(id))).toEqual([])
    await pass(cluster, 11 * 60_000)
    expect(await cluster.settle(mailbox.addressees!(10))).toEqual([])
  })

  it('is there for a flow run that comes some minutes after it', async () => {
    await using cluster = new ClusterOfTest()
    const server = cluster.start('server', { serve: { flows: [waits] } })
    const { mailbox } = cluster.transport.open(hostOf('observer', cluster.clock))
    const order = { do: 'signal', runId: 'comes-later', name: 'word', payload: 'early' }
    const letter = encodeValue({ order, replyTo: undefined, replyNode: 'observer' }, { at: 'letter' })
    await cluster.settle(mailbox.send({ id: 'early', flowRunId: 'comes-later', body: letter }))
    await pass(cluster, 5 * 60_000)
    const run = server.run(waits.with({ id: 'comes-later', on: 'any' }))
    expect(await soon(cluster, run.handle.result())).toBe('heard early')
  })
})
