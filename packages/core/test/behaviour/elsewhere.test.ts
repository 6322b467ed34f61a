import {
  flow,
  memoryJournal,
  receive,
  sleep,
  task,
  waitForInput,
  type FlowRunHandle,
  type Journal,
  JournalError,
} from '@troupe/core'
import { virtualClock } from '@troupe/core/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { schemaOf } from './schemas.ts'
import { forgetDefinitions } from '../replay/forget.ts'
import { all, code, errorOf, quiet, statesOf, testEngine } from './support.ts'

type Engine = ReturnType<typeof testEngine>

describe('a flow run of another engine that shares its journal', () => {
  let owner: Engine
  let other: Engine
  let journal: Journal

  beforeEach(() => {
    journal = memoryJournal()
    const clock = virtualClock()
    owner = testEngine({ journal, clock, node: 'owner' })
    other = testEngine({ journal, clock, node: 'other' })
  })
  afterEach(async () => {
    await other.close()
    await owner.close()
  })

  /** The run as the other engine sees it. */
  async function seen(run: { id: string }): Promise<FlowRunHandle<unknown>> {
    await quiet()
    const found = await other.get(run.id)
    expect(found?.kind).toBe('flow')
    return found as FlowRunHandle<unknown>
  }

  it('gets its signals, once each, in their order', async () => {
    const run = owner.run(flow('hears there', async () => [await receive('n'), await receive('n')]))
    const handle = await seen(run)
    await handle.signal('n', 1)
    await handle.signal('n', { deep: new Map([[1, 2n]]) })
    expect(await owner.settle(handle.result())).toEqual([1, { deep: new Map([[1, 2n]]) }])
  })

  it('is paused, resumed and cancelled by its owner when it is asked to', async () => {
    const run = owner.run(flow('steered there', () => sleep('1d')))
    const handle = await seen(run)
    expect((await owner.settle(handle.pause())).name).toBe('Paused')
    expect((await owner.settle(handle.resume())).name).toBe('Running')
    expect((await owner.settle(handle.cancel('enough'))).name).toBe('Cancelled')
    expect(await errorOf(run)).toEqual(code('RUN_CANCELLED', /enough/))
    expect(await statesOf(owner, run)).toEqual([
      'Pending',
      'Running',
      'Paused',
      'Running',
      'Cancelling',
      'Cancelled',
    ])
  })

  it('takes an input that its schema takes, and says why not', async () => {
    const even = schemaOf<number>((value) =>
      Number(value) % 2 === 0 ? { value: Number(value) } : { issues: [{ message: 'is odd' }] },
    )
    const run = owner.run(flow('asks there', () => waitForInput(even)))
    const handle = await seen(run)
    expect(await errorOf(owner.settle(handle.resume(1)))).toEqual(code('INVALID_INPUT', /is odd/))
    expect(await errorOf(owner.settle(handle.resume()))).toEqual(code('INVALID_INPUT'))
    expect((await owner.settle(handle.resume(2))).name).toBe('Running')
    expect(await owner.settle(run)).toBe(2)
    expect(await errorOf(handle.resume(2))).toEqual(code('NO_INPUT_EXPECTED', /has ended/))
    expect(await errorOf(handle.signal('late'))).toEqual(code('RUN_ENDED', /has ended/))
    expect((await handle.cancel()).name).toBe('Completed')
    expect((await handle.pause()).name).toBe('Completed')
  })

  it('has task runs that can be cancelled, too', async () => {
    const long = task('long there', () => sleep('1d'))
    const run = owner.run(flow('has a task', async () => (await long().wait()).name))
    await quiet()
    const [first] = await taskRunsOf(run.id)
    const handle = await other.get(first ?? '')
    expect((await owner.settle(Promise.resolve(handle?.cancel())))?.name).toBe('Cancelled')
    expect(await owner.settle(run)).toBe('Cancelled')
  })

  async function taskRunsOf(flowRunId: string): Promise<string[]> {
    for await (const { runId, kind } of other.watch({ flowRunId })) if (kind === 'task') return [runId]
    return []
  }

  it('that nobody owns keeps what is asked of it until it is recovered', async () => {
    const run = owner.run(flow('alone', async () => [await receive('a'), await receive('b')]))
    const handle = await seen(run)
    await owner.close()
    await handle.signal('a', 1)
    await handle.signal('b', 2)
    const [recovered] = await other.recover()
    expect(await other.settle(Promise.resolve(recovered?.result()))).toEqual([1, 2])
  })

  it('that was deleted refuses what is asked of it, and leaves no letters', async () => {
    const run = owner.run(flow('deleted there', () => receive('word')))
    run.ignore()
    const handle = await seen(run)
    await journal.delete(run.id)
    const gone = code('RUN_NOT_FOUND', new RegExp(run.id))
    expect(await errorOf(other.settle(handle.signal('word')))).toEqual(gone)
    expect(await errorOf(other.settle(handle.pause()))).toEqual(gone)
    expect(await errorOf(other.settle(handle.resume()))).toEqual(gone)
    expect(await errorOf(other.settle(handle.cancel()))).toEqual(gone)
    expect(await journal.mailbox?.addressees?.(10)).toEqual([])
    // Its owner learns of it when it is to write.
    expect(await errorOf(owner.settle(run.signal('word')))).toEqual(gone)
    expect(await journal.mailbox?.addressees?.(10)).toEqual([])
  })
})

