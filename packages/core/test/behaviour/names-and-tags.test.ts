import {
  allowFailure,
  bindRun,
  currentFlowRun,
  currentTaskRun,
  flow,
  inputs,
  memoryJournal,
  sleep,
  task,
  waitAll,
  withTags,
  type EngineError,
  type RunHandle,
  type Transition,
} from '@troupe/core'
import { virtualClock, type TestEngine } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { delayed } from '../hard/support.ts'
import { all, code, steps, testEngine } from './support.ts'

/** The name that a task run gets of its arguments, and what the engine reports of it. */
async function nameOf(
  runName: unknown,
  args: readonly unknown[],
): Promise<{ name: string; errors: unknown[] }> {
  await using engine = testEngine({ strictValues: false })
  const errors: EngineError[] = []
  engine.errors.subscribe((error) => errors.push(error))
  const named = task({ name: 'named', runName: runName as string }, (..._args: unknown[]) => undefined)
  let name = ''
  const run = flow('names', async () => {
    const future = named(...args)
    await future
    name = future.runName
  })()
  await engine.settle(run)
  const shown = (await all(run.transitions)).filter(({ task: of }) => of === 'named')
  expect(new Set(shown.map((transition) => transition.runName))).toEqual(new Set([name]))
  return { name, errors: errors.map(({ error }) => error) }
}

