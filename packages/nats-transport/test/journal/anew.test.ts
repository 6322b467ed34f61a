import { afterEach, describe, expect, it } from 'vitest'
import type { Clock } from '@troupe/core'
import { until } from '../faults/harness/until.ts'
import { useServer, versions } from '../servers/index.ts'
import {
  all,
  append,
  claimed,
  create,
  machineClock,
  moved,
  nodeAt,
  root,
  Shifted,
  type TestNode,
} from '../support.ts'

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

const large = { inputs: new Uint8Array(300_000).fill(7) }

async function ended({ journal }: TestNode, run: string): Promise<void> {
  await create(journal, run)
  await append(journal, run, 2, [moved('Completed')])
}

/** What entries are, and how large what a flow run was given is. */
async function readBy({ journal }: TestNode, run: string): Promise<unknown[]> {
  const entries = await all(journal, run)
  return entries.map((entry) =>
    entry.kind === 'submitted' ? (entry.inputs as Uint8Array).byteLength : entry.kind,
  )
}

/** Holds back what a node purges of large values. */
async function holdPurges({ link }: TestNode): Promise<{ isAsked(): boolean; letGo(): void }> {
  const { streams } = (await link.bulk()).jsm
  const purge = streams.purge.bind(streams)
  let [isAsked, letGo] = [false, (): void => undefined]
  const held = new Promise<void>((resolve) => (letGo = resolve))
  streams.purge = async (...args) => {
    isAsked = true
    await held
    return purge(...args)
  }
  return { isAsked: () => isAsked, letGo: () => letGo() }
}

describe.each(versions)('a flow run whose id is used again, on the %s server,', (version) => {
  const server = useServer({ version })
  const node = (
    options: Omit<Parameters<typeof nodeAt>[0], 'servers'> = {},
    clock: Clock = machineClock,
  ): TestNode => {
    const made = nodeAt({ servers: server().url, ...options }, { clock })
    closing.push(() => made.close())
    return made
  }

  it('has its large values, though those of the one before are purged late', async () => {
    const one = node()
    const other = node({ namespace: one.namespace })
    await create(one.journal, 'run', large)
    const purges = await holdPurges(one)
    const deleting = one.journal.delete('run')
    await until('it is about to purge', () => purges.isAsked())
    const begin = () => append(other.journal, 'run', 0, [claimed(), root('run', large)])
    const early = await begin()
    purges.letGo()
    await deleting
    // Where the one before was still there, it begins now.
    expect(early === undefined ? early : await begin()).toBeUndefined()
    expect(await readBy(other, 'run')).toEqual(['claimed', 300_000])
  }, 60_000)

  it('has them, though a second node that deletes the one before comes late', async () => {
    const late = node()
    const [one, other] = [node({ namespace: late.namespace }), node({ namespace: late.namespace })]
    await create(one.journal, 'run', large)
    const purges = await holdPurges(late)
    const deleting = late.journal.delete('run')
    await until('it is about to purge', () => purges.isAsked())
    await one.journal.delete('run')
    await create(other.journal, 'run', large)
    purges.letGo()
    await deleting
    expect(await readBy(other, 'run')).toEqual(['claimed', 300_000])
  }, 60_000)

  it('has them, where they were stored before the one before was gone', async () => {
    const one = node()
    const [second, other] = [node({ namespace: one.namespace }), node({ namespace: one.namespace })]
    await create(one.journal, 'run', large)
    let [isPurged, goOn] = [false, (): void => undefined]
    const held = new Promise<void>((resolve) => (goOn = resolve))
    const clearing = one.blobs.clearing.bind(one.blobs)
    one.blobs.clearing = async (scope) => {
      const clear = await clearing(scope)
      return async () => {
        await clear()
        isPurged = true
        await held
      }
    }
    const deleting = one.journal.delete('run')
    await until('the values of the one before are purged', () => isPurged)
    const put = other.blobs.put.bind(other.blobs)
    const late: (() => Promise<void>)[] = []
    other.blobs.put = async (...args) => {
      await put(...args)
      if (late.length > 0) return
      // Before its first record, which is refused, for there is a journal, and then not any more.
      late.push(await second.blobs.clearing('run'))
      goOn()
      await deleting
    }
    await create(other.journal, 'run', large)
    for (const clear of late) await clear()
    expect(await readBy(other, 'run')).toEqual(['claimed', 300_000])
  }, 60_000)

  it('is left alone by a sweep that saw the one before', async () => {
    const one = node({ keep: { count: 0 } })
    const other = node({ namespace: one.namespace })
    // More than are forgotten together.
    for (let n = 0; n < 16; n++) await ended(one, `old-${n}`)
    await ended(one, 'run')
    const { journal } = one
    const forget = journal.forget.bind(journal)
    let begun: Promise<void> | undefined
    journal.forget = async (...args) => {
      begun ??= other.journal.delete('run').then(() => create(other.journal, 'run', large))
      await begun
      return forget(...args)
    }
    expect(await one.sweeper.sweep()).toMatchObject({ runs: 16 })
    expect(await readBy(other, 'run')).toEqual(['claimed', 300_000])
    expect(await append(other.journal, 'run', 2, [moved('Running')])).toBeUndefined()
  }, 60_000)

  it('is left alone also where it has begun in the very moment', async () => {
    const one = node()
    const other = node({ namespace: one.namespace })
    await ended(one, 'run')
    const seen = await one.journal.summary('run')
    await other.journal.delete('run')
    await ended(other, 'run')
    expect(await one.journal.forget('run', seen)).toBe('another')
    expect(await readBy(other, 'run')).toEqual(['claimed', 3, 'transition'])
    expect(await one.journal.forget('run', await one.journal.summary('run'))).toBe('forgotten')
    expect(await readBy(other, 'run')).toEqual([])
  }, 60_000)

  it('is not met by two sweeps: one that takes long says that it goes on', async () => {
    const clock = new Shifted()
    const one = node({ keep: { count: 0 } }, clock)
    for (let n = 0; n < 20; n++) await ended(one, `run-${n}`)
    const { journal, register } = one
    const forget = journal.forget.bind(journal)
    const renewals = new Set<number | undefined>()
    let isLong = false
    journal.forget = async (...args) => {
      if (!isLong) clock.forward(40_000)
      isLong = true
      renewals.add((await register.get('lock.sweep'))?.revision)
      return forget(...args)
    }
    expect(await one.sweeper.sweep()).toMatchObject({ runs: 20 })
    expect(renewals.size).toBe(2)
  }, 60_000)
})
