import { createEngine, flow, memoryTransport, sleep, task, type Engine, type Logger } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { ClusterOfTest } from './nodes.ts'
import { hostOf } from './support.ts'

/** Counts how many bodies are at work at once, on all nodes. */
class Gauge {
  now = 0
  most = 0
  readonly order: string[] = []

  readonly body = async (name: string, ms: number): Promise<string> => {
    this.order.push(name)
    this.most = Math.max(this.most, ++this.now)
    try {
      await sleep(ms)
    } finally {
      this.now--
    }
    return name
  }
}

function gaugedFlow(gauge: Gauge) {
  const work = task({ name: 'work', tags: ['db'] }, gauge.body)
  return flow('works', (node: string, count: number, ms: number) =>
    Array.from({ length: count }, (_, index) => work(`${node}${index}`, ms)),
  )
}

/** `held/waiting` of the first limit. */
function counts(engine: Engine): string {
  const [{ held, waiting } = { held: -1, waiting: -1 }] = engine.limits.list()
  return `${held}/${waiting}`
}

function pass(cluster: ClusterOfTest, ms: number): Promise<void> {
  return cluster.settle(
    new Promise((resolve) => {
      cluster.clock.at(cluster.clock.now() + ms, resolve)
    }),
  )
}

const db = (concurrency: number) => ({ limits: [{ tag: 'db', concurrency }] })