describe('the name of a run', () => {
  class Point {
    readonly x = 1
    get double(): number {
      return 2 * this.x
    }
  }

  it.each<[string, unknown[], string]>([
    ['fixed', [1], 'fixed'],
    ['{0}', ['text'], 'text'],
    ['{0} of {1}', [1, 2], '1 of 2'],
    ['{1.file} and {1.file} for {0.a.b}', [{ a: { b: 'x' } }, { file: 'f' }], 'f and f for x'],
    ['{0.1}, {0.length}', [['a', 'b']], 'b, 2'],
    ['{0.length}', ['text'], '4'],
    ['{0} {1} {2} {3}', [null, true, 10n, Number.NaN], 'null true 10n NaN'],
    ['{0}', [undefined], 'undefined'],
    ['{0.a}', [{ a: undefined }], 'undefined'],
    ['{0}', [new Error('why')], 'why'],
    ['{0}', [new Date(0)], '1970-01-01T00:00:00.000Z'],
    ['{0}', [{ a: [1] }], '{ a: [ 1 ] }'],
    ['{0.x}', [new Point()], '1'],
    ['{} {x} { 0 } {-1} {0 {1}', ['a', 'b'], '{} {x} { 0 } {-1} {0 b'],
    ['{{0}}', ['a'], '{a}'],
    ['{0}', ["$& $1 $' {0} {1}"], "$& $1 $' {0} {1}"],
    ['{0.with space}', [{ 'with space': 1 }], '1'],
  ])('by the template %s', async (template, args, expected) => {
    expect(await nameOf(template, args)).toEqual({ name: expected, errors: [] })
  })

  it('by a template may use what the classes of its arguments have', async () => {
    const args = [new URL('https://troupe.dev/a?b'), new Map([[1, 2]]), new Point()]
    // Only own properties count, so that a name never reads what a prototype happens to have.
    expect((await nameOf('{0.pathname}', args)).name).toBe('named-1')
    expect((await nameOf('{1.size}', args)).name).toBe('named-1')
    expect((await nameOf('{2.double}', args)).name).toBe('named-1')
    expect(await nameOf((url: URL, map: Map<number, number>) => `${url.pathname} ${map.size}`, args)).toEqual(
      {
        name: '/a 1',
        errors: [],
      },
    )
  })

  it('by a function of the arguments', async () => {
    expect(await nameOf((a: number, b: number) => `${a} + ${b}`, [1, 2])).toEqual({
      name: '1 + 2',
      errors: [],
    })
  })

  it.each<[string, unknown, unknown[], RegExp]>([
    ['an argument that there is not', '{1}', ['a'], /names \{1\}, which the arguments do not have/],
    ['a property that there is not', '{0.b.c}', [{ a: 1 }], /names \{0\.b\.c\}/],
    ['a property of nothing', '{0.b}', [null], /names \{0\.b\}/],
    ['a property of the prototype', '{0.constructor} {0.toString}', [{}], /names \{0\.constructor\}/],
    [
      'a function that throws',
      () => {
        throw new TypeError('no name')
      },
      [],
      /no name/,
    ],
    ['a function that gives a number', () => 7, [], /`runName` to give a text, got 7/],
    ['a function that gives nothing', () => undefined, [], /to give a text, got undefined/],
    ['a function that gives an empty text', () => '', [], /to give a text/],
    ['a function that gives a promise', async () => 'name', [], /to give a text, got Promise/],
    ['a template that comes to an empty text', '{0}', [''], /to give a text/],
  ])('that can’t be made is its default, and reported: %s', async (_, runName, args, message) => {
    const { name, errors } = await nameOf(runName, args)
    expect(errors).toEqual([expect.objectContaining({ message: expect.stringMatching(message) as unknown })])
    expect(name).toBe('named-1')
  })

  it('by a function that is asynchronous and rejects ends no process', async () => {
    const rejects = async (): Promise<string> => {
      throw new TypeError('no name')
    }
    expect((await nameOf(rejects, [])).name).toBe('named-1')
  })

  it('that can’t be made changes nothing in the run', async () => {
    await using engine = testEngine()
    const named = task({ name: 'named', runName: '{9}', retries: 1 }, (n: number) => n)
    const run = flow({ name: 'calls', runName: '{9}' }, (n: number) => named(n))(1)
    expect(await engine.settle(run)).toBe(1)
    expect(steps(await all(run.transitions)).at(-1)).toBe('calls: Completed')
    expect(engine.lines.filter(({ level }) => level === 'error')).toHaveLength(2)
    expect(engine.lines[0]?.fields).toMatchObject({ runId: run.id, flowRunId: run.id })
  })

  it('is its definition’s, with a number for task runs, where none is given', async () => {
    await using engine = testEngine()
    const plain = task('plain', () => currentTaskRun().runName)
    const run = flow('plain-flow', async () => [await plain(), await plain(), currentFlowRun().runName])()
    expect(await engine.settle(run)).toEqual(['plain-1', 'plain-2', 'plain-flow'])
  })

  it('counts futures by their values, and is there before Running', async () => {
    await using engine = testEngine()
    const one = task('one', (n: number) => n)
    const named = task(
      { name: 'named', runName: '{0} {1.n}' },
      (_a: number, _b: { n: number }) => currentTaskRun().runName,
    )
    const run = flow('futures', async () => await named(one(1), { n: one(2) }))()
    expect(await engine.settle(run)).toBe('1 2')
    const own = steps(await all(run.transitions)).filter((step) => /^(named|1 2)/.test(step))
    expect(own).toEqual(['named-3: Pending', '1 2: Running', '1 2: Completed'])
  })

  it('is made of what the schema makes of the arguments', async () => {
    await using engine = testEngine()
    const parameters = z.tuple([z.coerce.number().transform((n) => n * 2), z.string().default('none')])
    const named = task({ name: 'named', runName: '{0} {1}', parameters }, () => currentTaskRun().runName)
    const flows = flow(
      { name: 'flows', runName: (n: number, s: string) => `flow ${n} ${s}`, parameters },
      () => [named(3), currentFlowRun().runName],
    )
    expect(await engine.settle(flows(1, 'x'))).toEqual(['6 none', 'flow 2 x'])
  })

  it('stays the default where the arguments never come to be', async () => {
    await using engine = testEngine()
    const fails = task('fails', (): number => {
      throw new Error('no')
    })
    const named = task({ name: 'named', runName: '{0}' }, (n: unknown) => n)
    const strict = task({ name: 'strict', runName: '{0}', parameters: z.tuple([z.number()]) }, (n) => n)
    const run = flow('never', async () => {
      const futures = [named(fails()), strict('x' as unknown as number), named(allowFailure(fails()))]
      await waitAll(futures)
      return futures.map(({ runName }) => runName)
    })()
    expect(await engine.settle(run)).toEqual(['named-2', 'strict-3', 'no'])
  })

  it('is that of the call where `.with` gives it, for each item of a map, and of a cached run', async () => {
    await using engine = testEngine()
    const named = task({ name: 'named', runName: '{0}', cache: inputs() }, (n: number) => n)
    const run = flow('with', async () => {
      await Promise.all(named.map([1, 2]))
      await named(1)
      await named.with({ runName: 'other {0}' })(3)
    })()
    await engine.settle(run)
    const ends = steps(await all(run.transitions)).filter((step) => /(Completed|Cached)$/.test(step))
    expect(ends).toEqual([
      '1: Completed',
      '2: Completed',
      '1: Cached',
      'other 3: Completed',
      'with: Completed',
    ])
  })

  it('is made once: not again by retries, nor for calls that a retry of the flow makes again', async () => {
    await using engine = testEngine()
    const made: unknown[] = []
    const runName = (n: number): string => {
      made.push(n)
      return `${n}, ${made.length}`
    }
    const one = task('one', () => 2)
    let tries = 0
    const tried = task({ name: 'tried', runName, retries: 2, retryDelay: '1s' }, (n: number) => {
      if (++tries % 3 !== 0) throw new Error('no')
      return n
    })
    let flowTries = 0
    const run = flow(
      { name: 'tries', runName: (n: number) => `${runName(n)} flow`, retries: 1 },
      async (_n: number) => {
        await tried(1)
        await tried(one())
        if (++flowTries === 1) throw new Error('no')
        return flowTries
      },
    )(0)
    expect(await engine.settle(run)).toBe(2)
    expect(made).toEqual([0, 1, 2])
    const names = new Set((await all(run.transitions)).map((transition) => transition.runName))
    expect([...names].toSorted()).toEqual(['0, 1 flow', '1, 2', '2, 3', 'one-2', 'tried-3'])
  })

  it.each([[''], [7], [null], [{}]])('%j is refused', (runName) => {
    expect(() => task({ name: 'x', runName: runName as string }, () => 1)).toThrow(
      code('INVALID_OPTION', /`runName`/),
    )
  })
})