describe('whoever follows a flow run of another engine that is deleted', () => {
  it.each<[string, (engine: Engine, id: string) => Promise<unknown>]>([
    ['waits for its end', async (engine, id) => (await engine.get(id))?.wait()],
    ['waits for its result', async (engine, id) => (await engine.get(id))?.result()],
    ['watches it', (engine, id) => all(engine.watch({ flowRunId: id }))],
    [
      'watches its states',
      async (engine, id) => {
        const handle = await engine.get(id)
        return handle && all(handle.states)
      },
    ],
  ])('is told where it %s', async (_, follows) => {
    const journal = memoryJournal()
    await using owner = testEngine({ journal, node: 'owner' })
    await using other = testEngine({ journal, node: 'other' })
    const run = owner.run(flow('deleted meanwhile', () => receive('word')))
    run.ignore()
    await quiet()
    const followed = errorOf(follows(other, run.id))
    await quiet()
    await journal.delete(run.id)
    const gone = code('RUN_NOT_FOUND', new RegExp(run.id))
    expect(await followed).toEqual(gone)
    // Its owner learns of it when it is to write.
    expect(await errorOf(owner.settle(run.signal('word')))).toEqual(gone)
  })
})

describe('engines of a journal that knows its nodes', () => {
  /** A memory journal beside a list of the engines that are there. */
  function journalWithNodes(there: Set<string>): Journal {
    const journal = memoryJournal()
    return Object.assign(Object.create(journal) as Journal, {
      append: journal.append.bind(journal),
      read: journal.read.bind(journal),
      summary: journal.summary.bind(journal),
      list: journal.list.bind(journal),
      delete: journal.delete.bind(journal),
      subscribe: journal.subscribe.bind(journal),
      close: journal.close.bind(journal),
      nodes: {
        async announce(node: string) {
          if (there.has(node))
            throw new JournalError('NODE_IN_USE', `an engine of the name ${node} is open`, {
              details: { node },
            })
          there.add(node)
        },
        gone: async (nodes: readonly string[]) => nodes.filter((node) => !there.has(node)),
        withdraw: async (node: string) => void there.delete(node),
      },
    })
  }

  it('leave runs of those that are there alone, and take over those of others', async () => {
    const there = new Set<string>()
    const journal = journalWithNodes(there)
    const clock = virtualClock()
    const waits = flow('waits here', () => receive('go'))
    const a = testEngine({ journal, clock, node: 'a' })
    const run = a.run(waits)
    await quiet()
    await using b = testEngine({ journal, clock, node: 'b' })
    expect(await b.recover()).toEqual([])
    await run.signal('go', 1)
    expect(await a.settle(run)).toBe(1)
    const lost = a.run(waits)
    await quiet()
    await a.close()
    expect((await b.recover()).map(({ id }) => id)).toEqual([lost.id])
  })

  it('are refused under a name that is in use: nothing is written, and every call says why', async () => {
    const journal = journalWithNodes(new Set())
    const clock = virtualClock()
    await using first = testEngine({ journal, clock, node: 'same' })
    await quiet()
    const second = testEngine({ journal, clock, node: 'same' })
    const run = second.run(flow('never', () => 1))
    expect(await errorOf(second.settle(run))).toEqual(code('NODE_IN_USE'))
    expect(await errorOf(second.recover())).toEqual(code('NODE_IN_USE'))
    expect(() => second.run(flow('never', () => 1))).toThrow(/an engine of the name same is open/)
    expect(await journal.list({ limit: 10 })).toEqual([])
    expect(await first.settle(first.run(flow('ever', () => 2)))).toBe(2)
    await second.close()
  })

  it('recover as soon as the program has come to rest where they are told to', async () => {
    const journal = memoryJournal()
    const clock = virtualClock()
    const part = flow('comes back', async () => {
      await sleep('1h')
      return 'back'
    })
    const a = testEngine({ journal, clock, node: 'a' })
    const { id } = a.run(part)
    await quiet()
    await a.close()
    await using b = testEngine({ journal, clock, node: 'b', recover: true })
    await quiet()
    const found = await b.get(id)
    expect(await b.settle(Promise.resolve(found?.result()))).toBe('back')
  })
})