describe('a limit of a cluster', () => {
  it('counts the runs of all nodes', async () => {
    await using cluster = new ClusterOfTest()
    const gauge = new Gauge()
    const works = gaugedFlow(gauge)
    const engines = ['a', 'b', 'c'].map((name) => cluster.start(name, db(2)))
    const runs = engines.map((engine) => engine.run(works, engine.node, 4, 5_000))
    await pass(cluster, 3_000)
    expect(engines.map(counts)).toEqual(['2/10', '2/10', '2/10'])
    await cluster.settle(Promise.all(runs))
    expect(gauge.most).toBe(2)
    expect(gauge.order).toHaveLength(12)
    await pass(cluster, 5_000)
    expect(engines.map(counts)).toEqual(['0/0', '0/0', '0/0'])
  })

  it('lets nodes take turns: none waits until another has done all its work', async () => {
    await using cluster = new ClusterOfTest()
    const gauge = new Gauge()
    const works = gaugedFlow(gauge)
    const engines = ['a', 'b'].map((name) => cluster.start(name, db(1)))
    await cluster.settle(Promise.all(engines.map((engine, index) => engine.run(works, 'ab'[index]!, 5, 100))))
    const nodes = gauge.order.map((name) => name[0]).join('')
    expect(nodes).toMatch(/^(ab){5}$|^(ba){5}$/)
  })

  it('is one that any node sets, changes and takes away', async () => {
    await using cluster = new ClusterOfTest()
    const gauge = new Gauge()
    const works = gaugedFlow(gauge)
    const [first, second] = [cluster.start('first'), cluster.start('second')]
    await pass(cluster, 10)
    first.limits.set({ tag: 'db', concurrency: 1 })
    // A node that has run nothing looks when it is asked.
    expect(second.limits.list()).toEqual([])
    await pass(cluster, 10)
    expect(second.limits.list()).toEqual([{ tag: 'db', concurrency: 1, held: 0, waiting: 0 }])
    const run = second.run(works, 'x', 4, 1_000)
    run.ignore()
    await pass(cluster, 500)
    expect(gauge.now).toBe(1)
    first.limits.set({ tag: 'db', concurrency: 2 })
    await pass(cluster, 100)
    expect(gauge.now).toBe(2)
    expect(first.limits.remove({ tag: 'db' })).toBe(true)
    expect(first.limits.remove({ tag: 'db' })).toBe(false)
    await pass(cluster, 100)
    expect(gauge.now).toBe(4)
    expect(second.limits.list()).toEqual([])
    await cluster.settle(run)
  })

  it('is known to a node that starts later, before its first run begins', async () => {
    await using cluster = new ClusterOfTest()
    const gauge = new Gauge()
    const works = gaugedFlow(gauge)
    cluster.start('first', db(1))
    await pass(cluster, 10)
    const second = cluster.start('second')
    await cluster.settle(second.run(works, 'x', 3, 10))
    expect(gauge.most).toBe(1)
  })

  it.each([
    ['is no JSON', 'not json', 'MALFORMED_PAYLOAD'],
    ['is no object', '5', 'MALFORMED_PAYLOAD'],
    ['is of a format to come', JSON.stringify({ format: 2 }), 'UNSUPPORTED_FORMAT'],
    ['counts what nobody knows', JSON.stringify({ format: 1, limit: { room: 'b' } }), 'MALFORMED_PAYLOAD'],
  ])(
    'that %s keeps runs waiting that it counts, and no others, and is told of once',
    async (_, text, code) => {
      await using cluster = new ClusterOfTest()
      const { register } = cluster.transport.open(hostOf('outsider', cluster.clock))
      const key = 'limits.tag=20db'
      await cluster.settle(register.put(key, new TextEncoder().encode(text), 0))
      const engine = cluster.start('only')
      const errors: unknown[] = []
      engine.errors.subscribe(({ error }) => errors.push(error))
      const gauge = new Gauge()
      const other = task({ name: 'other', tags: ['disk'] }, () => void gauge.order.push('other'))
      const runs = [engine.run(flow('others', () => other())), engine.run(gaugedFlow(gauge), 'x', 1, 10)]
      for (const run of runs) run.ignore()
      await pass(cluster, 60_000)
      expect(gauge.order).toEqual(['other'])
      expect(errors).toMatchObject([{ code, details: { key } }])

      const { revision = 0 } = (await cluster.settle(register.get(key))) ?? {}
      expect(await cluster.settle(register.delete(key, revision))).toBe(true)
      await cluster.settle(Promise.all(runs))
      expect(gauge.order).toEqual(['other', 'x0'])
    },
  )

  it('is as the last node has it that was started with one, and that is said', async () => {
    await using cluster = new ClusterOfTest()
    const warnings: string[] = []
    const silent = (): void => undefined
    const logger: Logger = {
      debug: silent,
      info: silent,
      error: silent,
      warn: (_, message) => void warnings.push(String(message)),
    }
    const first = cluster.start('first', db(5))
    await pass(cluster, 10)
    cluster.start('same', { ...db(5), logger })
    await pass(cluster, 10)
    expect(warnings).toEqual([])
    cluster.start('other', { ...db(3), logger })
    await pass(cluster, 2_000)
    expect(first.limits.list()).toMatchObject([{ tag: 'db', concurrency: 3 }])
    expect(warnings).toEqual([
      'the limit of tag db is 3 at once from now on, as other was given it; it was 5 at once, set by first',
    ])
  })

  it('leaves the history of a run that does not wait as it is without one', async () => {
    await using cluster = new ClusterOfTest()
    const gauge = new Gauge()
    const engine = cluster.start('only', db(1))
    const run = engine.run(gaugedFlow(gauge), 'x', 2, 100)
    const names = new Map<string, string[]>()
    const watch = async (): Promise<void> => {
      for await (const { kind, runName, to } of engine.watch({ flowRunId: run.id }))
        if (kind === 'task') names.set(runName, [...(names.get(runName) ?? []), to.name])
    }
    await cluster.settle(Promise.all([run, watch()]))
    expect(names.get('work-1')).toEqual(['Pending', 'Running', 'Completed'])
    expect(names.get('work-2')).toEqual(['Pending', 'AwaitingConcurrencySlot', 'Running', 'Completed'])
  })

  it('gives the slots of a node that was killed to others, after a while', async () => {
    await using cluster = new ClusterOfTest()
    const gauge = new Gauge()
    const works = gaugedFlow(gauge)
    const [first, second] = [cluster.start('first', db(1)), cluster.start('second', db(1))]
    first.run(works, 'dead', 1, 1_000_000).ignore()
    await pass(cluster, 100)
    const run = second.run(works, 'x', 1, 10)
    await pass(cluster, 1_000)
    expect(gauge.order).toEqual(['dead0'])
    cluster.kill('first')
    const before = cluster.clock.now()
    await cluster.settle(run)
    // 1.5 s until it is seen, and 3 s for whoever takes its runs over.
    expect(cluster.clock.now() - before).toBeLessThan(12_000)
    expect(gauge.order).toEqual(['dead0', 'x0'])
  })

  it('counts a run that goes on on another node once, and keeps its slot for it', async () => {
    await using cluster = new ClusterOfTest()
    const log: string[] = []
    const only = flow('only', async (name: string, ms: number) => {
      log.push(`${name} begins`)
      await sleep(ms)
      log.push(`${name} ends`)
    })
    const options = { limits: [{ flow: 'only', concurrency: 1 }], serve: { flows: [only] } }
    const [first, second] = [cluster.start('first', options), cluster.start('second', options)]
    const run = first.run(only, 'moved', 20_000)
    run.ignore()
    await pass(cluster, 100)
    const other = second.run(only, 'other', 10)
    await pass(cluster, 1_000)
    cluster.kill('first')
    await cluster.settle(other)
    // It had waited longer, and the one that was moved kept its slot.
    expect(log).toEqual(['moved begins', 'moved begins', 'moved ends', 'other begins', 'other ends'])
    await pass(cluster, 10_000)
    expect(counts(second)).toBe('0/0')
  })

  it('sees that runs of one node wait for each other for ever', async () => {
    await using cluster = new ClusterOfTest()
    const inner = task({ name: 'inner', tags: ['db'] }, () => 1)
    const outer = task({ name: 'outer', tags: ['db'] }, () => inner())
    const engine = cluster.start('only', db(1))
    await expect(cluster.settle(engine.run(flow('nested', () => outer())))).rejects.toMatchObject({
      code: 'LIMIT_DEADLOCK',
    })
  })

  it('lets a run go that is cancelled or waits too long, and the next one gets its slot', async () => {
    await using cluster = new ClusterOfTest()
    const gauge = new Gauge()
    const work = task({ name: 'work', tags: ['db'], waitTimeout: '1s' }, gauge.body)
    const both = flow('both', async () => {
      const [cancelled, late] = [work('cancelled', 10), work('late', 10)]
      late.ignore()
      await cancelled.cancel('enough')
      return (await late.wait()).name
    })
    const [first, second] = [cluster.start('first', db(1)), cluster.start('second', db(1))]
    const holding = first.run(gaugedFlow(gauge), 'x', 1, 3_000)
    await pass(cluster, 100)
    expect(await cluster.settle(second.run(both))).toBe('TimedOut')
    await cluster.settle(holding)
    await cluster.settle(second.run(gaugedFlow(gauge), 'y', 1, 10))
    expect(gauge.order).toEqual(['x0', 'y0'])
  })

  it('counts the starts of all nodes in any window of time, retries included', async () => {
    await using cluster = new ClusterOfTest()
    const starts: number[] = []
    const call = task({ name: 'call', retries: 1 }, (fails: boolean) => {
      starts.push(cluster.clock.now())
      if (fails) throw new RangeError('on purpose')
    })
    const every = flow('every', async () => {
      const runs = [call(false), call(true), call(false)]
      await Promise.all(runs.map((run) => run.wait()))
    })
    const options = { limits: [{ task: 'call', rate: { count: 2, per: 1_000 } }] }
    const engines = ['a', 'b', 'c'].map((name) => cluster.start(name, options))
    await cluster.settle(Promise.all(engines.map((engine) => engine.run(every).wait())))
    expect(starts).toHaveLength(12)
    const tooSoon = starts.filter((at, index) => index >= 2 && at - starts[index - 2]! < 1_000)
    expect(tooSoon).toEqual([])
    // And little slower than it allows: 12 starts, two in a second.
    expect(starts.at(-1)! - starts[0]!).toBeLessThan(6_500)
  })

  it('of several gives a run all or none in the end', async () => {
    await using cluster = new ClusterOfTest()
    const gauge = new Gauge()
    const one = task({ name: 'one', tags: ['db'] }, gauge.body)
    const two = task({ name: 'two', tags: ['net'] }, gauge.body)
    const both = task({ name: 'both', tags: ['db', 'net'] }, gauge.body)
    const mixed = flow('mixed', (node: string) => [
      both(`${node} both`, 20),
      one(`${node} one`, 20),
      two(`${node} two`, 20),
      both(`${node} both`, 20),
    ])
    const options = {
      limits: [
        { tag: 'db', concurrency: 1 },
        { tag: 'net', concurrency: 1 },
      ],
    }
    const engines = ['a', 'b', 'c'].map((name) => cluster.start(name, options))
    await cluster.settle(Promise.all(engines.map((engine) => engine.run(mixed, engine.node))))
    expect(gauge.order).toHaveLength(12)
    expect(gauge.most).toBe(2)
    await pass(cluster, 5_000)
    expect(engines.map(counts)).toEqual(['0/0', '0/0', '0/0'])
  })

  it('leaves nothing behind when its engines are closed', async () => {
    const transport = memoryTransport()
    const gauge = new Gauge()
    const engines = ['a', 'b'].map((node) => createEngine({ node, transport, ...db(1) }))
    await Promise.all(engines.map((engine) => engine.run(gaugedFlow(gauge), engine.node, 2, 1)))
    for (const engine of engines) await engine.close()
    const last = createEngine({ node: 'last', transport })
    await last.run(gaugedFlow(gauge), 'x', 1, 1)
    expect(last.limits.list()).toEqual([{ tag: 'db', concurrency: 1, held: 0, waiting: 0 }])
    await last.close()
  })
})