/** The names in a stream of transitions. */
const named = (transitions: readonly Transition[]): string[] =>
  transitions.map(({ seq, task: of, flow: above, runName }) => `${of ?? above}#${seq} ${runName}`)

describe('the names of runs are the same', () => {
  const one = task('one', async (n: number) => {
    await sleep(1)
    return n
  })
  const step = task({ name: 'step', runName: 'step {0}' }, (n: number) => n)
  const below = flow({ name: 'below', runName: 'below {0}' }, async (n: number) => await step(n))
  const above = flow({ name: 'names-above', runName: (n: number) => `above ${n}` }, async (n: number) => {
    await step(n)
    await step(one(n))
    await below(one(n))
    await sleep('1m')
    return await step(n + 1)
  })

  /** Everything that shows names of a flow run. */
  async function shown(engine: TestEngine, run: RunHandle<unknown>) {
    const watched = await engine.settle(all(engine.watch({ flowRunId: run.id })))
    const [again, listed] = [await engine.get(run.id), (await engine.list()).find(({ id }) => id === run.id)]
    const own = await engine.settle(all(run.transitions))
    return {
      watched: named(watched),
      own: named(own),
      handles: [run.runName, again?.runName, listed?.runName],
    }
  }

  it.each([
    ['answers at once', 0],
    ['answers late', 1000],
  ])(
    'in engine.transitions, run.transitions, engine.watch and handles, where the journal %s',
    async (_, ms) => {
      const clock = virtualClock()
      const journal = delayed(memoryJournal(), clock, { append: () => ms })
      await using engine = testEngine(ms === 0 ? {} : { clock, journal })
      const live: Transition[] = []
      engine.transitions.subscribe((transition) => live.push(transition))
      const run = above(1)
      expect(await engine.settle(run)).toBe(2)
      const { watched, own, handles } = await shown(engine, run)
      expect(own).toEqual(watched)
      expect(named(live.filter(({ flowRunId }) => flowRunId === run.id))).toEqual(watched)
      expect(handles).toEqual(['above 1', 'above 1', 'above 1'])
      expect(watched).toContain('step#1 step-3')
      expect(watched).toContain('step#2 step 1')
      const belowNames = live.filter(({ flow: of }) => of === 'below')
      const below1 = await engine.settle(all(engine.watch({ flowRunId: belowNames[0]?.flowRunId ?? '' })))
      expect(named(belowNames)).toEqual(named(below1))
      expect(named(belowNames).slice(0, 2)).toEqual(['below#1 below', 'below#2 below 1'])
    },
  )
})

const tagsOf = task('tags-of', () => currentTaskRun().tags)

