import { flow, type AnyFlow } from '@troupe/core'
import { seededRandom } from '@troupe/core/testing'
import { NatsTaskRunner } from '@troupe/runners'
import { describe, expect, it } from 'vitest'
import { VirtualCluster } from './support.ts'
import { noted, parentOf, slow, traceOf } from './tasks.ts'

const seeds = Array.from({ length: 40 }, (_, n) => n + 1)

/** What happened, over all seeds. */
const seen = { recoveries: 0, repeats: 0, takeovers: 0 }

/** More die here than anywhere. */
const often = { maxRecoveries: 20 }

const faults = { lose: 0.03, double: 0.03, delay: 0.1, delayMs: 3_000, forget: 0.05, unanswered: 0.02 }

/** A flow of short and long tasks, and of one that submits others. */
function mixed(seed: number): AnyFlow {
  const name = `seeds ${seed}`
  return flow(
    { name: `seeds/${seed}`, maxRecoveries: 20, taskRunner: new NatsTaskRunner() },
    async (): Promise<unknown[]> => {
      const short = Array.from({ length: 30 }, (_, n) => noted.with(often)(name, n))
      const long = Array.from({ length: 8 }, (_, n) => slow.with(often)(name, 100 + n, 200 * n))
      const nested = parentOf.with(often)(name, 200, 3)
      return [await Promise.all(short), await Promise.all(long), await nested]
    },
  )
}

const expected = [
  Array.from({ length: 30 }, (_, n) => n),
  Array.from({ length: 8 }, (_, n) => 100 + n),
  [200, 201, 202],
]

describe('from a seed, with messages lost, doubled and late, and nodes that die,', () => {
  it.each(seeds)('each task run ends once, and its value is right: seed %i', async (seed) => {
    await using cluster = new VirtualCluster({ seed, faults })
    const random = seededRandom(seed)
    const pick = (count: number): number => Math.floor(random.number() * count)
    const served = mixed(seed)
    const serve = { flows: [served] }
    let owners = 0
    let workers = 0
    for (let n = 0; n < 2; n++) cluster.node(`owner-${++owners}`, { serve })
    for (let n = 0; n < 3; n++) cluster.worker(`worker-${++workers}`, { default: 1 + pick(4) })
    const client = cluster.node('client')
    await cluster.pass(100)
    const handle = await cluster.settle(client.run(served.name))
    // What dies next, and when, while the flow run has not ended.
    for (let deaths = 0; deaths < 4; deaths++) {
      await cluster.pass(pick(4_000))
      const isOwner = pick(3) === 0
      const kind = isOwner ? 'owner' : 'worker'
      const [name] = [...cluster.engines.keys()].filter((node) => node.startsWith(kind))
      if (name === undefined) continue
      if (pick(3) === 0) {
        // It is back when the others have long gone on without it.
        cluster.cut(name)
        cluster.clock.at(cluster.clock.now() + 1_000 + pick(8_000), () => cluster.heal(name))
        continue
      }
      cluster.crash(name)
      if (isOwner) cluster.node(`owner-${++owners}`, { serve })
      else cluster.worker(`worker-${++workers}`, { default: 1 + pick(4) })
    }
    expect(await cluster.settle(handle.result())).toEqual(expected)
    const ends = await endsOf(cluster, handle.id)
    expect(ends.size).toBe(1 + 30 + 8 + 1 + 3)
    expect([...ends.values()].filter((count) => count !== 1)).toEqual([])
    // At least once, each.
    const begun = traceOf(`seeds ${seed}`).filter((line) => !line.startsWith('-'))
    expect(new Set(begun.map((line) => line.replace('+', ''))).size).toBe(30 + 8 + 3)
    seen.repeats += begun.length - (30 + 8 + 3)
  })

  it('the faults were there: task runs lost their workers, flow runs their owners, and bodies ran again', () => {
    expect(seen.recoveries).toBeGreaterThan(20)
    expect(seen.takeovers).toBeGreaterThan(10)
    expect(seen.repeats).toBeGreaterThan(20)
  })
})

/** How often each run of a flow run came to a terminal state. */
async function endsOf(cluster: VirtualCluster, flowRunId: string): Promise<ReadonlyMap<string, number>> {
  const ends = new Map<string, number>()
  const client = cluster.engines.get('client')
  await cluster.settle(
    new Promise<void>((resolve, reject) => {
      client?.watch({ flowRunId }).subscribe({
        next: ({ runId, kind, to }) => {
          if (to.name === 'Recovering') seen[kind === 'task' ? 'recoveries' : 'takeovers']++
          const isEnd = /COMPLETED|FAILED|CRASHED|CANCELLED/.test(to.type)
          ends.set(runId, (ends.get(runId) ?? 0) + (isEnd ? 1 : 0))
        },
        error: reject,
        complete: resolve,
      })
    }),
  )
  return ends
}
