/** What watches make of flow runs that are forgotten while they are watched, and of others that get their ids. */
import { flow, memoryJournal, receive, task, type Journal, type Transition } from '@troupe/core'
import { describe, expect, it, vi } from 'vitest'
import { Fleet } from '../../src/streams/fleet.ts'
import type { Entry } from '../../src/journal/entries.ts'
import { all, code, errorOf, quiet, testEngine } from './support.ts'

const step = task('step', (n: number) => n)
const quick = flow('quick', (n: number) => step(n))
const waits = flow('waits', () => receive('go'))

type Listener = Parameters<Journal['subscribe']>[0]

/** A journal in memory that keeps the newest flow runs, ended ones, and in which something begins whenever it is listed. */
class BusyJournal {
  readonly #keep: number
  readonly #kept = new Map<string, { readonly order: number; readonly entries: readonly Entry[] }>()
  #listener: Listener = () => undefined
  count = 0

  constructor(keep: number) {
    this.#keep = keep
  }

  /** A flow run begins, and ends. */
  run(): void {
    const flowRunId = `run-${++this.count}`
    const entries = [
      { kind: 'claimed', at: this.count, epoch: 1, node: 'n' },
      {
        kind: 'submitted',
        at: this.count,
        runKind: 'flow',
        runId: flowRunId,
        parent: -1,
        name: 'f',
        to: 'Pending',
      },
      { kind: 'transition', at: this.count, run: 0, attempt: 1, seq: 2, to: 'Completed' },
    ] as unknown as readonly Entry[]
    this.#kept.set(flowRunId, { order: this.count, entries })
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= this.#keep) break
      this.#kept.delete(oldest)
    }
    this.#listener(flowRunId, 1, entries)
  }

  get journal(): Journal {
    return {
      subscribe: (listener: Listener) => {
        this.#listener = listener
        return () => undefined
      },
      read: async (flowRunId: string, from: number) =>
        this.#kept.get(flowRunId)?.entries.slice(from - 1) ?? [],
      summary: async (flowRunId: string) => (this.#kept.has(flowRunId) ? {} : undefined),
      list: async ({
        after = 0,
        limit,
        newestFirst,
      }: {
        after?: number
        limit: number
        newestFirst?: boolean
      }) => {
        this.run()
        const found = [...this.#kept].map(([flowRunId, { order }]) => ({ flowRunId, order, ended: true }))
        if (newestFirst === true) found.reverse()
        return found.filter(({ order }) => order > after).slice(0, limit)
      },
    } as never
  }
}

/** Reads on until there is no more. */
async function toItsEnd(iterator: AsyncIterator<unknown>): Promise<void> {
  while ((await iterator.next()).done !== true);
}

describe('a watch of everything', () => {
  it.each([5, 1_000_000])(
    'holds no more names than it may, of flow runs of which %i are kept',
    async (keep) => {
      const busy = new BusyJournal(keep)
      const fleet = new Fleet(busy.journal)
      const transitions = fleet.transitions()
      let most = 0
      for (let seen = 0; seen < 120_000; seen++) {
        // Faster than it is read.
        if (busy.count <= seen / 2 + 2) busy.run()
        await transitions.next()
        most = Math.max(most, fleet.held)
      }
      expect(most).toBeLessThan(25_000)
      fleet.stop()
    },
    120_000,
  )
})

describe('a watch of everything, of a flow run that is forgotten', () => {
  it('holds it no longer, and is told nothing of those that it does not hold', async () => {
    const journal = memoryJournal()
    await using engine = testEngine({ journal })
    await engine.settle(engine.run(quick.with({ id: 'over' }), 1))
    const run = engine.run(waits)
    run.ignore()
    await quiet()
    const fleet = new Fleet(journal)
    const transitions = fleet.transitions()
    // What is there is read, and more is waited for.
    for (let seen = 0; seen < 8; seen++) await transitions.next()
    const next = transitions.next()
    await quiet()
    expect(fleet.held).toBe(2)
    await journal.delete(run.id)
    await quiet()
    expect(fleet.held).toBe(1)
    const summaries = vi.spyOn(journal, 'summary')
    await journal.delete('over')
    await quiet()
    expect(summaries).not.toHaveBeenCalled()
    fleet.stop()
    expect(await next).toEqual({ done: true, value: undefined })
    expect(await errorOf(engine.settle(run.signal('go')))).toEqual(code('RUN_NOT_FOUND'))
  })
})

describe('a watch of one flow run', () => {
  it('that is forgotten before it was read, and whose id another one gets, fails: it does not go on in that', async () => {
    const journal = memoryJournal()
    await using engine = testEngine({ journal })
    const first = waits.with({ id: 'same' })()
    await quiet()
    const iterator = engine.watch({ flowRunId: 'same' })[Symbol.asyncIterator]()
    const seen = [await iterator.next(), await iterator.next()]
    expect(seen.map(({ value }) => value?.to.name)).toEqual(['Pending', 'Running'])
    await first.signal('go')
    await engine.settle(first)
    await journal.delete('same')
    engine.clock.advance(1_000)
    await engine.settle(quick.with({ id: 'same' })(1))
    expect(await errorOf(iterator.next())).toEqual(code('RUN_NOT_FOUND'))
  })

  it('that is forgotten while it is read slowly, and its journal was longer than what is held, fails: it does not look for ever', async () => {
    const journal = memoryJournal({ keep: 1 })
    const long = flow('long', async () => {
      await receive('go')
      for (let n = 0; n < 600; n++) await step(n)
    })
    await using engine = testEngine({ journal })
    const run = engine.run(long)
    await quiet()
    const iterator = engine.watch({ flowRunId: run.id })[Symbol.asyncIterator]()
    const seen = [await iterator.next(), await iterator.next()]
    expect(seen.map(({ value }) => value?.to.name)).toEqual(['Pending', 'Running'])
    await run.signal('go')
    await engine.settle(run)
    expect((await journal.summary(run.id))?.position).toBeGreaterThan(1_100)
    await engine.settle(quick(1))
    expect(await journal.summary(run.id)).toBeUndefined()
    const read = journal.read.bind(journal)
    let reads = 0
    journal.read = (...asked) => {
      // One that looks for ever never gives the event loop a turn.
      if (++reads > 100) throw new TypeError('it looks for ever')
      return read(...asked)
    }
    expect(await errorOf(toItsEnd(iterator))).toEqual(code('RUN_NOT_FOUND'))
  })

  it('says when its flow run was started, so that two of one id are told apart', async () => {
    await using engine = testEngine({ journal: memoryJournal({ keep: 1 }) })
    const seen: Transition[] = []
    engine.transitions.subscribe((transition) => seen.push(transition))
    const starts: number[] = []
    for (const id of ['a', 'b', 'a']) {
      engine.clock.advance(1_000)
      starts.push(engine.clock.now())
      const run = quick.with({ id })(1)
      await engine.settle(run)
    }
    expect(seen.filter(({ flowRunId }) => flowRunId === 'a').map(({ startedAt }) => startedAt)).toEqual([
      ...Array.from({ length: 6 }, () => starts[0]),
      ...Array.from({ length: 6 }, () => starts[2]),
    ])
    expect(await all(engine.watch({ flowRunId: 'a' }))).toEqual(seen.slice(-6))
  })
})

describe('whoever waits for the end of a run that another engine has', () => {
  it('is told where it is deleted before it can be followed', async () => {
    const journal = memoryJournal()
    await using owner = testEngine({ journal, node: 'owner' })
    const run = owner.run(waits)
    run.ignore()
    await quiet()
    await using engine = testEngine({ journal, node: 'other' })
    const handle = await engine.get(run.id)
    const summary = journal.summary.bind(journal)
    journal.summary = async (flowRunId) => {
      const found = await summary(flowRunId)
      await journal.delete(flowRunId)
      return found
    }
    expect(await errorOf(Promise.resolve(handle?.wait()))).toEqual(code('RUN_NOT_FOUND'))
    expect(await errorOf(owner.settle(run.signal('go')))).toEqual(code('RUN_NOT_FOUND'))
  })

  it('is told when this engine is closed, and leaves nothing behind', async () => {
    const journal = memoryJournal()
    const subscribe = journal.subscribe.bind(journal)
    let listeners = 0
    journal.subscribe = (...asked) => {
      const stop = subscribe(...asked)
      listeners++
      return () => {
        listeners--
        stop()
      }
    }
    await using owner = testEngine({ journal, node: 'owner' })
    const run = owner.run(waits)
    await quiet()
    const engine = testEngine({ journal, node: 'other' })
    const before = listeners
    const handle = await engine.get(run.id)
    const ended = errorOf(Promise.resolve(handle?.wait()))
    await quiet()
    expect(listeners).toBe(before + 1)
    await engine.close()
    expect(await ended).toEqual(code('ENGINE_CLOSED'))
    expect(listeners).toBeLessThanOrEqual(before)
    expect(await errorOf(Promise.resolve(handle?.wait()))).toEqual(code('ENGINE_CLOSED'))
    await run.signal('go')
  })
})