describe('tags', () => {
  it('nest from the flow to its tasks, their tasks and subflows, and the tasks of those', async () => {
    await using engine = testEngine()
    const leaf = task({ name: 'leaf', tags: ['leaf'] }, () => currentTaskRun().tags)
    const below = flow({ name: 'below', tags: ['below'] }, async () => [currentFlowRun().tags, await leaf()])
    const middle = task({ name: 'middle', tags: ['middle'] }, async () => [
      currentTaskRun().tags,
      ...(await below()),
    ])
    const above = flow({ name: 'above', tags: ['above'] }, async () => [
      currentFlowRun().tags,
      ...(await middle()),
    ])
    expect(await engine.settle(above())).toEqual([
      ['above'],
      ['above', 'middle'],
      ['above', 'middle', 'below'],
      ['above', 'middle', 'below', 'leaf'],
    ])
  })

  it('are there once each, those from above first, and do not come up again', async () => {
    await using engine = testEngine()
    const leaf = tagsOf.with({ tags: ['b', 'a', 'b', 'c'] })
    const run = flow({ name: 'once', tags: ['a', 'x'] }, async () => [
      await withTags(['c', 'x', 'd'], () => leaf()),
      await tagsOf(),
      currentFlowRun().tags,
    ])()
    expect(await engine.settle(run)).toEqual([
      ['a', 'x', 'b', 'c', 'd'],
      ['a', 'x'],
      ['a', 'x'],
    ])
  })

  it('of `.with` take the place of those of the definition', async () => {
    await using engine = testEngine()
    const own = tagsOf.with({ tags: ['own'] })
    const run = flow('with', async () => [
      await own(),
      await own.with({ tags: ['other'] })(),
      await own.with({ tags: [] })(),
    ])()
    expect(await engine.settle(run)).toEqual([['own'], ['other'], []])
  })

  it('are in the journal, with the submission of each run', async () => {
    await using engine = testEngine()
    const run = flow({ name: 'journal', tags: ['a'] }, async () => {
      await tagsOf.with({ tags: ['b'] })()
      await withTags(['c'], () => tagsOf())
    })()
    await engine.settle(run)
    const entries = await engine.journal.read(run.id, 1, 100)
    expect(entries.flatMap((entry) => (entry.kind === 'submitted' ? [entry.tags] : []))).toEqual([
      ['a'],
      ['a', 'b'],
      ['a', 'c'],
    ])
  })

  it.each([['x'], [['']], [[7]], [null], [{}], [new Set(['x'])]])('%j are refused', (tags) => {
    expect(() => task({ name: 'x', tags: tags as string[] }, () => 1)).toThrow(
      code('INVALID_OPTION', /`tags`/),
    )
    expect(() => withTags(tags as string[], () => 1)).toThrow(code('INVALID_OPTION', /`tags`/))
  })
})

