import {
  ConcurrentTaskRunner,
  flow,
  inputs,
  sleep,
  task,
  waitAll,
  withTags,
  type Flow,
  type Task,
} from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { abandoned, hang, or, silent } from '../hard/support.ts'
import { Lives, rest } from '../replay/lives.ts'
import { counts, Gauge } from './limit-support.ts'
import { code, errorOf, outcomeOf, quiet, statesOf, testEngine } from './support.ts'

const deadlock = code('LIMIT_DEADLOCK')

describe('a run fails with LIMIT_DEADLOCK, and is not left waiting', () => {
  it('where the task that calls it holds the only slot of a tag', async () => {
    await using engine = testEngine({ limits: [{ tag: 'db', concurrency: 1 }] })
    const inner = task({ name: 'inner', tags: ['db'], retries: 5 }, () => 1)
    const outer = task({ name: 'outer', tags: ['db'] }, async () => {
      const future = inner()
      await future.wait()
      return [await errorOf(future), await statesOf(engine, future)] as const
    })
    const [error, states] = await engine.settle(flow('nested', () => outer())())
    expect(error).toMatchObject({
      code: 'LIMIT_DEADLOCK',
      message: expect.stringContaining('tag db (1 at once)') as unknown,
      details: { limit: 'tag db (1 at once)', runId: expect.any(String) as unknown },
    })
    // Another attempt would find the same.
    expect(states).toEqual(['Pending', 'Failed'])
    expect(counts(engine)).toBe('0/0')
  })

  it('where it has the tag only from the task that calls it', async () => {
    await using engine = testEngine({ limits: [{ tag: 'db', concurrency: 1 }] })
    const inner = task('inner', () => 1)
    const outer = task({ name: 'outer', tags: ['db'] }, () => inner())
    expect(await outcomeOf(engine, flow('inherits', () => outer())())).toMatchObject({
      state: 'Failed',
      error: deadlock,
    })
    const scoped = task('scoped', () => withTags(['db'], () => inner()))
    expect(await or(engine.clock, flow('not-its-own', () => scoped())())).toBe(1)
    expect(counts(engine)).toBe('0/0')
  })

  it('where a task calls itself, at whatever depth', async () => {
    await using engine = testEngine({ limits: [{ task: 'recursive', concurrency: 3 }] })
    let deepest = 0
    const recursive: Task<[number], number> = task('recursive', async (depth: number) => {
      deepest = Math.max(deepest, depth)
      return depth === 9 ? depth : await recursive(depth + 1)
    })
    expect(await outcomeOf(engine, flow('descends', () => recursive(1))())).toMatchObject({ error: deadlock })
    expect([deepest, counts(engine)]).toEqual([3, '0/0'])
  })

  it('where a flow calls a flow of the same name, itself or through others', async () => {
    await using engine = testEngine({ limits: [{ flow: 'self', concurrency: 1 }] })
    const self: Flow<[number], number> = flow('self', async (depth: number) =>
      depth === 0 ? 0 : await between(depth),
    )
    const step = task('step', (depth: number) => self(depth - 1))
    const between: Flow<[number], number> = flow('between', (depth: number) => step(depth))
    expect(await outcomeOf(engine, self(1))).toMatchObject({ error: deadlock })
    expect(await or(engine.clock, self(0))).toBe(0)
    expect(counts(engine)).toBe('0/0')
  })

  it('where its caller does not await it: a run ends after all that it submitted', async () => {
    await using engine = testEngine({ limits: [{ tag: 'db', concurrency: 1 }] })
    const inner = task({ name: 'inner', tags: ['db'] }, () => 1)
    const outer = task({ name: 'outer', tags: ['db'] }, () => {
      inner().ignore()
      return 'did not wait'
    })
    expect(await or(engine.clock, flow('leaves', () => outer())())).toBe('did not wait')
    expect(counts(engine)).toBe('0/0')
  })

  it('where others wait before it, and its caller holds what they wait for', async () => {
    await using engine = testEngine({ limits: [{ tag: 'db', concurrency: 1 }] })
    const inner = task({ name: 'inner', tags: ['db'] }, () => 1)
    const outer = task({ name: 'outer', tags: ['db'] }, async () => {
      await sleep(10)
      return inner()
    })
    const other = task({ name: 'other', tags: ['db'] }, () => 'other')
    const run = flow('behind', async () => {
      const futures = [outer(), other(), other.with({ priority: 5 })()]
      await waitAll(futures)
      return futures.map(({ state }) => state.name)
    })()
    expect(await or(engine.clock, run)).toEqual(['Failed', 'Completed', 'Completed'])
    expect(counts(engine)).toBe('0/0')
  })

  it('where a limit of two is held by two that call it: each gets an end', async () => {
    await using engine = testEngine({ limits: [{ tag: 'db', concurrency: 2 }] })
    const inner = task({ name: 'inner', tags: ['db'] }, () => 'in')
    const outer = task({ name: 'outer', tags: ['db'] }, async () => {
      await sleep(10)
      return inner()
    })
    const run = flow('both', async () => {
      const futures = [outer(), outer()]
      await waitAll(futures)
      return futures.map(({ state }) => state.name)
    })()
    const states = await or(engine.clock, run)
    expect(states).toContain('Failed')
    expect(states).not.toContain('Running')
    expect(counts(engine)).toBe('0/0')
  })

  it('where it needs several slots, and its caller holds one of them', async () => {
    await using engine = testEngine({
      limits: [
        { tag: 'a', concurrency: 5 },
        { tag: 'b', concurrency: 1 },
        { task: 'inner', concurrency: 5 },
      ],
    })
    const inner = task({ name: 'inner', tags: ['a', 'b'] }, () => 1)
    const outer = task({ name: 'outer', tags: ['b'] }, () => inner())
    const { error } = await outcomeOf(engine, flow('several', () => outer())())
    expect(error).toMatchObject({ code: 'LIMIT_DEADLOCK', details: { limit: 'tag b (1 at once)' } })
    expect(counts(engine)).toBe('0/0 0/0 0/0')
  })

  it('where its runner has only one slot besides', async () => {
    await using engine = testEngine({ limits: [{ tag: 'db', concurrency: 1 }] })
    const inner = task({ name: 'inner', tags: ['db'] }, () => 1)
    const outer = task({ name: 'outer', tags: ['db'] }, () => inner())
    const run = flow({ name: 'narrow', taskRunner: new ConcurrentTaskRunner({ limit: 1 }) }, () => outer())()
    expect(await outcomeOf(engine, run)).toMatchObject({ error: deadlock })
    expect(counts(engine)).toBe('0/0')
  })

  it('where it waited already, and a limit is set to fewer slots than its callers hold', async () => {
    await using engine = testEngine({ limits: [{ tag: 'db', rate: { count: 1, per: '1h' } }] })
    const inner = task({ name: 'inner', tags: ['db'] }, () => 1)
    const outer = task({ name: 'outer', tags: ['db'] }, () => inner())
    const run = flow('set', () => outer())()
    await quiet()
    expect(counts(engine)).toBe('1/1')
    engine.limits.set({ tag: 'db', concurrency: 1 })
    expect(await outcomeOf(engine, run)).toMatchObject({ error: deadlock })
    expect(counts(engine)).toBe('0/0')
  })

  it('in a process that takes over', async () => {
    const lives = new Lives()
    const inner = task({ name: 'inner-of-lives', tags: ['db'] }, () => sleep('1h'))
    const outer = task({ name: 'outer-of-lives', tags: ['db'] }, () => inner())
    const first = lives.start({ logger: silent })
    abandoned(first.run(flow('nested-of-lives', () => outer())))
    await rest()
    await first.close()
    await using second = lives.start({ limits: [{ tag: 'db', concurrency: 1 }], logger: silent })
    const { run, state } = await lives.recoverToEnd(second)
    expect(state.name).toBe('Failed')
    expect(await errorOf(run.result())).toEqual(deadlock)
    expect(counts(second)).toBe('0/0')
  })

  it('and the body that called it may catch that, and go on', async () => {
    await using engine = testEngine({ limits: [{ tag: 'db', concurrency: 1 }] })
    const inner = task({ name: 'inner', tags: ['db'] }, () => 'slow way')
    const outer = task({ name: 'outer', tags: ['db'] }, () => inner().catch(() => 'quick way'))
    expect(await or(engine.clock, flow('catches', () => outer())())).toBe('quick way')
    expect(counts(engine)).toBe('0/0')
  })
})

