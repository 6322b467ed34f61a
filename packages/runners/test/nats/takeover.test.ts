import { flow, type AnyFlow, type Engine, type Limit } from '@troupe/core'
import { NatsTaskRunner } from '@troupe/runners'
import { describe, expect, it } from 'vitest'
import { VirtualCluster, remoteFlow } from './support.ts'
import { failing, held, noted, open, parent, slow, traceOf } from './tasks.ts'

/** Two nodes that serve the flow, the first of which owns its runs. */
function owners(
  cluster: VirtualCluster,
  served: AnyFlow,
  limits: readonly Limit[] = [],
): { readonly a: Engine; readonly b: Engine } {
  const options = { serve: { flows: [served] }, limits }
  return { a: cluster.node('a', options), b: cluster.node('b', options) }
}

/** Lets time pass until a body has left so many lines. */
async function traced(cluster: VirtualCluster, name: string, lines: number): Promise<void> {
  while (traceOf(name).length < lines) await cluster.pass(50)
}

async function ended(cluster: VirtualCluster, engine: Engine, id: string): Promise<unknown> {
  const found = await cluster.settle(engine.get(id))
  if (found === undefined) throw new TypeError(`there is no run ${id}`)
  return cluster.settle(found.result())
}

describe('where the owner of a flow run is lost', () => {
  it('a body on a worker goes on, and the next owner hears what it found', async () => {
    await using cluster = new VirtualCluster()
    const simple = remoteFlow('takeover/simple', () => held('goes on'))
    const { a, b } = owners(cluster, simple)
    cluster.worker('w1')
    const { id } = a.run(simple)
    await traced(cluster, 'goes on', 1)
    await cluster.pass(100)
    cluster.crash('a')
    await cluster.pass(10_000)
    open('goes on')
    expect(await ended(cluster, b, id)).toBe(1)
    expect(traceOf('goes on')).toEqual(['+1', '-1 done'])
  })

  it('a body that ends while there is no owner is heard by the next one', async () => {
    await using cluster = new VirtualCluster()
    const simple = remoteFlow('takeover/meanwhile', () => slow('meanwhile', 5, 500))
    const { a, b } = owners(cluster, simple)
    cluster.worker('w1')
    const { id } = a.run(simple)
    await traced(cluster, 'meanwhile', 1)
    await cluster.pass(100)
    cluster.crash('a')
    await cluster.pass(1_000)
    expect(traceOf('meanwhile')).toEqual(['+5', '-5'])
    expect(await ended(cluster, b, id)).toBe(5)
    expect(traceOf('meanwhile')).toEqual(['+5', '-5'])
  })

  it.each([
    ['a rate', ['one']],
    ['several rates', ['one', 'other']],
  ])('a body that goes on has begun, and takes up no start of %s', async (words, tags) => {
    await using cluster = new VirtualCluster()
    const [long, next] = [`goes on under ${words}`, `begins under ${words}`]
    const rated = remoteFlow(`takeover/rated-${tags.length}`, () => held.with({ tags })(long))
    const limits = tags.map((tag) => ({ tag, rate: { count: 1, per: 100 } }))
    const { a, b } = owners(cluster, rated, limits)
    cluster.worker('w1')
    const { id } = a.run(rated)
    await traced(cluster, long, 1)
    await cluster.pass(100)
    cluster.crash('a')
    await cluster.pass(10_000)
    // The next owner has it, and counts it.
    expect(b.limits.list().map(({ held: here }) => here)).toEqual(tags.map(() => 1))
    const after = b.run(
      remoteFlow(`takeover/after-rated-${tags.length}`, () => noted.with({ tags })(next, 1)),
    )
    after.handle.ignore()
    await cluster.pass(5_000)
    expect(traceOf(next)).toEqual(['1'])
    open(long)
    expect(await ended(cluster, b, id)).toBe(1)
    expect(await cluster.settle(after)).toBe(1)
    expect(traceOf(long)).toEqual(['+1', '-1 done'])
  })

  it('a body that had submitted runs is stopped, and another attempt finds them again', async () => {
    await using cluster = new VirtualCluster()
    const nested = remoteFlow('takeover/nested', () => parent('nested'))
    const { a, b } = owners(cluster, nested)
    cluster.worker('w1', { default: 4 })
    const { id } = a.run(nested)
    await traced(cluster, 'nested held', 1)
    await cluster.pass(100)
    cluster.crash('a')
    await traced(cluster, 'nested', 2)
    open('nested held')
    const [drawn, childId] = (await ended(cluster, b, id)) as [string, string]
    // The same draw and the same child in both attempts; the child that had ended did not run again.
    expect(traceOf('nested')).toEqual([`1 ${drawn} ${childId}`, `2 ${drawn} ${childId}`, '2 ends'])
    expect(traceOf('nested child')).toEqual(['1'])
    // The one that it waited for had submitted nothing, and went on.
    expect(traceOf('nested held')).toEqual(['+1', '-1 done'])
  })

  it('reports on task runs that have ended are forgotten by the next one, also where it has the same name', async () => {
    await using cluster = new VirtualCluster()
    const simple = remoteFlow('takeover/again', async () => {
      await noted('again', 1)
      return held('again held')
    })
    const serve = { flows: [simple] }
    const a = cluster.node('a', { serve })
    cluster.worker('w1')
    // It is killed before it has forgotten what was reported.
    const never = new Promise<never>(() => undefined)
    Object.assign(cluster.stations.get('a')!.mailbox, { confirm: () => never })
    const { id } = a.run(simple)
    await traced(cluster, 'again held', 1)
    await cluster.pass(100)
    cluster.crash('a')
    await cluster.pass(10_000)
    const again = cluster.node('a', { serve })
    await cluster.pass(60_000)
    const station = cluster.observe()
    expect((await cluster.settle(station.journal.summary(id)))?.node).toBe('a')
    expect(await cluster.settle(station.mailbox.pending(id))).toEqual([])
    await cluster.settle(station.close())
    open('again held')
    expect(await ended(cluster, again, id)).toBe(1)
    expect(traceOf('again')).toEqual(['1'])
  })

  it('what was in the queue stays there, and runs once', async () => {
    await using cluster = new VirtualCluster()
    const values = Array.from({ length: 40 }, (_, n) => n)
    const wide = remoteFlow('takeover/wide', () => values.map((n) => noted('queued', n)))
    const { a, b } = owners(cluster, wide)
    const { id } = a.run(wide)
    await cluster.pass(1_000)
    cluster.crash('a')
    await cluster.pass(5_000)
    cluster.worker('w1', { default: 4 })
    expect(await ended(cluster, b, id)).toEqual(values)
    expect(traceOf('queued').toSorted()).toEqual(values.map(String).toSorted())
  })

  it('batches that were offered as one stay one, and run once', async () => {
    await using cluster = new VirtualCluster()
    const values = Array.from({ length: 60 }, (_, n) => n)
    const wide = remoteFlow('takeover/batches', () => [
      held('blocks'),
      ...values.map((n) => noted('batched', n)),
    ])
    const { a, b } = owners(cluster, wide)
    cluster.worker('w1', { default: 1 })
    cluster.worker('wide', { default: 8 })
    // The pool knows the workers from the first run on.
    await cluster.settle(a.run(remoteFlow('takeover/warm', () => noted('warm', 1))))
    cluster.crash('wide')
    const { id } = a.run(wide)
    await traced(cluster, 'blocks', 1)
    cluster.crash('a')
    await cluster.pass(5_000)
    open('blocks')
    expect(await ended(cluster, b, id)).toEqual([1, ...values])
    expect(traceOf('batched').toSorted()).toEqual(values.map(String).toSorted())
  })

  it('together with the worker: another attempt runs elsewhere', async () => {
    await using cluster = new VirtualCluster()
    const simple = remoteFlow('takeover/both', () => held('both'))
    const { a, b } = owners(cluster, simple)
    cluster.worker('w1')
    const { id } = a.run(simple)
    await traced(cluster, 'both', 1)
    await cluster.pass(100)
    cluster.crash('a')
    cluster.crash('w1')
    cluster.worker('w2')
    await traced(cluster, 'both', 2)
    open('both')
    expect(await ended(cluster, b, id)).toBe(2)
    expect(await cluster.history(b, await taskOf(cluster, b, id))).toBe(
      'Pending → Running w1 → Recovering → Running w2 → Completed',
    )
  })
})

