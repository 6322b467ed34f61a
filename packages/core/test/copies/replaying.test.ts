import { flow, now, random, receive, sleep, task, uuid, waitForInput } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { code, errorOf, outcomeOf, quiet, testEngine } from '../behaviour/support.ts'

const done: string[] = []
const works = task('works for replays', async (name: string) => {
  done.push(name)
  await sleep(10)
  return `${name} done`
})
const fails = task('fails for replays', (): never => {
  throw new RangeError('out of range')
})

describe('a replay', () => {
  it('runs the body on what its journal remembers: the same end, and no task runs', async () => {
    await using engine = testEngine()
    const inner = flow('inner of a replay', async (name: string) => works(name))
    const bodies: string[] = []
    const whole = flow('whole', async (start: string) => {
      bodies.push(start)
      const drawn = [now(), random(), uuid()]
      const first = await works(start)
      const [a, b] = await Promise.all([works('a'), inner('b')])
      const error = await errorOf(fails())
      await sleep('30d')
      return { drawn, first, a, b, error: String(error) }
    })
    const run = whole('start')
    const value = await engine.settle(run)
    done.length = 0
    const entries = (await engine.journal.read(run.id, 1, 1000)).length
    const report = await engine.replay(run.id)
    expect(report).toMatchObject({ matches: true, difference: undefined, recorded: { name: 'Completed' } })
    expect(report.outcome).toEqual({ value })
    expect(bodies).toEqual(['start', 'start'])
    expect(done).toEqual([])
    expect((await engine.journal.read(run.id, 1, 1000)).length).toBe(entries)
    expect(engine.health().liveRuns).toBe(0)
  })

  it.each([
    [
      'calls something else',
      async () => works('other'),
      /made call 1, task works for replays, which its journal does not have/,
    ],
    [
      'makes a call more',
      async () => [await works('a'), await works('b'), await works('c')],
      /called task works/,
    ],
    ['makes a call less', async () => [await works('a')], /has not made 1 of the calls/],
    ['draws', async () => [await works('a'), await works('b'), random()], /drew random/],
    ['waits', async () => [await works('a'), await works('b'), await receive('x')], /waited for signal x/],
    [
      'returns something else',
      async () => [await works('b'), await works('a')].toReversed().concat('more'),
      /./,
    ],
    [
      'throws',
      async () => Promise.reject(new Error(`${await works('a')} and ${await works('b')}`)),
      /its body failed/,
    ],
  ])('tells of a body that %s by now', async (what, body, difference) => {
    await using engine = testEngine()
    const name = `changed: ${what}`
    const old = flow(name, async () => [await works('a'), await works('b')])
    const run = old()
    await engine.settle(run)
    const changed = flow({ name, version: '2' }, body as () => Promise<unknown>)
    expect(await engine.replay(run.id, { flow: changed })).toMatchObject({
      matches: false,
      difference: expect.stringMatching(difference) as string,
    })
    expect(await engine.replay(run.id, { flow: old })).toMatchObject({ matches: true })
  })

  it('of a run that failed finds the same failure', async () => {
    await using engine = testEngine()
    const run = flow({ name: 'failed once', retries: 2 }, async () => {
      await works('a')
      await fails()
    })()
    expect((await outcomeOf(engine, run)).state).toBe('Failed')
    const report = await engine.replay(run.id)
    expect(report).toMatchObject({ matches: true, recorded: { name: 'Failed' } })
    expect(report.outcome).toEqual({ error: expect.objectContaining({ message: 'out of range' }) as unknown })
  })

  it.each([
    ['a task', async () => works('goes on')],
    ['a time', () => sleep('1d')],
    ['a signal', () => receive('x')],
    ['an input', () => waitForInput()],
  ])('of a run that waits for %s comes to where its journal ends', async (what, wait) => {
    await using engine = testEngine({ suspendAfter: '1m' })
    const run = flow(`unfinished: ${what}`, async () => {
      await works('before')
      await wait()
    })()
    engine.clock.advance(10)
    await quiet()
    engine.clock.advance(10)
    await quiet()
    done.length = 0
    expect(await engine.replay(run.id)).toMatchObject({ matches: true, outcome: undefined })
    expect(done).toEqual([])
    await engine.settle(run.cancel())
    expect(await engine.replay(run.id)).toMatchObject({ matches: true, recorded: { name: 'Cancelled' } })
  })

  it('of a run that waits for its next try does not wait for that', async () => {
    await using engine = testEngine()
    const fails = flow({ name: 'fails first', retries: 1, retryDelay: '1h' }, () => {
      throw new RangeError('not yet')
    })
    const run = engine.run(fails)
    await quiet()
    expect(run.state.name).toBe('AwaitingRetry')
    expect(await engine.replay(run.id)).toMatchObject({
      matches: true,
      outcome: undefined,
      recorded: { name: 'AwaitingRetry' },
    })
    await engine.settle(run.cancel())
  })

  it('needs a flow run, and a flow of its name', async () => {
    await using engine = testEngine()
    const run = flow('named so', () => 1)()
    await engine.settle(run)
    const alone = works('alone')
    await engine.settle(alone)
    expect(await errorOf(engine.replay('nowhere'))).toEqual(code('RUN_NOT_FOUND'))
    expect(await errorOf(engine.replay(alone.id))).toEqual(code('INVALID_OPTION', /no flow run/))
    const other = flow('other name', () => 1)
    expect(await errorOf(engine.replay(run.id, { flow: other }))).toEqual(
      code('INVALID_OPTION', /a flow named so/),
    )
  })
})