describe('a run waits, and ends, where none of its callers stands in its way', () => {
  it('while there is a slot left', async () => {
    await using engine = testEngine({ limits: [{ tag: 'db', concurrency: 3 }] })
    const inner = task({ name: 'inner', tags: ['db'] }, (n: number) => n)
    const middle = task({ name: 'middle', tags: ['db'] }, (n: number) => inner(n))
    const outer = task({ name: 'outer', tags: ['db'] }, async () => [await middle(1), await middle(2)])
    expect(await or(engine.clock, flow('fits', () => outer())())).toEqual([1, 2])
    expect(counts(engine)).toBe('0/0')
  })

  it('for a slot that runs hold which it is no part of', async () => {
    await using engine = testEngine({
      limits: [
        { task: 'inner', concurrency: 1 },
        { task: 'outer', concurrency: 4 },
      ],
    })
    const gauge = new Gauge()
    const inner = task('inner', gauge.body)
    const outer = task('outer', (name: string) => inner(name))
    const run = flow('others', () => outer.map(['a', 'b', 'c', 'd', 'e', 'f']))()
    expect(await or(engine.clock, run)).toEqual(['a', 'b', 'c', 'd', 'e', 'f'])
    expect([gauge.most, counts(engine)]).toEqual([1, '0/0 0/0'])
  })

  it('for its turn in a rate, whatever its callers are counted by', async () => {
    await using engine = testEngine({ limits: [{ tag: 'db', rate: { count: 1, per: '1s' } }] })
    const inner = task({ name: 'inner', tags: ['db'] }, () => engine.clock.now())
    const outer = task({ name: 'outer', tags: ['db'] }, () => inner())
    const start = engine.clock.now()
    expect(await engine.settle(flow('rated', () => outer())())).toBe(start + 1000)
    expect(counts(engine)).toBe('0/0')
  })

  it('where the limit of its caller was taken away, or is too new to count the caller', async () => {
    await using engine = testEngine({ limits: [{ tag: 'old', concurrency: 1 }] })
    const inner = task({ name: 'inner', tags: ['old', 'new'] }, () => 'ran')
    const outer = task({ name: 'outer', tags: ['old', 'new'] }, () => {
      engine.limits.remove({ tag: 'old' })
      engine.limits.set({ tag: 'new', concurrency: 1 })
      return inner()
    })
    expect(await or(engine.clock, flow('changes', () => outer())())).toBe('ran')
    expect(counts(engine)).toBe('0/0')
  })

  it('after its caller’s other runs have given theirs back', async () => {
    await using engine = testEngine({ limits: [{ task: 'leaf', concurrency: 1 }] })
    const leaf = task('leaf', (n: number) => sleep(10).then(() => n))
    const tree = task('tree', async (n: number) => [
      await leaf(n),
      ...(await Promise.all(leaf.map([n + 1, n + 2]))),
    ])
    expect(await or(engine.clock, flow('trees', () => tree.map([0, 10, 20]))())).toEqual([
      [0, 1, 2],
      [10, 11, 12],
      [20, 21, 22],
    ])
  })

  it('where the other slots are held by runs that will end', async () => {
    await using engine = testEngine({ limits: [{ tag: 'db', concurrency: 2 }] })
    const inner = task({ name: 'inner', tags: ['db'] }, () => 'in')
    const outer = task({ name: 'outer', tags: ['db'] }, async () => {
      await sleep(100)
      return inner()
    })
    const stranger = task({ name: 'stranger', tags: ['db'] }, async () => {
      await sleep(200)
      return 'stranger'
    })
    expect(await or(engine.clock, flow('strangers', () => [outer(), stranger()])())).toEqual([
      'in',
      'stranger',
    ])
    expect(counts(engine)).toBe('0/0')
  })

  it('behind a run that needs a second slot, which its own caller holds', async () => {
    await using engine = testEngine({
      limits: [
        { task: 'outer', concurrency: 1 },
        { tag: 'db', concurrency: 1 },
      ],
    })
    let begun = 0
    const inner = task({ name: 'inner', tags: ['db'] }, async () => {
      begun++
      await sleep(10)
      return 'inner'
    })
    const outer = task('outer', async (calls: boolean): Promise<string> => {
      await sleep(100)
      return calls ? await inner() : 'alone'
    })
    // The second waits for a slot of `outer`, and stands in the queue of `db` before `inner`, which has a slot to give.
    const run = flow('crosses', () => [outer(true), outer.with({ tags: ['db'] })(false)])()
    expect(await or(engine.clock, run)).toEqual(['inner', 'alone'])
    expect(begun).toBe(1)
    expect(counts(engine)).toBe('0/0 0/0')
  })

  it('behind such a run, whoever holds the slot at the time when it comes', async () => {
    await using engine = testEngine({
      limits: [
        { task: 'outer', concurrency: 1 },
        { tag: 'db', concurrency: 1 },
      ],
    })
    const inner = task({ name: 'inner', tags: ['db'] }, () => 'inner')
    const outer = task('outer', async (calls: boolean): Promise<string> => {
      await sleep(100)
      return calls ? await inner() : 'alone'
    })
    const stranger = task({ name: 'stranger', tags: ['db'] }, () => sleep(300))
    const run = flow('busy', () => [stranger(), outer(true), outer.with({ tags: ['db'] })(false)])()
    expect(await or(engine.clock, run)).toEqual([undefined, 'inner', 'alone'])
    expect(counts(engine)).toBe('0/0 0/0')
  })

  it('behind such a run, though it is looked for deadlocks while a run that will end holds the slot', async () => {
    await using engine = testEngine({
      limits: [
        { task: 'outer', concurrency: 1 },
        { tag: 'db', concurrency: 1 },
      ],
    })
    const inner = task({ name: 'inner', tags: ['db'] }, () => 'inner')
    const outer = task('outer', async (calls: boolean): Promise<string> => {
      await sleep(100)
      return calls ? await inner() : 'alone'
    })
    const stranger = task({ name: 'stranger', tags: ['db'] }, () => sleep(300))
    const run = flow('looks', async () => {
      const futures = [stranger(), outer(true), outer.with({ tags: ['db'] })(false)]
      await sleep(200)
      engine.limits.set({ tag: 'other', concurrency: 1 })
      return futures
    })()
    expect(await or(engine.clock, run)).toEqual([undefined, 'inner', 'alone'])
    expect(counts(engine)).toBe('0/0 0/0 0/0')
  })

  it('behind such a run that comes before it by its priority while it waits', async () => {
    await using engine = testEngine({
      limits: [
        { task: 'outer', concurrency: 1 },
        { tag: 'db', concurrency: 1 },
      ],
    })
    const inner = task({ name: 'inner', tags: ['db'] }, () => 'inner')
    const outer = task('outer', async (calls: boolean): Promise<string> => {
      await sleep(100)
      return calls ? await inner() : 'alone'
    })
    const stranger = task({ name: 'stranger', tags: ['db'] }, () => sleep(300))
    const run = flow('overtaken', async () => {
      const futures = [stranger(), outer(true)]
      await sleep(200)
      return [...futures, outer.with({ tags: ['db'], priority: 5 })(false)]
    })()
    expect(await or(engine.clock, run)).toEqual([undefined, 'inner', 'alone'])
    expect(counts(engine)).toBe('0/0 0/0')
  })

  it('behind such a run, when another slot that it needs comes free', async () => {
    await using engine = testEngine({
      limits: [
        { task: 'outer', concurrency: 1 },
        { tag: 'db', concurrency: 1 },
        { tag: 'disk', concurrency: 1 },
      ],
    })
    const inner = task({ name: 'inner', tags: ['db', 'disk'] }, () => 'inner')
    const outer = task('outer', async (calls: boolean): Promise<string> => {
      await sleep(100)
      return calls ? await inner() : 'alone'
    })
    const stranger = task({ name: 'stranger', tags: ['disk'] }, () => sleep(300))
    const run = flow('two-slots', () => [stranger(), outer(true), outer.with({ tags: ['db'] })(false)])()
    expect(await or(engine.clock, run)).toEqual([undefined, 'inner', 'alone'])
    expect(counts(engine)).toBe('0/0 0/0 0/0')
  })

  it('behind such a run, when its time in a rate has come', async () => {
    await using engine = testEngine({
      limits: [
        { task: 'outer', concurrency: 1 },
        { tag: 'db', concurrency: 1, rate: { count: 1, per: '1s' } },
      ],
    })
    const inner = task({ name: 'inner', tags: ['db'] }, () => 'inner')
    const outer = task('outer', async (calls: boolean): Promise<string> => {
      await sleep(100)
      return calls ? await inner() : 'alone'
    })
    const run = flow('rated', () => [inner(), outer(true), outer.with({ tags: ['db'] })(false)])()
    expect(await or(engine.clock, run)).toEqual(['inner', 'inner', 'alone'])
    expect(counts(engine)).toBe('0/0 0/0')
  })
})

