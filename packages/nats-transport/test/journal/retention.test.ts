import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import type { Clock } from '@troupe/core'
import { afterEach, describe, expect, it } from 'vitest'
import { useServer, versions } from '../servers/index.ts'
import {
  append,
  claimed,
  create,
  machineClock,
  moved,
  nodeAt,
  note,
  root,
  Shifted,
  type TestNode,
} from '../support.ts'

const hour = 60 * 60_000
const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

describe.each(versions)('what is kept, on the %s server', (version) => {
  const server = useServer({ version })
  const node = (
    options: Omit<Parameters<typeof nodeAt>[0], 'servers'> = {},
    clock: Clock = machineClock,
  ): TestNode => {
    const made = nodeAt({ servers: server().url, ...options }, { clock })
    closing.push(() => made.close())
    return made
  }
  const listed = async ({ journal }: TestNode): Promise<string[]> =>
    (await journal.list({ limit: 100 })).map(({ flowRunId }) => flowRunId)
  const ended = async (
    { journal }: TestNode,
    run: string,
    at: number,
    parentRunId?: string,
  ): Promise<void> => {
    await append(journal, run, 0, [claimed(), root(run, parentRunId === undefined ? {} : { parentRunId })])
    await append(journal, run, 2, [moved('Completed', { at })])
  }

  it('are the newest ended runs by their end, and all that have not ended', async () => {
    const one = node({ keep: { count: 2 } })
    await create(one.journal, 'unfinished')
    for (const [run, at] of [
      ['c', 3_000],
      ['a', 1_000],
      ['d', 4_000],
      ['b', 2_000],
    ] as const)
      await ended(one, run, at)
    expect(await one.sweeper.sweep()).toMatchObject({ runs: 2 })
    expect(await listed(one)).toEqual(['unfinished', 'c', 'd'])
    expect(await one.journal.read('a', 1, 10)).toEqual([])
    expect(await one.sweeper.sweep()).toMatchObject({ runs: 0 })
  })

  it('are runs that ended not too long ago, with all below them, and families that have not ended as a whole', async () => {
    const clock = new Shifted()
    const one = node({ keep: { age: '1h' } }, clock)
    const at = clock.now()
    await ended(one, 'old', at - 2 * hour)
    await ended(one, 'old-child', at - 2 * hour, 'old.task')
    await ended(one, 'parent', at - 2 * hour)
    await append(one.journal, 'live-child', 0, [claimed(), root('live-child', { parentRunId: 'parent' })])
    await ended(one, 'new', at)
    expect(await one.sweeper.sweep()).toMatchObject({ runs: 1 })
    expect(await listed(one)).toEqual(['parent', 'live-child', 'new'])
    await append(one.journal, 'live-child', 2, [moved('Completed', { at })])
    clock.forward(2 * hour)
    expect(await one.sweeper.sweep()).toMatchObject({ runs: 2 })
    expect(await listed(one)).toEqual([])
  })

  it('is what nobody says otherwise', async () => {
    const one = node()
    await ended(one, 'old', 0)
    expect(await one.sweeper.sweep()).toMatchObject({ runs: 0 })
    expect(await listed(one)).toEqual(['old'])
  })

  it('is swept by one node, and by another when that one is closed or gone', async () => {
    const clock = new Shifted()
    const one = node({ keep: { count: 0 } })
    const other = node({ keep: { count: 0 }, namespace: one.namespace }, clock)
    expect(await one.sweeper.sweep()).toBeDefined()
    await ended(one, 'run', 0)
    expect(await other.sweeper.sweep()).toBeUndefined()
    expect(await one.sweeper.sweep()).toMatchObject({ runs: 1 })
    // One that renews is there, however long it is.
    clock.forward(hour)
    expect(await other.sweeper.sweep()).toBeUndefined()
    // One that does not is gone.
    clock.forward(hour)
    expect(await other.sweeper.sweep()).toMatchObject({ runs: 0 })
    expect(await one.sweeper.sweep()).toBeUndefined()
    await other.sweeper.end()
    expect(await one.sweeper.sweep()).toMatchObject({ runs: 0 })
  })

  it('is forgotten by nodes that had listed it before, also after the mark of it is cleared', async () => {
    const one = node({ keep: { count: 0 } })
    const other = node({ namespace: one.namespace })
    await create(one.journal, 'stays')
    await ended(one, 'goes', 0)
    expect(await listed(other)).toEqual(['stays', 'goes'])
    expect(await one.sweeper.sweep()).toMatchObject({ runs: 1 })
    expect(await listed(other)).toEqual(['stays'])

    const nc = await connect({ servers: server().url })
    closing.push(() => nc.close())
    const jsm = await jetstreamManager(nc)
    const subjects = async (): Promise<string[]> => {
      const { state } = await jsm.streams.info(one.journal.stream.name, {
        subjects_filter: one.journal.stream.all,
      })
      return Object.keys(state.subjects ?? {}).toSorted()
    }
    expect(await subjects()).toHaveLength(2)
    await one.sweeper.forgetMarks(Date.now() + hour / 2)
    expect(await subjects()).toHaveLength(2)
    await one.sweeper.forgetMarks(Date.now() + 2 * hour)
    expect(await subjects()).toEqual([one.journal.stream.subjectOf('stays')])
    expect(await listed(other)).toEqual(['stays'])
    // A run of that name may begin again.
    await create(one.journal, 'goes')
    expect(await listed(other)).toEqual(['stays', 'goes'])
  })

  it('are large values of what there is: others go when they were seen for an hour', async () => {
    const clock = new Shifted()
    const one = node({ largeValue: 1_000 }, clock)
    await create(one.journal, 'run')
    await append(one.journal, 'run', 2, [moved('Completed', { value: new Uint8Array(5_000) })])
    await one.blobs.put('nobody', 'a'.repeat(64), new Uint8Array(5_000))
    const entry = { value: new Uint8Array(5_000), runId: 'run', expires: clock.now() + 3 * hour }
    await one.cache.put('kept', entry)
    await one.cache.put('replaced', entry)
    await one.cache.put('replaced', entry)
    expect(await one.sweeper.sweep()).toMatchObject({ blobs: 0 })
    expect((await one.blobs.list()).map(([scope]) => scope).toSorted()).toEqual([
      '_cache',
      '_cache',
      'nobody',
      'run',
    ])
    clock.forward(2 * hour)
    expect(await one.sweeper.sweep()).toMatchObject({ blobs: 1 })
    expect(await one.cache.get('kept')).toEqual(entry)
    // Cached results go when they expire, and what they were of.
    clock.forward(2 * hour)
    await one.sweeper.sweep()
    expect(await one.cache.get('kept')).toBeUndefined()
    clock.forward(2 * hour)
    expect(await one.sweeper.sweep()).toMatchObject({ blobs: 2 })
    expect((await one.blobs.list()).map(([scope]) => scope)).toEqual(['run'])
    expect(await one.journal.read('run', 1, 10)).toHaveLength(3)
  })

  it('is nothing of a flow run that is deleted while its owner writes', async () => {
    const one = node()
    const other = node({ namespace: one.namespace })
    await create(one.journal, 'run')
    await other.journal.delete('run')
    expect(await append(one.journal, 'run', 2, [note('late')])).toEqual({ refused: true, position: 0 })
    expect(await one.journal.summary('run')).toBeUndefined()
  })
})