describe('where the owner of a flow run is lost before it has decided', () => {
  it('what a worker reported is heard by the next one, and the body does not begin again for it', async () => {
    await using cluster = new VirtualCluster()
    const asked: unknown[] = []
    let decide = (): void => undefined
    const decided = new Promise<void>((resolve) => (decide = resolve))
    const fails = failing.with({
      retries: 1,
      retryOn: async (error) => {
        asked.push(error)
        if (asked.length === 1) await decided
        return true
      },
    })
    const simple = remoteFlow('takeover/undecided', () => fails('undecided', 1))
    const { a, b } = owners(cluster, simple)
    cluster.worker('w1')
    const { id } = a.run(simple)
    await traced(cluster, 'undecided', 1)
    await cluster.pass(1_000)
    expect(asked).toHaveLength(1)
    cluster.crash('a')
    expect(await ended(cluster, b, id)).toBe(2)
    decide()
    expect(asked).toHaveLength(2)
    expect(traceOf('undecided')).toEqual(['1', '2'])
    expect(await cluster.history(b, await taskOf(cluster, b, id))).toBe(
      'Pending → Running w1 → Retrying → Completed',
    )
  })
})

describe('where the owner of a flow run is lost while a run is cancelled', () => {
  it('its body is told to stop by the next one', async () => {
    await using cluster = new VirtualCluster()
    const simple = remoteFlow('takeover/cancelled', async () => {
      await held('cancelled').catch(() => undefined)
      return held('goes on after')
    })
    const { a, b } = owners(cluster, simple)
    cluster.worker('w1', { default: 1 })
    const tasks: string[] = []
    a.transitions.subscribe(({ kind, runId }) => kind === 'task' && tasks.push(runId))
    const { id } = a.run(simple)
    await traced(cluster, 'cancelled', 1)
    await cluster.pass(100)
    const task = await cluster.settle(a.get(tasks[0] ?? ''))
    // The worker does not hear of it.
    cluster.cut('w1')
    const cancelled = task?.cancel('enough')
    cancelled?.catch(() => undefined)
    await cluster.pass(50)
    cluster.crash('a')
    cluster.heal('w1')
    // There is one slot: it is free for what the flow run does next.
    await traced(cluster, 'goes on after', 1)
    expect(traceOf('cancelled')).toEqual(['+1', '-1 OWNERSHIP_LOST'])
    open('goes on after')
    expect(await ended(cluster, b, id)).toBe(1)
  })
})

