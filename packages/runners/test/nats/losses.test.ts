import { JournalError, task, type RunHandle, type TaskFuture } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { VirtualCluster, remoteFlow } from './support.ts'
import { held, noted, open, slow, traceOf } from './tasks.ts'

/** Starts a flow run of these, and gives their handles. */
async function submitted(
  cluster: VirtualCluster,
  submit: () => TaskFuture<unknown>[],
): Promise<{ readonly value: Promise<unknown>; readonly runs: readonly RunHandle<unknown>[] }> {
  let handles: (runs: readonly RunHandle<unknown>[]) => void = () => undefined
  const runs = new Promise<readonly RunHandle<unknown>[]>((resolve) => (handles = resolve))
  const owner = cluster.engines.get('owner') ?? cluster.node('owner')
  const run = owner.run(
    remoteFlow('losses', () => {
      const futures = submit()
      handles(futures.map(({ handle }) => handle))
      return futures
    }),
  )
  return { value: Promise.resolve(run), runs: await cluster.settle(runs) }
}

const hostOf = async (cluster: VirtualCluster, run: RunHandle<unknown>): Promise<string> => {
  await cluster.reached(run, 'Running')
  let host = ''
  await cluster.settle(
    new Promise<void>((resolve) => {
      run.transitions.subscribe((transition) => {
        if (transition.to.name !== 'Running') return
        host = transition.host ?? ''
        resolve()
      })
    }),
  )
  return host
}

describe('a worker that is lost', () => {
  it('has its bodies run again on another one, as new attempts', async () => {
    await using cluster = new VirtualCluster()
    for (const name of ['w1', 'w2']) cluster.worker(name, { default: 1 })
    const { value, runs } = await submitted(cluster, () => [held('again')])
    const [run] = runs as [RunHandle<unknown>]
    const first = await hostOf(cluster, run)
    cluster.crash(first)
    const second = first === 'w1' ? 'w2' : 'w1'
    await cluster.reached(run, 'Recovering')
    await cluster.pass(5_000)
    open('again')
    expect(await cluster.settle(value)).toEqual([2])
    const owner = cluster.engines.get('owner')
    expect(owner && (await cluster.history(owner, run.id))).toBe(
      `Pending → Running ${first} → Recovering → Running ${second} → Completed`,
    )
    // The body on the dead node is in this process, and ends, too; nobody hears of it.
    expect(traceOf('again').toSorted()).toEqual(['+1', '+2', '-1 done', '-2 done'])
  })

  it('has what it had taken and not begun run elsewhere, each once', async () => {
    await using cluster = new VirtualCluster()
    cluster.worker('w1', { default: 2 })
    const values = Array.from({ length: 12 }, (_, n) => n)
    const { value, runs } = await submitted(cluster, () => values.map((n) => slow('taken', n, 1_000)))
    const [run] = runs as [RunHandle<unknown>]
    await cluster.reached(run, 'Running')
    cluster.crash('w1')
    cluster.worker('w2', { default: 2 })
    expect(await cluster.settle(value)).toEqual(values)
    const begun = traceOf('taken').filter((line) => line.startsWith('+'))
    // Two ran on the first worker when it died.
    expect(begun.length).toBe(14)
    expect(new Set(begun).size).toBe(12)
  })

  it('that was only cut off is told to stop when it is back, and what it found is refused', async () => {
    await using cluster = new VirtualCluster()
    for (const name of ['w1', 'w2']) cluster.worker(name, { default: 1 })
    const { value, runs } = await submitted(cluster, () => [held('zombie'), held('other')])
    const [run] = runs as [RunHandle<unknown>]
    const zombie = await hostOf(cluster, run)
    await cluster.reached(runs[1] as RunHandle<unknown>, 'Running')
    // Its slot is for the attempt that follows.
    open('other')
    cluster.transport.partition(zombie)
    await cluster.reached(run, 'Recovering')
    await cluster.pass(10_000)
    cluster.transport.heal(zombie)
    await cluster.pass(20_000)
    open('zombie')
    expect(await cluster.settle(value)).toEqual([2, 1])
    expect(traceOf('zombie')).toEqual(['+1', '-1 OWNERSHIP_LOST', '+2', '-2 done'])
    const owner = cluster.engines.get('owner')
    expect(owner && (await cluster.history(owner, run.id))).toMatch(
      /^Pending → Running w\d → Recovering → Running w\d → Completed$/,
    )
  })

  it('more often than `maxRecoveries` is enough: the run has crashed', async () => {
    await using cluster = new VirtualCluster()
    cluster.worker('w0', { default: 1 })
    const { value, runs } = await submitted(cluster, () => [held.with({ maxRecoveries: 1 })('poison')])
    const [run] = runs as [RunHandle<unknown>]
    const failure = value.catch((error: unknown) => error)
    for (let n = 0; n < 2; n++) {
      await cluster.reached(run, 'Running')
      await cluster.pass(100)
      cluster.crash(`w${n}`)
      cluster.worker(`w${n + 1}`, { default: 1 })
      await cluster.pass(20_000)
    }
    expect(await cluster.settle(failure)).toMatchObject({ cause: { code: 'RUN_CRASHED' } })
    expect(traceOf('poison').filter((line) => line.startsWith('+'))).toEqual(['+1', '+2'])
  })

  it('does not begin anew what must not run twice', async () => {
    await using cluster = new VirtualCluster()
    for (const name of ['w1', 'w2']) cluster.worker(name, { default: 1 })
    const { value, runs } = await submitted(cluster, () => [held.with({ onHostLost: 'crash' })('once')])
    const [run] = runs as [RunHandle<unknown>]
    const failure = value.catch((error: unknown) => error)
    cluster.crash(await hostOf(cluster, run))
    expect(await cluster.settle(failure)).toMatchObject({ cause: { code: 'RUN_CRASHED' } })
    await cluster.pass(60_000)
    expect(traceOf('once')).toEqual(['+1'])
    open('once')
  })
})