describe('a flow run whose body began with another version', () => {
  async function deployed(onVersionChange: 'run' | 'park' | 'pin') {
    const name = `deployed with ${onVersionChange}`
    const step = task(`step of ${name}`, (text: string) => text)
    const journal = memoryJournal()
    const clock = virtualClock()
    const body = async () => {
      const first = await step('first')
      await sleep('1h')
      return [first, await step('old')]
    }
    const old = flow({ name, version: '1' }, body)
    const a = testEngine({ journal, clock, node: 'a' })
    const { id } = a.run(old)
    await quiet()
    await a.close()
    // The deploy: the process that recovers knows version 2 only.
    forgetDefinitions(`flow:${name}`)
    flow({ name, version: '2', onVersionChange }, async () => {
      const first = await step('first')
      await sleep('1h')
      return [first, await step('new')]
    })
    return { b: testEngine({ journal, clock, node: 'b' }), id, name, body }
  }

  it('goes on with this one, where nothing else is said', async () => {
    const { b } = await deployed('run')
    const [run] = await b.recover()
    expect(await b.settle(Promise.resolve(run?.result()))).toEqual(['first', 'new'])
    await b.close()
  })

  it('waits for a person who says that it may, by `park`', async () => {
    const { b } = await deployed('park')
    const [run] = await b.recover()
    await quiet()
    expect(run?.state).toMatchObject({
      name: 'Paused',
      message: expect.stringMatching(/began with version 1/) as string,
    })
    b.clock.advance(7_200_000)
    await quiet()
    expect(run?.state.name).toBe('Paused')
    await b.settle(Promise.resolve(run?.resume()))
    expect(await b.settle(Promise.resolve(run?.result()))).toEqual(['first', 'new'])
    await b.close()
  })

  it('is left alone by `pin`, until an engine has its version', async () => {
    const { b, id, name, body } = await deployed('pin')
    expect(await b.recover()).toEqual([])
    expect((await b.get(id))?.state.name).toBe('Running')
    flow({ name, version: '1', onVersionChange: 'pin' }, body)
    const [run] = await b.recover()
    expect(await b.settle(Promise.resolve(run?.result()))).toEqual(['first', 'old'])
    await b.close()
  })
})
