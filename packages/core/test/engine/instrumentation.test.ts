import {
  createEngine,
  currentTaskRun,
  flow,
  memoryJournal,
  sleep,
  task,
  type Instrumentation,
  type InstrumentationEvent,
} from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { calledWithin } from '../../src/base/called-within.ts'
import type { SubmittedEntry } from '../../src/journal/entries.ts'
import { all, code, errorOf, quiet, statesOf, steps, testEngine } from '../behaviour/support.ts'

const fails = (what: string) => (): never => {
  throw new TypeError(what)
}

/** Every method of it throws. */
const broken: Required<Instrumentation> = {
  opened: fails('opened'),
  submitted: fails('submitted'),
  sent: fails('sent'),
  traceOf: fails('traceOf'),
  began: fails('began'),
  within: fails('within'),
  outside: fails('outside'),
  told: fails('told'),
}

const double = task('double', (n: number) => 2 * n)
const inner = flow('inner', (n: number) => double(n))
let tries = 0
const shaky = task({ name: 'shaky', retries: 1 }, () => {
  if (++tries % 2 === 1) throw new RangeError('not yet')
  return 'well'
})
const all3 = flow('all-three', async () => [await double(1), await inner(2), await shaky()])

describe('an instrumentation that throws', () => {
  it('changes nothing, and is heard of in engine.errors', async () => {
    const plain = testEngine()
    const before = plain.run(all3)
    expect(await plain.settle(before)).toEqual([2, 4, 'well'])
    const transitions = steps(await all(before.transitions))
    await plain.close()

    const engine = testEngine({ instrumentation: broken })
    const errors: unknown[] = []
    engine.errors.subscribe(({ error }) => errors.push(error))
    const run = engine.run(all3)
    expect(await engine.settle(run)).toEqual([2, 4, 'well'])
    expect(steps(await all(run.transitions))).toEqual(transitions)
    expect(engine.health()).toMatchObject({ liveRuns: 0, leftovers: [], stalled: [] })
    await engine.close()
    expect(new Set(errors.map((error) => (error as Error).message))).toEqual(
      new Set(['submitted', 'traceOf', 'began', 'outside', 'told']),
    )
  })

  it('at the end of an attempt, or around its body, changes nothing either', async () => {
    const instrumentation: Instrumentation = {
      began: () => ({ within: fails('within'), ended: fails('ended') }),
    }
    await using engine = testEngine({ instrumentation })
    const errors: unknown[] = []
    engine.errors.subscribe(({ error }) => errors.push((error as Error).message))
    expect(await engine.settle(engine.run(inner, 4))).toBe(8)
    expect(errors).toHaveLength(4)
    for (const message of ['ended', 'within']) expect(errors.filter((one) => one === message)).toHaveLength(2)
  })

  it('gives no journal what is no text', async () => {
    const submitted = () => ({ trace: { traceparent: 7, tracestate: {} } }) as never
    const journal = memoryJournal()
    await using engine = testEngine({ journal, instrumentation: { submitted } })
    const run = engine.run(inner, 1)
    await engine.settle(run)
    const [, entry] = await journal.read(run.id, 1, 2)
    expect(entry).not.toHaveProperty('traceparent')
  })
})

describe('a method of an instrumentation', () => {
  const mistake = new TypeError('a mistake of the user')
  const ways = [
    ['throws', fails(mistake.message)],
    ['rejects', () => Promise.reject(mistake)],
    ['gives nonsense', () => Symbol('nonsense')],
    ['gives a trap', () => new Proxy({}, { get: fails(mistake.message) })],
  ] as const
  const methods = [...Object.keys(broken), 'began within', 'began ended']

  it.each(methods.flatMap((method) => ways.map(([way, fn]) => ({ method, way, fn }))))(
    '$method that $way leaves all runs as they are',
    async ({ method, fn }) => {
      const [name = '', part] = method.split(' ')
      const scope = { within: (body: () => unknown) => body(), ended: () => undefined }
      const made = part === undefined ? fn : () => ({ ...scope, [part]: fn })
      const unhandled: unknown[] = []
      const note = (error: unknown): void => void unhandled.push(error)
      process.on('unhandledRejection', note)
      try {
        const engine = testEngine({ instrumentation: { [name]: made } as Instrumentation })
        const errors: unknown[] = []
        engine.errors.subscribe(({ error }) => errors.push(error))
        expect(await engine.settle(engine.run(all3))).toEqual([2, 4, 'well'])
        const failing = flow('failing', () => {
          throw new RangeError('on purpose')
        })
        expect(await errorOf(engine.settle(engine.run(failing)))).toEqual(new RangeError('on purpose'))
        await engine.close()
        await quiet()
        expect(unhandled).toEqual([])
      } finally {
        process.off('unhandledRejection', note)
      }
    },
  )

  it('that is asynchronous around a body does not make its failure unhandled', async () => {
    const unhandled: unknown[] = []
    const note = (error: unknown): void => void unhandled.push(error)
    process.on('unhandledRejection', note)
    const late = new TypeError('a mistake of the user')
    const instrumentation = {
      began: ({ number }: { readonly number: number }) => ({
        within: async (body: () => unknown) => {
          await body()
          if (number === 2) throw late
        },
        ended: () => undefined,
      }),
    } as unknown as Instrumentation
    try {
      await using engine = testEngine({ instrumentation })
      const errors: unknown[] = []
      engine.errors.subscribe(({ error }) => errors.push(error))
      const bad = task({ name: 'bad', retries: 1, retryDelay: 1 }, async () => {
        await sleep(1)
        if (currentTaskRun().attempt === 1) throw new RangeError('on purpose')
      })
      await engine.settle(engine.run(flow('tries', () => bad())))
      await quiet()
      expect([unhandled, errors]).toEqual([[], [late]])
    } finally {
      process.off('unhandledRejection', note)
    }
  })
})