/** The only task run of a flow run. */
async function taskOf(cluster: VirtualCluster, engine: Engine, flowRunId: string): Promise<string> {
  let found = ''
  await cluster.settle(
    new Promise<void>((resolve, reject) => {
      engine.watch({ flowRunId }).subscribe({
        next: ({ kind, runId }) => {
          if (kind === 'task') found = runId
        },
        error: reject,
        complete: resolve,
      })
    }),
  )
  return found
}

describe('where the owner of a flow run is closed', () => {
  it('its bodies go on for the next owner', async () => {
    await using cluster = new VirtualCluster()
    const simple = remoteFlow('takeover/closed', () => held('closed'))
    const { a, b } = owners(cluster, simple)
    cluster.worker('w1')
    const run = a.run(simple)
    run.handle.ignore()
    await traced(cluster, 'closed', 1)
    await cluster.pass(100)
    await cluster.settle(a.close())
    cluster.engines.delete('a')
    await cluster.pass(5_000)
    expect(traceOf('closed')).toEqual(['+1'])
    open('closed')
    expect(await ended(cluster, b, run.id)).toBe(1)
    expect(traceOf('closed')).toEqual(['+1', '-1 done'])
  })

  it('what waits in the queue is not offered twice', async () => {
    await using cluster = new VirtualCluster()
    const queued = flow(
      { name: 'takeover/closed-queued', taskRunner: new NatsTaskRunner({ queue: 'later' }) },
      () => noted('closed queued', 1),
    )
    const { a, b } = owners(cluster, queued)
    const run = a.run(queued)
    run.handle.ignore()
    await cluster.pass(500)
    await cluster.settle(a.close())
    cluster.engines.delete('a')
    await cluster.pass(40_000)
    const station = cluster.observe()
    const { count } = await cluster.settle(station.queue.pending({ of: 'task', name: 'later' }, 10))
    expect(count).toBe(1)
    await cluster.settle(station.close())
    cluster.worker('w1', { later: 1 })
    expect(await ended(cluster, b, run.id)).toBe(1)
    expect(traceOf('closed queued')).toEqual(['1'])
  })
})
