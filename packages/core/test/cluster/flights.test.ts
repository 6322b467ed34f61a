import { flow, inputs, memoryCache, sleep, task, type Engine, type FlowRun } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { ClusterOfTest } from './nodes.ts'

function pass(cluster: ClusterOfTest, ms: number): Promise<void> {
  return cluster.settle(
    new Promise((resolve) => {
      cluster.clock.at(cluster.clock.now() + ms, resolve)
    }),
  )
}

/** A task that is cached, and how often its body began. */
function cached(body: (key: string, begun: number) => Promise<string>, options: object = {}) {
  const begun: string[] = []
  const load = task({ name: 'load', cache: inputs(), ...options }, async (key: string) => {
    begun.push(key)
    return body(key, begun.length)
  })
  return { begun, load, loads: flow('loads', (key: string) => load(key)) }
}

async function names(cluster: ClusterOfTest, engine: Engine, run: FlowRun<unknown>): Promise<string[]> {
  const found: string[] = []
  const watch = async (): Promise<void> => {
    for await (const { kind, to } of engine.watch({ flowRunId: run.id }))
      if (kind === 'task') found.push(to.name)
  }
  await cluster.settle(watch())
  return found
}

describe('equal calls on several nodes at once', () => {
  it('run one body, and all get its result', async () => {
    await using cluster = new ClusterOfTest()
    const { begun, loads } = cached(async (key, count) => {
      await sleep(1_000)
      return `${key} ${count}`
    })
    const engines = ['a', 'b', 'c'].map((name) => cluster.start(name))
    const runs = engines.map((engine) => engine.run(loads, 'x'))
    expect(await cluster.settle(Promise.all(runs))).toEqual(['x 1', 'x 1', 'x 1'])
    expect(begun).toEqual(['x'])
    const histories = await Promise.all(runs.map((run, index) => names(cluster, engines[index]!, run)))
    expect(histories.map((history) => history.join()).toSorted()).toEqual([
      'Pending,Cached',
      'Pending,Cached',
      'Pending,Running,Completed',
    ])
  })

  it('do not wait for calls that differ', async () => {
    await using cluster = new ClusterOfTest()
    const { begun, loads } = cached(async (key) => {
      await sleep(1_000)
      return key
    })
    const [a, b] = [cluster.start('a'), cluster.start('b')]
    const before = cluster.clock.now()
    await cluster.settle(Promise.all([a.run(loads, 'x'), b.run(loads, 'y')]))
    expect(begun.toSorted()).toEqual(['x', 'y'])
    expect(cluster.clock.now() - before).toBeLessThan(1_500)
  })

  it('take their turns where the one before fails', async () => {
    await using cluster = new ClusterOfTest()
    const { begun, loads } = cached(async (key, count) => {
      await sleep(1_000)
      if (count < 3) throw new RangeError(`try ${count}`)
      return `${key} ${count}`
    })
    const engines = ['a', 'b', 'c', 'd'].map((name) => cluster.start(name))
    const states = await cluster.settle(Promise.all(engines.map((engine) => engine.run(loads, 'x').wait())))
    expect(states.map(({ name }) => name).toSorted()).toEqual(['Completed', 'Completed', 'Failed', 'Failed'])
    expect(begun).toHaveLength(3)
  })

  it('go on where the node of the one that makes the result is killed', async () => {
    await using cluster = new ClusterOfTest()
    const { begun, loads } = cached(async (key, count) => {
      await sleep(count === 1 ? 1_000_000 : 100)
      return `${key} ${count}`
    })
    const [first, second, third] = ['first', 'second', 'third'].map((name) => cluster.start(name))
    first!.run(loads, 'x').ignore()
    await pass(cluster, 100)
    const runs = [second!.run(loads, 'x'), third!.run(loads, 'x')]
    await pass(cluster, 20_000)
    expect(begun).toHaveLength(1)
    cluster.kill('first')
    const before = cluster.clock.now()
    expect(await cluster.settle(Promise.all(runs))).toEqual(['x 2', 'x 2'])
    expect(cluster.clock.now() - before).toBeLessThan(10_000)
    expect(begun).toHaveLength(2)
  })

  it('wait for a run that goes on on another node', async () => {
    await using cluster = new ClusterOfTest()
    const { begun, loads } = cached(async (key, count) => {
      await sleep(count === 1 ? 1_000_000 : 20_000)
      return `${key} ${count}`
    })
    const serve = { flows: [loads] }
    const first = cluster.start('first', { serve })
    first.run(loads, 'x').ignore()
    await pass(cluster, 100)
    cluster.start('second', { serve })
    cluster.kill('first')
    await pass(cluster, 8_000)
    expect(begun).toHaveLength(2)
    const third = cluster.start('third')
    expect(await cluster.settle(third.run(loads, 'x'))).toBe('x 2')
    expect(begun).toHaveLength(2)
  })

  it('get a result that they waited for however soon it expires; a later call does not', async () => {
    await using cluster = new ClusterOfTest()
    const { begun, loads } = cached(
      async (key, count) => {
        await sleep(1_000)
        return `${key} ${count}`
      },
      { cacheExpiry: 0 },
    )
    const [a, b] = [cluster.start('a'), cluster.start('b')]
    expect(await cluster.settle(Promise.all([a.run(loads, 'x'), b.run(loads, 'x')]))).toEqual(['x 1', 'x 1'])
    expect(await cluster.settle(b.run(loads, 'x'))).toBe('x 2')
    expect(begun).toHaveLength(2)
  })

  it('wait for one that refreshes the result, and what an older one makes is not kept', async () => {
    await using cluster = new ClusterOfTest()
    const { load, loads } = cached(async (key, count) => {
      await sleep(count === 1 ? 3_000 : 1_000)
      return `${key} ${count}`
    })
    const renews = flow('renews', (key: string) => load.with({ refreshCache: true })(key))
    const [a, b, c] = ['a', 'b', 'c'].map((name) => cluster.start(name))
    const older = a!.run(loads, 'x')
    await pass(cluster, 500)
    const newer = b!.run(renews, 'x')
    await pass(cluster, 100)
    const later = c!.run(loads, 'x')
    expect(await cluster.settle(Promise.all([older, newer, later]))).toEqual(['x 1', 'x 2', 'x 2'])
    expect(await cluster.settle(c!.run(loads, 'x'))).toBe('x 2')
  })

  it('are let go of by a run that is cancelled or waits too long', async () => {
    await using cluster = new ClusterOfTest()
    const { begun, load, loads } = cached(async (key) => {
      await sleep(5_000)
      return key
    })
    const impatient = flow('impatient', async () => {
      const [cancelled, late] = [load('x'), load.with({ waitTimeout: '1s' })('x')]
      late.ignore()
      await cancelled.cancel('enough')
      return (await late.wait()).name
    })
    const [a, b] = [cluster.start('a'), cluster.start('b')]
    const run = a.run(loads, 'x')
    await pass(cluster, 100)
    expect(await cluster.settle(b.run(impatient))).toBe('TimedOut')
    expect(await cluster.settle(run)).toBe('x')
    expect(begun).toHaveLength(1)
  })

  it('do not wait for ever where each has what the other waits for', async () => {
    await using cluster = new ClusterOfTest()
    const begun: string[] = []
    const inner = task({ name: 'inner', cache: inputs() }, async (key: string): Promise<string> => {
      begun.push(key)
      await sleep(100)
      // Each needs the result that the other one is part of.
      return key === 'x' ? leaf('y') : leaf('x')
    })
    const leaf = task(
      { name: 'leaf', cacheKey: (key: string) => key },
      async (key: string): Promise<string> => {
        begun.push(`leaf ${key}`)
        await sleep(100)
        return key === 'x' ? again('y') : again('x')
      },
    )
    const again = task({ name: 'leaf', cacheKey: (key: string) => key }, async (key: string) => `end ${key}`)
    const [a, b] = [cluster.start('a'), cluster.start('b')]
    const flows = flow('flows', (key: string) => inner(key))
    const values = await cluster.settle(Promise.all([a.run(flows, 'x'), b.run(flows, 'y')]))
    expect(values).toEqual(['end x', 'end y'])
    expect(begun).toHaveLength(4)
  })

  it('run where each engine has a cache of its own', async () => {
    await using cluster = new ClusterOfTest()
    const { begun, loads } = cached(async (key) => {
      await sleep(1_000)
      return key
    })
    const engines = ['a', 'b'].map((name) => cluster.start(name, { cache: memoryCache() }))
    const before = cluster.clock.now()
    await cluster.settle(Promise.all(engines.map((engine) => engine.run(loads, 'x'))))
    expect(begun).toHaveLength(2)
    expect(cluster.clock.now() - before).toBeLessThan(1_500)
  })
})