describe('withTags', () => {
  it('gives back what its function gives, and passes on what it throws', async () => {
    expect(withTags(['x'], () => 7)).toBe(7)
    expect(await withTags(['x'], async () => 7)).toBe(7)
    const error = new TypeError('no')
    expect(() =>
      withTags(['x'], () => {
        throw error
      }),
    ).toThrow(error)
    await expect(
      withTags(['x'], async () => {
        throw error
      }),
    ).rejects.toBe(error)
  })

  it('tags what is called in it and in all that it awaits; scopes nest, and end', async () => {
    await using engine = testEngine()
    const run = flow('scopes', async () => {
      const inside = await withTags(['a'], async () => {
        const first = await tagsOf()
        await sleep(1)
        const second = await withTags(['b', 'a'], async () => {
          await sleep(1)
          return [await tagsOf(), await withTags([], () => tagsOf())]
        })
        return [first, ...second, await tagsOf()]
      })
      return [...inside, await tagsOf()]
    })()
    expect(await engine.settle(run)).toEqual([['a'], ['a', 'b'], ['a', 'b'], ['a'], []])
  })

  it('tags all of a map, task runs outside any flow, flow runs, subflows, and what is below them', async () => {
    await using engine = testEngine()
    const each = task('each', (_n: number) => currentTaskRun().tags)
    const below = flow('below', async () => await tagsOf())
    const above = flow('above', async () => [
      ...(await Promise.all(withTags(['m'], () => each.map([1, 2])))),
      await below(),
    ])
    expect(await engine.settle(withTags(['x'], () => above()))).toEqual([['x', 'm'], ['x', 'm'], ['x']])
    expect(await engine.settle(withTags(['x'], () => tagsOf()))).toEqual(['x'])
  })

  it('leaks to no call beside it, however they are mixed in time', async () => {
    await using engine = testEngine()
    const delayedTags = async (ms: number): Promise<readonly string[]> => {
      await sleep(ms)
      return await tagsOf()
    }
    const run = flow('beside', async () => {
      let kept: () => PromiseLike<readonly string[]> = () => tagsOf()
      const results = await Promise.all([
        withTags(['a'], () => delayedTags(2)),
        delayedTags(1),
        withTags(['b'], () => delayedTags(1)),
        withTags(['c'], () => {
          kept = () => tagsOf()
          return tagsOf()
        }),
        delayedTags(2),
      ])
      return [...results, await kept()]
    })()
    expect(await engine.settle(run)).toEqual([['a'], [], ['b'], ['c'], [], []])
  })

  it('leaks to no body: neither to what a body calls as if it were the scope’s, nor after it has ended', async () => {
    await using engine = testEngine()
    const inner = task({ name: 'inner', tags: ['inner'] }, async () => await tagsOf())
    const other = flow('other', async () => await tagsOf())
    const run = flow('bodies', async () => {
      const tagged = await withTags(['scope'], () => inner())
      return [tagged, await other(), await inner()]
    })()
    expect(await engine.settle(run)).toEqual([['inner', 'scope'], [], ['inner']])
    expect(await engine.settle(other())).toEqual([])
  })

  it('leaks to no observer of transitions, and neither does the run whose entries it sees', async () => {
    await using engine = testEngine()
    const seen: unknown[] = []
    engine.transitions.subscribe(({ task: name }) => {
      if (name !== 'inner') return
      try {
        seen.push(currentTaskRun().name)
      } catch (error) {
        seen.push((error as { code?: string }).code)
      }
    })
    const inner = task('inner', () => 1)
    const outer = task('outer', async () => {
      await sleep(1)
      return await withTags(['x'], () => inner())
    })
    await engine.settle(flow('observed', () => outer())())
    expect(new Set(seen)).toEqual(new Set(['NO_RUN_CONTEXT']))
  })

  it('nor to what an observer calls: that is a run of its own', async () => {
    await using engine = testEngine()
    const roots: boolean[] = []
    const audit = task('audit', () => {
      const { id, flowRunId, tags } = currentTaskRun()
      roots.push(id === flowRunId && tags.length === 0)
    })
    engine.transitions.subscribe(({ task: name, to }) => {
      if (name === 'inner' && to.name === 'Pending') audit().ignore()
    })
    const inner = task('inner', () => sleep('1s'))
    const outer = task('outer', async () => {
      await sleep(1)
      await withTags(['x'], () => inner())
    })
    await engine.settle(flow('observed', () => outer())())
    expect(roots).toEqual([true])
  })

  it('nor to what an observer of errors calls, whoever made the error', async () => {
    await using engine = testEngine()
    const seen: unknown[] = []
    engine.errors.subscribe(() => {
      try {
        seen.push(currentFlowRun().name)
      } catch (error) {
        seen.push((error as { code?: string }).code)
      }
    })
    const unnamed = task({ name: 'unnamed', runName: '{9}' }, () => 1)
    const judges = task(
      {
        name: 'judges',
        retries: 1,
        retryOn: () => {
          throw new Error('no')
        },
      },
      (): number => {
        throw new Error('no')
      },
    )
    const run = flow('errors', async () => {
      await sleep(1)
      await withTags(['x'], () => unnamed())
      await judges().wait()
      unnamed.with({ runName: () => '' })()
    })
    await engine.settle(run())
    expect(seen).toEqual(Array(3).fill('NO_RUN_CONTEXT'))
  })

  it('tags what a bound function calls in it, and not what it calls elsewhere', async () => {
    await using engine = testEngine()
    const run = flow('bound', async () => {
      const outside = bindRun(() => tagsOf())
      const inside = withTags(['x'], () => bindRun(() => tagsOf()))
      return [await withTags(['x'], () => outside()), await outside(), await inside()]
    })()
    expect(await engine.settle(run)).toEqual([['x'], [], []])
  })

  it('is counted by the limits of its tags', async () => {
    await using engine = testEngine({ limits: [{ tag: 'db', concurrency: 1 }] })
    const query = task('query', async () => {
      await sleep('1s')
      return engine.clock.now()
    })
    const started = engine.clock.now()
    const run = flow('limited', () => [
      withTags(['db'], () => query()),
      query(),
      withTags(['db'], () => query()),
    ])()
    expect(await engine.settle(run)).toEqual([1000, 1000, 2000].map((ms) => started + ms))
  })
})
