/** `engine.list`: what it finds, and how its pages follow each other. */
import { flow, memoryJournal, receive, sleep, task, type ListOptions } from '@troupe/core'
import { createTestEngine, seededRandom, type TestEngine } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { code, errorOf, quiet } from './support.ts'

const work = task('work', async (ms: number) => sleep(ms))
const short = flow('short', () => work(1))
const long = flow('long', () => work(3_600_000))
const fails = flow('fails', () => {
  throw new RangeError('on purpose')
})
const waits = flow('waits', () => receive('go'))
const child = flow('child', (ms: number) => work(ms))
const parent = flow('parent', async () => {
  await child(1)
  await child(3_600_000)
})

async function ids(engine: TestEngine, options: ListOptions = {}): Promise<string[]> {
  return (await engine.list(options)).map(({ id }) => id)
}

/** All pages, one after another; `between` is called after each. */
async function pages(
  engine: TestEngine,
  options: ListOptions,
  between: (page: number) => unknown = () => undefined,
): Promise<string[][]> {
  const found: string[][] = []
  for (let cursor: string | undefined; ;) {
    const page = await engine.list({ ...options, ...(cursor === undefined ? undefined : { cursor }) })
    found.push(page.map(({ id }) => id))
    cursor = page.next
    if (cursor === undefined) return found
    await between(found.length)
  }
}

describe('engine.list', () => {
  it('takes states by name and by type, one or several', async () => {
    await using engine = createTestEngine({ suspendAfter: '1m' })
    const completed = engine.run(short).handle
    const failed = engine.run(fails).handle
    await engine.settle(Promise.all([completed.wait(), failed.wait()]))
    const running = engine.run(long).handle
    const cancelled = engine.run(long).handle
    await quiet()
    await engine.settle(cancelled.cancel())
    const suspended = engine.run(waits).handle
    const paused = engine.run(long).handle
    await quiet()
    engine.clock.advance(60_000)
    await quiet()
    engine.clock.advance(60_000)
    await quiet()
    await engine.settle(paused.pause())
    expect(await ids(engine, { state: 'Completed' })).toEqual([completed.id])
    expect(await ids(engine, { state: 'COMPLETED' })).toEqual([completed.id])
    expect(await ids(engine, { state: 'FAILED' })).toEqual([failed.id])
    expect(await ids(engine, { state: 'TimedOut' })).toEqual([])
    expect(await ids(engine, { state: 'Running' })).toEqual([running.id])
    expect(await ids(engine, { state: 'CANCELLED' })).toEqual([cancelled.id])
    expect(await ids(engine, { state: 'PAUSED' })).toEqual([suspended.id, paused.id])
    expect(await ids(engine, { state: 'Suspended' })).toEqual([suspended.id])
    expect(await ids(engine, { state: ['Paused', 'FAILED', 'Completed'] })).toEqual([
      completed.id,
      failed.id,
      paused.id,
    ])
    expect(await ids(engine, { state: 'COMPLETED', ended: false })).toEqual([])
    expect(await ids(engine, { ended: false })).toEqual([running.id, suspended.id, paused.id])
  })

  it('follows a run from state to state', async () => {
    await using engine = createTestEngine()
    const { handle } = engine.run(flow({ name: 'tries', retries: 1, retryDelay: '1h' }, () => fails()))
    for (const state of ['Running', 'AwaitingRetry', 'Failed'] as const) {
      if (state === 'Failed') await engine.settle(handle.wait())
      else await quiet()
      if (state === 'Running') continue
      expect(await ids(engine, { state, flow: 'tries' })).toEqual([handle.id])
      expect((await engine.list({ state, flow: 'tries' }))[0]?.state.name).toBe(state)
    }
  })

  it('takes the name of a flow or of a task, a tag, and both', async () => {
    await using engine = createTestEngine()
    const nightly = engine.run(short.with({ tags: ['nightly', 'a'] })).handle
    const plain = engine.run(short).handle
    const other = engine.run(fails.with({ tags: ['nightly'] })).handle
    const alone = work.with({ tags: ['a'] })(1).handle
    await engine.settle(Promise.all([nightly, plain, other, alone].map((run) => run.wait())))
    expect(await ids(engine, { flow: 'short' })).toEqual([nightly.id, plain.id])
    expect(await ids(engine, { flow: 'work' })).toEqual([alone.id])
    expect(await ids(engine, { tag: 'nightly' })).toEqual([nightly.id, other.id])
    expect(await ids(engine, { tag: 'a' })).toEqual([nightly.id, alone.id])
    expect(await ids(engine, { tag: 'nightly', flow: 'fails', state: 'FAILED' })).toEqual([other.id])
    expect(await ids(engine, { tag: 'night' })).toEqual([])
  })

  it('takes when a run was started: since a moment, and before one', async () => {
    await using engine = createTestEngine()
    const start = engine.clock.now()
    const runs: string[] = []
    for (let day = 0; day < 4; day++) {
      const { handle } = engine.run(short)
      runs.push(handle.id)
      await engine.settle(handle.wait())
      engine.clock.advance(start + (day + 1) * 1_000 - engine.clock.now())
    }
    const [first = '', second = '', third = '', fourth = ''] = runs
    expect(await ids(engine, { since: start })).toEqual([first, second, third, fourth])
    expect(await ids(engine, { since: start + 1 })).toEqual([second, third, fourth])
    expect(await ids(engine, { since: new Date(start + 1_000), before: new Date(start + 3_000) })).toEqual([
      second,
      third,
    ])
    expect(await ids(engine, { before: start })).toEqual([])
    expect(await ids(engine, { before: start + 3_001, newestFirst: true })).toEqual([
      fourth,
      third,
      second,
      first,
    ])
  })

  it('gives runs that nobody started but a caller, or the subflows of one run', async () => {
    await using engine = createTestEngine()
    const { handle } = engine.run(parent)
    await quiet()
    engine.clock.advance(1)
    await quiet()
    const children = await engine.list({ parent: handle.id })
    expect(await ids(engine)).toEqual([handle.id])
    expect(children.map(({ name, state }) => `${name} ${state.name}`)).toEqual([
      'child Completed',
      'child Running',
    ])
    expect(await ids(engine, { parent: handle.id, ended: true })).toEqual([children[0]?.id])
    expect(await ids(engine, { parent: children[1]?.id ?? '' })).toEqual([])
    expect(await ids(engine, { parent: 'nobody' })).toEqual([])
    await engine.settle(handle.cancel())
  })

  it('gives what another engine over the same journal wrote, before and after it is recovered', async () => {
    const journal = memoryJournal()
    const first = createTestEngine({ journal })
    const { id } = first.run(long.with({ tags: ['kept'] })).handle
    await quiet()
    await first.close()
    await using engine = createTestEngine({ journal })
    expect(await ids(engine, { tag: 'kept', state: 'Running' })).toEqual([id])
    const [recovered] = await engine.recover()
    await quiet()
    const [listed] = await engine.list({ tag: 'kept' })
    expect(listed?.id).toBe(recovered?.id)
    expect(listed?.state.name).toBe('Running')
    await engine.settle(Promise.resolve(listed?.cancel('enough')))
    expect(await ids(engine, { state: 'CANCELLED' })).toEqual([id])
  })

  it.each([
    { state: 'Ended' },
    { state: ['Completed', 'nothing'] },
    { limit: 0 },
    { limit: 10_001 },
    { limit: 1.5 },
    { cursor: 'x' },
    { cursor: '-1' },
    { since: 'yesterday' },
    { before: Number.NaN },
    { after: 3 },
  ])('refuses %o', async (options) => {
    await using engine = createTestEngine()
    expect(await errorOf(engine.list(options as ListOptions))).toEqual(code('INVALID_OPTION'))
  })
})

