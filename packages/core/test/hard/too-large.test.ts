import {
  CodecError,
  createEngine,
  flow,
  memoryJournal,
  receive,
  task,
  type Append,
  type Engine,
  type Journal,
} from '@troupe/core'
import { fromFlow } from '@troupe/core/xstate'
import { afterEach, describe, expect, it } from 'vitest'
import { createActor } from 'xstate'

type Entry = Append['entries'][number]

/** A journal that never takes some entries, as one whose messages have a greatest size. */
function journalWithout(isTooLarge: (entry: Entry) => boolean): {
  readonly journal: Journal
  readonly tries: () => number
} {
  const inner = memoryJournal()
  let tries = 0
  const journal: Journal = {
    encodes: inner.encodes,
    append: async (append) => {
      if (!append.entries.some(isTooLarge)) return inner.append(append)
      tries++
      throw new CodecError('PAYLOAD_TOO_LARGE', 'it is larger than what fits')
    },
    read: (...args) => inner.read(...args),
    summary: (id) => inner.summary(id),
    list: (query) => inner.list(query),
    delete: (id) => inner.delete(id),
    subscribe: (...args) => inner.subscribe(...args),
    close: () => inner.close(),
  }
  return { journal, tries: () => tries }
}

const hasLongTag = (entry: Entry): boolean =>
  entry.kind === 'submitted' && entry.tags?.some((tag) => tag.length > 500) === true
const isHuge = (entry: Entry): boolean => entry.kind === 'submitted' && entry.name === 'too-large/huge'
const long = 'x'.repeat(1_000)

const waits = task('too-large/waits', () => new Promise<void>(() => undefined))
const quick = task('too-large/quick', () => 1)
const huge = task('too-large/huge', () => 1)
const below = flow('too-large/below', async () => receive('never'))

describe('a run whose journal can’t take what it has to say', () => {
  let engine: Engine | undefined
  afterEach(() => engine?.close())

  function open(isTooLarge: (entry: Entry) => boolean) {
    const limited = journalWithout(isTooLarge)
    engine = createEngine({ journal: limited.journal })
    const errors: unknown[] = []
    engine.errors.subscribe(({ error }) => errors.push(error))
    return { ...limited, engine, errors }
  }

  it('FAILS where it was to begin, is not tried again, and nothing of it is there', async () => {
    const { engine: opened, journal, tries, errors } = open(hasLongTag)
    const tagged = flow({ name: 'too-large/tags', retries: 3 }, async () => waits())
    const run = opened.run(tagged.with({ tags: [long] }))
    await expect(run).rejects.toMatchObject({ name: 'CodecError', code: 'PAYLOAD_TOO_LARGE' })
    expect(run.state.name).toBe('Failed')
    expect(opened.health()).toMatchObject({ liveRuns: 0, stalled: [] })
    expect(await journal.list({ limit: 10 })).toEqual([])
    expect([tries(), errors]).toEqual([1, []])
  })

  it('is followed by nobody any more who began before it was known that there will be no journal of it', async () => {
    const { engine: opened, errors } = open(hasLongTag)
    const tagged = flow('too-large/followed', async () => waits())
    const run = opened.run(tagged.with({ tags: [long] }))
    const notFound = { code: 'RUN_NOT_FOUND' }
    const states = new Promise((_, error) => run.states.subscribe({ error }))
    const watched = opened.watch({ flowRunId: run.id })[Symbol.asyncIterator]().next()
    await Promise.all([
      expect(run).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' }),
      expect(states).rejects.toMatchObject(notFound),
      expect(watched).rejects.toMatchObject(notFound),
    ])
    expect(errors).toEqual([])
  })

  it('FAILS as an actor of XState', async () => {
    const { engine: opened } = open(hasLongTag)
    const tagged = flow('too-large/actor', async () => waits()).with({ tags: [long], engine: opened })
    const actor = createActor(fromFlow(tagged), { input: [] })
    const failed = new Promise((_, error) => actor.subscribe({ error }))
    actor.start()
    await expect(failed).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' })
  })

  it('FAILS as a subflow, and its caller goes on', async () => {
    const { engine: opened, errors } = open(hasLongTag)
    const caller = flow('too-large/caller', async () => {
      const failed: unknown = await below
        .with({ tags: [long] })()
        .catch((error: unknown) => error)
      return CodecError.is(failed, 'PAYLOAD_TOO_LARGE')
    })
    expect(await opened.run(caller)).toBe(true)
    expect(opened.health()).toMatchObject({ liveRuns: 0, stalled: [] })
    expect(errors).toEqual([])
  })

  it('FAILS later, with all that is below it, and its journal says so', async () => {
    const { engine: opened, journal, errors, tries } = open(isHuge)
    const grows = flow({ name: 'too-large/grows', retries: 3 }, async () => {
      below().ignore()
      waits().ignore()
      await quick()
      await huge()
    })
    const run = opened.run(grows)
    await expect(run).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' })
    const all = await journal.list({ limit: 10 })
    expect(all.map(({ name, state }) => `${name} ${state}`)).toEqual([
      'too-large/grows Failed',
      'too-large/below Cancelled',
    ])
    const states = new Map<string, string>()
    for await (const { runName, to } of opened.watch({ flowRunId: run.id })) states.set(runName, to.name)
    expect(Object.fromEntries(states)).toEqual({
      'too-large/grows': 'Failed',
      'too-large/waits-1': 'Cancelled',
      'too-large/quick-2': 'Completed',
    })
    expect(opened.health()).toMatchObject({ liveRuns: 0, stalled: [] })
    expect([tries(), errors]).toEqual([1, []])
    const again = await opened.get(run.id)
    await expect(again?.result()).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' })
  })

  it('FAILS here, and people are told, where not even that can be written', async () => {
    let isFull = false
    const { engine: opened, errors } = open((entry) => isFull || isHuge(entry))
    const run = opened.run(
      flow('too-large/full', async () => {
        await quick()
        isFull = true
        await huge()
      }),
    )
    await expect(run).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' })
    expect(opened.health()).toMatchObject({ liveRuns: 0, stalled: [] })
    expect(errors).toMatchObject([{ code: 'PAYLOAD_TOO_LARGE' }])
  })
})
