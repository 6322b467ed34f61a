import { ConcurrentTaskRunner, completed, flow, sleep, task, waitAll } from '@troupe/core'
import { createTestEngine } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'

const add = task('add', (a: number, b: number) => a + b)
const later = task('later', async (value: number, ms: number) => {
  await sleep(ms)
  return value
})

/** An engine, and a way to run a flow on a runner with a limit. */
function setup(limit: number) {
  const engine = createTestEngine()
  const taskRunner = new ConcurrentTaskRunner({ limit })
  const run = <T>(body: () => T) => engine.settle(engine.run(flow({ name: 'test', taskRunner }, body)))
  return { run, [Symbol.asyncDispose]: () => engine.close() }
}

describe.each([1, 2, 3])('a runner with %i slots', (limit) => {
  it('finishes where a body returns the run that it submitted', async () => {
    await using world = setup(limit)
    const returning = task('returning', async (n: number) => add(n, 1))
    expect(await world.run(() => [1, 2, 3].map((n) => returning(n)))).toEqual([2, 3, 4])
  })

  it('finishes where a body returns the future of the run that it submitted, unawaited', async () => {
    await using world = setup(limit)
    const returning = task('returning', (n: number) => add(n, 1))
    expect(await world.run(() => returning(1))).toBe(2)
  })

  it('finishes where more bodies than slots wait for one run that none of them submitted', async () => {
    await using world = setup(limit)
    const values = await world.run(() => {
      const shared = later(5, 10)
      const sharing = task('sharing', async (n: number) => n + (await shared))
      return [1, 2, 3, 4].map((n) => sharing(n))
    })
    expect(values).toEqual([6, 7, 8, 9])
  })

  it('finishes where a body waits for several runs while others take its slot', async () => {
    await using world = setup(limit)
    const both = task('both', async (n: number) => {
      const [a, b] = await Promise.all([later(n, 1), later(n, 2)])
      return a + b
    })
    const values = await world.run(() => [
      ...[1, 2, 3].map((n) => both(n)),
      ...Array.from({ length: 6 }, () => later(0, 5)),
    ])
    expect(values).toEqual([2, 4, 6, 0, 0, 0, 0, 0, 0])
  })

  it('finishes where bodies look at runs with waitAll and a timeout', async () => {
    await using world = setup(limit)
    const looking = task('looking', async () => {
      const runs = [later(1, 5), later(2, 50)]
      const { done } = await waitAll(runs, { timeout: 10 })
      await sleep(20)
      const rest = await waitAll(runs)
      return completed([done.length <= rest.done.length, rest.done.length])
    })
    expect(await world.run(() => [looking(), looking(), looking()])).toEqual([
      [true, 2],
      [true, 2],
      [true, 2],
    ])
  })

  it('fails a run whose body returns something that throws when it is looked at, and keeps its slot', async () => {
    await using world = setup(limit)
    const revoked = task('revoked', () => {
      const { proxy, revoke } = Proxy.revocable({}, {})
      revoke()
      return proxy
    })
    const states = await world.run(async () => {
      const runs = Array.from({ length: 4 }, () => revoked())
      await waitAll(runs)
      return completed(runs.map(({ state }) => state.name))
    })
    expect(states).toEqual(['Failed', 'Failed', 'Failed', 'Failed'])
    expect(await world.run(() => add(1, 2))).toBe(3)
  })
})