describe('an instrumentation', () => {
  it('is told of each run and each wait, once, when the journal has it', async () => {
    const told: string[] = []
    const journal = memoryJournal()
    let isStored = false
    const append = journal.append.bind(journal)
    journal.append = (entries) => {
      const answer = append(entries)
      isStored = true
      return answer
    }
    const line = (event: InstrumentationEvent): string => {
      expect(isStored).toBe(true)
      if (event.kind === 'ended') return `${event.run.name} ${event.end.state} after ${event.attempts}`
      if (event.kind === 'started') return `${event.run.name} started`
      return event.kind === 'slots' ? `${event.run.name} waited ${event.waitedMs}` : ''
    }
    const instrumentation: Instrumentation = {
      told(event) {
        const text = line(event)
        if (text !== '') told.push(text)
      },
    }
    await using engine = testEngine({ journal, instrumentation, limits: [{ task: 'slow', concurrency: 1 }] })
    const slow = task('slow', () => sleep('1s'))
    await engine.settle(engine.run(flow('both', () => Promise.all([slow(), slow()]))))
    expect(told).toEqual([
      'both started',
      'slow started',
      'slow started',
      'slow Completed after 1',
      'slow waited 1000',
      'slow Completed after 1',
      'both Completed after 1',
    ])
  })

  it('may say where a flow run belongs, which its journal then has, and those of its subflows', async () => {
    const journal = memoryJournal()
    const instrumentation: Instrumentation = {
      submitted: (run) => ({ trace: { traceparent: `${run.name} begins`, tracestate: 'a=1' }, own: 7 }),
      traceOf: ({ trace, own }, attempt) => ({
        traceparent: `${trace?.traceparent}, ${attempt} ${String(own)}`,
      }),
    }
    await using engine = testEngine({ journal, instrumentation })
    const outer = flow('outer', () => inner.with({ id: 'below' })(1))
    const run = engine.run(outer)
    await engine.settle(run)
    const root = async (id: string) => (await journal.read(id, 2, 1))[0] as SubmittedEntry
    expect(await root(run.id)).toMatchObject({ traceparent: 'outer begins', tracestate: 'a=1' })
    expect(await root('below')).toMatchObject({ traceparent: 'outer begins, 1 7' })
    const others = (await journal.read(run.id, 3, 100)).filter(({ kind }) => kind === 'submitted')
    expect(others.every((entry) => !('traceparent' in entry))).toBe(true)
  })

  it.each(['telemetry', null, { told: 'everything' }])('that is none is refused: %j', (instrumentation) => {
    expect(() => createEngine({ instrumentation: instrumentation as never })).toThrow(
      code('INVALID_OPTION', /instrumentation/) as Error,
    )
  })

  it('hears no more of an engine that is closed', async () => {
    const open = new Set<string>()
    const instrumentation: Instrumentation = {
      opened({ node }) {
        open.add(node)
        return () => open.delete(node)
      },
    }
    const engines = ['a', 'b'].map((node) => testEngine({ node, instrumentation }))
    expect([...open]).toEqual(['a', 'b'])
    for (const engine of engines) await engine.close()
    expect(open.size).toBe(0)
  })

  it('hears of what a run does that was cancelled before its body began', async () => {
    const ends: string[] = []
    const instrumentation: Instrumentation = {
      told(event) {
        if (event.kind === 'ended') ends.push(`${event.run.name} ${event.end.state} ${event.attempts}`)
      },
    }
    await using engine = testEngine({ instrumentation })
    const waits = flow('waits', () => double(sleepy(1)))
    const run = engine.run(waits)
    await quiet()
    await engine.settle(run.cancel('enough'))
    expect(await statesOf(engine, run)).toContain('Cancelled')
    expect(ends.toSorted()).toEqual(
      ['double Cancelled 0', 'sleepy Cancelled 1', 'waits Cancelled 1'].toSorted(),
    )
  })
})

const sleepy = task('sleepy', async (n: number) => {
  await sleep('1h')
  return n
})

describe('a body that is called within something', () => {
  it('is called once, and what it gives is what counts', () => {
    const reported: unknown[] = []
    const report = (error: unknown): void => void reported.push(error)
    let calls = 0
    const body = (): number => ++calls
    expect(calledWithin((once) => once(), body, report)).toBe(1)
    expect(calledWithin(() => 'something else', body, report)).toBe(2)
    expect(calledWithin((once) => [once(), once()], body, report)).toBe(3)
    const late = new RangeError('late')
    const throwsLate = (once: () => number): never => {
      once()
      throw late
    }
    expect(calledWithin(throwsLate, body, report)).toBe(4)
    expect(reported).toEqual([late])
  })

  it('throws what it throws, and that is not reported', () => {
    const reported: unknown[] = []
    const call = (within: (body: () => never) => unknown): unknown => {
      try {
        return calledWithin(within, fails('its own'), (error) => reported.push(error))
      } catch (error) {
        return error
      }
    }
    const swallows = (once: () => never): void => {
      try {
        once()
      } catch {
        // As something that is to go on would.
      }
    }
    expect(call((once) => once())).toEqual(new TypeError('its own'))
    expect(call(swallows)).toEqual(new TypeError('its own'))
    expect(reported).toEqual([])
  })
})
