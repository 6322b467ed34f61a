import { completed, flow, sleep, task, UsageError, type EngineError } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { code, outcomeOf, quiet, testEngine } from './support.ts'

describe('a definition', () => {
  it('takes options and a function', async () => {
    await using engine = testEngine()
    const double = task({ name: 'double', retries: 2, tags: ['sums'] }, (n: number) => n * 2)
    const sum = flow({ name: 'sum', grace: '1s' }, () => double(21))
    expect([double.name, sum.name]).toEqual(['double', 'sum'])
    expect(await engine.settle(sum())).toBe(42)
  })

  it('takes a name and a function', async () => {
    await using engine = testEngine()
    const greet = flow('greet', (name: string) => `Hello, ${name}!`)
    expect(greet.name).toBe('greet')
    expect(await engine.settle(greet('Ada'))).toBe('Hello, Ada!')
  })

  it('takes a named function alone', async () => {
    await using engine = testEngine()
    const add = task(function add(a: number, b: number) {
      return a + b
    })
    const adding = flow(async function adding() {
      return await add(1, 2)
    })
    expect([add.name, adding.name]).toEqual(['add', 'adding'])
    expect(await engine.settle(adding())).toBe(3)
  })

  it('takes its name from the function where the options have none', () => {
    expect(task({ retries: 1 }, function fetchPage() {}).name).toBe('fetchPage')
  })

  it('treats sync and async functions alike', async () => {
    await using engine = testEngine()
    const sync = task('sync', (n: number) => n + 1)
    const later = task('later', async (n: number) => n + 1)
    expect(await engine.settle(flow('chain', async () => (await later(await sync(1))) + 1)())).toBe(4)
  })

  it('says the line to write when the name is missing', () => {
    expect(() => task(() => 1)).toThrow(code('MISSING_NAME', /task\('its-name', \(\) => …\)/))
    expect(() => flow((_value: string) => 1)).toThrow(code('MISSING_NAME', /flow\('its-name', \(…\) => …\)/))
    expect(() => task({ retries: 1 }, () => 1)).toThrow(code('MISSING_NAME'))
    expect(() => task('', () => 1)).toThrow(code('MISSING_NAME'))
  })

  it('refuses what is neither options nor a name, and a body that is no function', () => {
    // @ts-expect-error a number is neither
    expect(() => task(7, () => 1)).toThrow(code('INVALID_OPTION'))
    // @ts-expect-error null is neither
    expect(() => flow(null, () => 1)).toThrow(code('INVALID_OPTION'))
    // @ts-expect-error there is no body
    expect(() => task('no-body')).toThrow(code('INVALID_OPTION', /task\('name', fn\)/))
    // @ts-expect-error the body is no function
    expect(() => flow({ name: 'f' }, 'body')).toThrow(code('INVALID_OPTION'))
  })

  it('refuses an option that it does not know, and names those it does', () => {
    // @ts-expect-error misspelt
    expect(() => task({ name: 't', retires: 3 }, () => 1)).toThrow(
      code('INVALID_OPTION', /'?retires'?.*retries/s),
    )
    // @ts-expect-error an option of flows
    expect(() => task({ name: 't', onDivergence: 'park' }, () => 1)).toThrow(code('INVALID_OPTION'))
    // @ts-expect-error an option of flows
    expect(() => task('t', () => 1).with({ idempotencyKey: 'x' })).toThrow(code('INVALID_OPTION'))
  })

  it('refuses values that an option can not have, and names the option', () => {
    const bad: [string, object][] = [
      ['retries', { retries: -1 }],
      ['retries', { retries: 1.5 }],
      ['retries', { retries: Number.NaN }],
      ['retries', { retries: '3' }],
      ['maxRecoveries', { maxRecoveries: -2 }],
      ['onBodyError', { onBodyError: 'ignore' }],
      ['onHostLost', { onHostLost: 'restart' }],
      ['parameters', { parameters: { type: 'string' } }],
      ['tags', { tags: 'one' }],
      ['tags', { tags: [1] }],
      ['runName', { runName: '' }],
      ['grace', { grace: 'soon' }],
      ['version', { version: '' }],
      ['version', { version: 2 }],
    ]
    for (const [option, options] of bad) {
      const define = (): unknown => task({ name: 't', ...options }, () => 1)
      expect(define).toThrow(UsageError)
      expect(define).toThrow(expect.objectContaining({ message: expect.stringContaining(option) as unknown }))
    }
  })

  it('refuses the same in `.with`', () => {
    const one = flow('one', () => 1)
    expect(() => one.with({ retries: -1 })).toThrow(code('INVALID_OPTION'))
    expect(() => one.with({ id: 'no spaces' })).toThrow(code('INVALID_OPTION', /`id`/))
    expect(() => one.with({ id: 'a.b' })).toThrow(code('INVALID_OPTION'))
    expect(() => one.with({ idempotencyKey: '' })).toThrow(code('INVALID_OPTION', /`idempotencyKey`/))
    expect(() => one.with({ key: '' })).toThrow(code('INVALID_OPTION', /`key`/))
    // @ts-expect-error no runner
    expect(() => one.with({ taskRunner: 'threads' })).toThrow(code('INVALID_OPTION', /`taskRunner`/))
    // @ts-expect-error no options
    expect(() => one.with('x')).toThrow(code('INVALID_OPTION'))
    // @ts-expect-error no options
    expect(() => one.with()).toThrow(code('INVALID_OPTION'))
    expect(() => one.with({ name: '' })).toThrow(code('MISSING_NAME'))
    expect(() => one.with({ version: '' })).toThrow(code('INVALID_OPTION'))
  })

  it('takes durations as milliseconds and with a unit, and refuses others', () => {
    for (const grace of [0, 250, '250ms', '1s', '1.5s', '5m', '2h', '30d'] as const) {
      expect(task({ name: 't', grace }, () => 1).name).toBe('t')
    }
    for (const grace of [
      -1,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      '',
      '1',
      '1 s',
      '-1s',
      '1w',
      's',
      '1e3s',
      null,
      {},
    ]) {
      // @ts-expect-error on purpose
      expect(() => task({ name: 't', grace }, () => 1)).toThrow(code('INVALID_DURATION', /`grace`/))
    }
  })

  it('gives a copy with other options, and stays as it was', async () => {
    await using engine = testEngine()
    let calls = 0
    const flaky = task('flaky', () => {
      calls++
      if (calls < 3) throw new Error('not yet')
      return calls
    })
    const patient = flaky.with({ retries: 5, name: 'patient' })
    expect([flaky.name, patient.name]).toEqual(['flaky', 'patient'])
    expect(await outcomeOf(engine, flow('once', () => flaky())())).toMatchObject({ state: 'Failed' })
    expect(await engine.settle(flow('often', () => patient())())).toBe(3)
  })

  it('keeps the options of the copy that it was copied from', async () => {
    await using engine = testEngine()
    let calls = 0
    const flaky = task({ name: 'flaky', retries: 1 }, () => {
      calls++
      throw new Error('never')
    })
    const copy = flaky.with({ runName: 'first' }).with({ tags: ['x'] })
    const run = flow('keeps', () => copy())()
    expect(await outcomeOf(engine, run)).toMatchObject({ state: 'Failed' })
    expect(calls).toBe(2)
  })

  it('may share its name with others as long as none has to be found by it', async () => {
    await using engine = testEngine()
    const a = task('same', () => 'a')
    const b = task('same', () => 'b')
    const both = flow('both', () => [a(), b()])
    expect(await engine.settle(both())).toEqual(['a', 'b'])
  })

  it('is found by its name when its run goes on in another process', async () => {
    const first = testEngine()
    const original = flow('found-by-name', () => sleep('1s'))
    const renamed = original.with({ name: 'found-by-another-name' })
    const runs = [original().ignore(), renamed().ignore()]
    await quiet()
    await first.close()
    await using second = testEngine({ journal: first.journal, clock: first.clock })
    const recovered = await second.recover()
    expect(recovered.map(({ id }) => id)).toEqual(runs.map(({ id }) => id))
    for (const run of recovered) expect(await outcomeOf(second, run)).toMatchObject({ state: 'Completed' })
  })

  it('of a name that is taken is refused where it has to be found, with both places', async () => {
    const first = testEngine()
    const one = flow('ambiguous', () => sleep('1s'))
    one().ignore()
    await quiet()
    await first.close()
    flow('ambiguous', () => 'another body')
    await using second = testEngine({ journal: first.journal, clock: first.clock })
    const errors: EngineError[] = []
    second.errors.subscribe((error) => errors.push(error))
    expect(await second.recover()).toEqual([])
    expect(errors).toMatchObject([
      { error: code('AMBIGUOUS_NAME', /definitions\.test\.ts.*definitions\.test\.ts/) },
    ])
  })

  it('does not run its function when it is made', () => {
    let ran = false
    flow('inert', () => {
      ran = true
      return completed(1)
    }).with({ retries: 1 })
    expect(ran).toBe(false)
  })
})

describe('the options of an engine', () => {
  it('are checked', () => {
    // @ts-expect-error unknown
    expect(() => testEngine({ threads: 4 })).toThrow(code('INVALID_OPTION', /threads/))
  })
})