describe('no runs wait for each other for ever', () => {
  it('where each of two tasks calls the other', async () => {
    await using engine = testEngine({
      limits: [
        { task: 'ping', concurrency: 1 },
        { task: 'pong', concurrency: 1 },
      ],
    })
    const ping: Task<[boolean], number> = task('ping', async (calls: boolean) => {
      await sleep(10)
      return calls ? await pong(false) : 1
    })
    const pong: Task<[boolean], number> = task('pong', async (calls: boolean) => {
      await sleep(10)
      return calls ? await ping(false) : 2
    })
    const run = flow('crossed', async () => {
      await waitAll([ping(true), pong(true)])
    })()
    expect(await or(engine.clock, run)).not.toBe(hang)
    expect(counts(engine)).toBe('0/0 0/0')
  })

  it('where a flow calls a task, and that task, called by another, the flow', async () => {
    await using engine = testEngine({
      limits: [
        { flow: 'import', concurrency: 1 },
        { task: 'load', concurrency: 1 },
      ],
    })
    const load: Task<[boolean], string> = task('load', async (imports: boolean) => {
      await sleep(10)
      return imports ? await imported() : 'loaded'
    })
    const imported: Flow<[], string> = flow('import', async () => {
      await sleep(10)
      return load(false)
    })
    const runs = [imported(), flow('other', () => load(true))()]
    for (const run of runs) run.ignore()
    expect(await or(engine.clock, Promise.all(runs.map((run) => run.wait())))).not.toBe(hang)
    expect(counts(engine)).toBe('0/0 0/0')
  })

  it('where a limit is set to fewer slots while one waits behind others for what its caller holds', async () => {
    await using engine = testEngine({ limits: [{ tag: 'db', rate: { count: 1, per: '1s' } }] })
    const inner = task({ name: 'inner', tags: ['db'] }, () => 1)
    const outer = task({ name: 'outer', tags: ['db'] }, async () => {
      await sleep(100)
      await inner().wait()
    })
    const other = task({ name: 'other', tags: ['db'] }, () => 2)
    const run = flow('lowers', () => [outer(), other()])()
    await quiet()
    engine.clock.advance(100)
    await quiet()
    expect(counts(engine)).toBe('1/2')
    engine.limits.set({ tag: 'db', concurrency: 1 })
    expect(await or(engine.clock, run)).not.toBe(hang)
    expect(counts(engine)).toBe('0/0')
  })

  it('where an equal call makes the result, and waits for the slot of the caller', async () => {
    await using engine = testEngine({ limits: [{ tag: 'db', concurrency: 1 }] })
    const inner = task({ name: 'inner', tags: ['db'], cache: inputs() }, async (n: number) => n)
    const outer = task({ name: 'outer', tags: ['db'] }, async () => {
      await sleep(100)
      await inner(1).wait()
      return 'outer'
    })
    // The second call is in the queue of `db`, behind `outer`, which waits for its result.
    const run = flow('equal', () => [outer(), inner(1)])()
    expect(await or(engine.clock, run)).toEqual(['outer', 1])
    expect(counts(engine)).toBe('0/0')
  })

  it('where an equal call makes the result, and what it waits for is held by a run that waits for another', async () => {
    await using engine = testEngine({
      limits: [
        { task: 'left', concurrency: 1 },
        { task: 'right', concurrency: 1 },
      ],
    })
    const made = task({ name: 'right', cache: inputs() }, async (n: number) => n)
    const plain = task('left', () => 'plain')
    const left = task('left', async () => {
      await sleep(200)
      return (await made(1).wait()).name
    })
    const right = task({ name: 'right', version: '2' }, async () => {
      await sleep(100)
      return (await plain().wait()).name
    })
    // `left` waits for the result that `made` makes, which waits for the slot of `right`, which waits for that of `left`.
    const run = flow('mixed', () => [right(), left(), made(1)])()
    expect(await or(engine.clock, run)).not.toBe(hang)
    expect(counts(engine)).toBe('0/0 0/0')
  })
})