describe('the pages of engine.list', () => {
  async function started(engine: TestEngine, count: number): Promise<string[]> {
    const runs = Array.from({ length: count }, () => engine.run(short).handle)
    await engine.settle(Promise.all(runs.map((run) => run.wait())))
    return runs.map(({ id }) => id)
  }

  it('give each run once, oldest or newest first, and the last has no next', async () => {
    await using engine = createTestEngine()
    const all = await started(engine, 10)
    const oldest = await pages(engine, { limit: 4 })
    expect(oldest.map(({ length }) => length)).toEqual([4, 4, 2])
    expect(oldest.flat()).toEqual(all)
    expect((await pages(engine, { limit: 3, newestFirst: true })).flat()).toEqual(all.toReversed())
    // A page that is full may be the last; the next one says so.
    expect((await pages(engine, { limit: 5 })).map(({ length }) => length)).toEqual([5, 5, 0])
  })

  it('pass over what the filters leave out', async () => {
    await using engine = createTestEngine()
    const runs = Array.from({ length: 20 }, (_, n) => engine.run(n % 5 === 0 ? fails : short).handle)
    await engine.settle(Promise.all(runs.map((run) => run.wait())))
    const failed = runs.filter((_, n) => n % 5 === 0).map(({ id }) => id)
    expect((await pages(engine, { limit: 2, state: 'FAILED' })).flat()).toEqual(failed)
    expect((await pages(engine, { limit: 3, state: 'FAILED', newestFirst: true })).flat()).toEqual(
      failed.toReversed(),
    )
  })

  it.each([false, true])(
    'hold while runs are created and deleted (newest first: %s)',
    async (newestFirst) => {
      for (let seed = 1; seed <= 20; seed++) {
        const random = seededRandom(seed)
        const pick = (n: number): number => Math.floor(random.number() * n)
        await using engine = createTestEngine({ seed })
        const before = await started(engine, 20)
        const deleted = new Set<string>()
        const found = await pages(engine, { limit: 1 + pick(6), newestFirst }, async (page) => {
          if (page < 8) await started(engine, pick(4))
          for (let n = pick(4); n > 0; n--) {
            const victim = before[pick(before.length)] ?? ''
            deleted.add(victim)
            await engine.journal.delete(victim)
          }
        })
        const listed = found.flat()
        // None twice, in order, and each that was there all the time.
        const order = newestFirst ? before.toReversed() : before
        expect(new Set(listed).size).toBe(listed.length)
        expect(listed.filter((id) => order.includes(id))).toEqual(order.filter((id) => listed.includes(id)))
        expect(order.filter((id) => !deleted.has(id) && !listed.includes(id))).toEqual([])
        // What is created later is behind the oldest, and before the newest.
        const later = listed.filter((id) => !before.includes(id))
        const atTheEnd = listed.slice(listed.length - later.length)
        expect(later).toEqual(newestFirst ? [] : atTheEnd)
      }
    },
  )

  it('go on where the run was deleted that the page before ended with', async () => {
    await using engine = createTestEngine()
    const all = await started(engine, 6)
    const found = await pages(engine, { limit: 2 }, (page) => engine.journal.delete(all[page * 2 - 1] ?? ''))
    expect(found.flat()).toEqual(all)
  })
})