describe('an offer', () => {
  it('that is nowhere any more is made again', async () => {
    await using cluster = new VirtualCluster()
    const owner = cluster.node('owner')
    const { value, runs } = await submitted(cluster, () => [noted('nowhere', 7)])
    const [run] = runs as [RunHandle<unknown>]
    await cluster.pass(1_000)
    const station = cluster.observe()
    const queue = { of: 'task', name: 'default' } as const
    const { ids } = await cluster.settle(station.queue.pending(queue, 10))
    expect(ids).toEqual([`${run.id}.1`])
    await cluster.settle(station.queue.withdraw(queue, `${run.id}.1`))
    cluster.worker('w1')
    await cluster.pass(5_000)
    expect(traceOf('nowhere')).toEqual([])
    await cluster.pass(10_000)
    expect(await cluster.settle(value)).toEqual([7])
    expect(traceOf('nowhere')).toEqual(['7'])
    expect(await cluster.history(owner, run.id)).toBe('Pending → Running w1 → Completed')
    await cluster.settle(station.close())
  })

  it('for which there is no room is made when there is, and is one however long that takes', async () => {
    await using cluster = new VirtualCluster()
    const owner = cluster.node('owner')
    cluster.worker('w1')
    const queue = cluster.stations.get('owner')?.queue
    if (queue === undefined) throw new TypeError('there is no owner')
    const offer = queue.offer.bind(queue)
    const refused: string[] = []
    queue.offer = async ({ id }) => {
      refused.push(id)
      throw new JournalError('TRANSPORT_UNAVAILABLE', 'there is no room', { details: { reason: 'full' } })
    }
    const { value, runs } = await submitted(cluster, () => [noted('full', 3)])
    const [run] = runs as [RunHandle<unknown>]
    await cluster.pass(120_000)
    queue.offer = offer
    expect(await cluster.settle(value)).toEqual([3])
    expect(traceOf('full')).toEqual(['3'])
    expect(refused.length).toBeGreaterThan(10)
    expect(new Set(refused)).toEqual(new Set([`${run.id}.1`]))
    expect(await cluster.history(owner, run.id)).toBe('Pending → Running w1 → Completed')
  })

  it('is answered where nobody takes from its queue: people can see why the run waits', async () => {
    await using cluster = new VirtualCluster()
    const owner = cluster.node('owner')
    const { value } = await submitted(cluster, () => [noted('waits', 1), noted('waits', 2)])
    await cluster.pass(20_000)
    expect(owner.health().obstacles).toEqual(['no worker takes from queue "default"; 2 task runs wait'])
    cluster.worker('w1')
    expect(await cluster.settle(value)).toEqual([1, 2])
    expect(owner.health().obstacles).toEqual([])
  })

  it('is taken back while its flow run is paused, and made again when that goes on', async () => {
    await using cluster = new VirtualCluster()
    const owner = cluster.node('owner')
    cluster.worker('w1', { default: 1 })
    const values = [1, 2, 3, 4, 5]
    const run = owner.run(
      remoteFlow('paused', () => [held('paused first'), ...values.map((n) => noted('paused', n))]),
    )
    while (traceOf('paused first').length === 0) await cluster.pass(10)
    await cluster.settle(run.pause())
    await cluster.pass(1_000)
    open('paused first')
    await cluster.pass(30_000)
    expect(traceOf('paused')).toEqual([])
    await cluster.settle(run.resume())
    const before = cluster.clock.now()
    expect(await cluster.settle(run)).toEqual([1, ...values])
    expect(traceOf('paused').toSorted()).toEqual(values.map(String))
    // At once, and not when somebody looks for what was lost.
    expect(cluster.clock.now() - before).toBeLessThan(5_000)
  })
})

describe('a task that its worker finds twice', () => {
  const twice = task('losses/twice', () => 'one')

  it('fails its run before its body, also where that is to ask before it begins', async () => {
    await using cluster = new VirtualCluster()
    const { value, runs } = await submitted(cluster, () => [twice.with({ onHostLost: 'crash' })()])
    const [run] = runs as [RunHandle<unknown>]
    const failure = value.catch((error: unknown) => error)
    // Where the run was submitted there was one of the name.
    task('losses/twice', () => 'other')
    cluster.worker('w1')
    await expect(cluster.settle(run.result())).rejects.toMatchObject({ code: 'AMBIGUOUS_NAME' })
    expect(await cluster.settle(failure)).toMatchObject({ cause: { code: 'AMBIGUOUS_NAME' } })
    const owner = cluster.engines.get('owner')
    expect(owner && (await cluster.history(owner, run.id))).toBe('Pending → Failed')
  })
})
