import { createEngine, flow, memoryJournal, task } from '@troupe/core'
import { WorkerThreadsTaskRunner } from '@troupe/runners'
import { sqliteJournal } from '@troupe/sqlite-journal'
import * as loops from '../bare/loops.ts'
import { costOver, type Sides } from '../lib/interleaved.ts'
import { expectEqual, type Measure } from '../lib/measure.ts'
import { temporaryFolder } from '../lib/temporary.ts'
import type { Subject } from '../lib/throughput.ts'
import { bodies } from '../threads/tasks.ts'
import { measures as memory } from './memory.ts'
import { measures as nats } from './nats.ts'
import { openDatabase } from './sqlite.ts'

const step = task('step', (i: number) => i)

const chain = flow('chain', async (n: number) => {
  let sum = 0
  for (let i = 0; i < n; i++) sum += (await step(i)) === i ? 1 : 0
  return sum
})

const fanOut = flow('fan-out', async (n: number) => {
  const values = await Promise.all(Array.from({ length: n }, (_, i) => step(i)))
  return values.filter((value, i) => value === i).length
})

const empty = flow('empty', (i: number) => i)

const bare = (run: (n: number) => void): Subject => ({ work: (n) => run(n) })

/** An engine in memory with one subscriber and little history: a heap that grows would be most of what is measured. */
function inMemory(
  start: (engine: ReturnType<typeof createEngine>, n: number) => PromiseLike<number>,
): Subject {
  const engine = createEngine({ journal: memoryJournal({ keep: 2 }) })
  let delivered = 0
  engine.transitions.subscribe(() => {
    delivered++
  })
  return {
    work: async (n) => {
      delivered = 0
      expectEqual('values', await start(engine, n), n)
      expectEqual('transitions, at least', Math.min(delivered, 3 * n), 3 * n)
    },
    close: () => engine.close(),
  }
}

const chains = (): Sides => ({
  ours: inMemory((engine, n) => chain.with({ engine })(n)),
  floor: bare(loops.chain),
})

const fanOuts = (): Sides => ({
  ours: inMemory((engine, n) => fanOut.with({ engine })(n)),
  floor: bare(loops.fanOut),
})

const flowRuns = (): Sides => ({
  ours: inMemory(async (engine, n) => {
    const start = empty.with({ engine })
    const values = await Promise.all(Array.from({ length: n }, (_, i) => start(i)))
    return values.filter((value, i) => value === i).length
  }),
  floor: bare(loops.fanOut),
})

function threads(): Sides {
  const engine = createEngine({ journal: memoryJournal({ keep: 2 }) })
  const taskRunner = new WorkerThreadsTaskRunner({ threads: 2 })
  const { small } = bodies
  const start = flow({ name: 'fan-out', taskRunner }, async (n: number) => {
    const values = await Promise.all(Array.from({ length: n }, (_, i) => small(i)))
    return values.length
  })
  return {
    ours: {
      ready: () => engine.warm(taskRunner, [small]),
      work: async (n) => expectEqual('values', await start.with({ engine })(n), n),
      close: () => engine.close(),
    },
    // Not a bare message, which costs a microsecond: a quotient of that is nothing but noise.
    floor: bare(loops.fanOut),
  }
}

/** Commits that are not synced on both sides: what the disk does is not what is compared. */
async function sequence(params: Parameters<Measure>[0]): ReturnType<Measure> {
  const journal = sqliteJournal(temporaryFolder(), { durability: 'process' })
  const engine = createEngine({ journal })
  const database = await openDatabase('normal')
  let taskRuns = 0
  const readings = await costOver(
    () => ({
      ours: {
        work: async (n) => {
          expectEqual('values', await chain.with({ engine })(n), n)
          taskRuns += n
        },
      },
      floor: { work: (n) => database.insert(n, 1) },
    }),
    params,
  )
  await engine.close()
  const { commits } = journal.stats()
  await journal.close()
  database.close()
  return { ...readings, 'commits/run': commits / taskRuns }
}

const bytes =
  (measure: Measure | undefined): Measure =>
  async (params) => {
    const { 'B/run': cost = NaN } = (await measure?.(params)) ?? {}
    return { cost }
  }

const messages: Measure = async (params) => {
  const { 'messages/run': cost = NaN } = (await nats['troupe']?.(params)) ?? {}
  return { cost }
}

/** Each gives a `cost`: what a run takes beside what is divided by, or a count. */
export const measures: Readonly<Record<string, Measure>> = {
  chain: (params) => costOver(chains, params),
  'fan-out': (params) => costOver(fanOuts, params),
  'flow-runs': (params) => costOver(flowRuns, params),
  threads: (params) => costOver(threads, params),
  sequence,
  'finished-bytes': bytes(memory['finished']),
  'waiting-bytes': bytes(memory['waiting']),
  messages,
}
