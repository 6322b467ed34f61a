import { createEngine, flow, transfer, type TaskRunner } from '@troupe/core'
import { ConcurrentTaskRunner, WorkerThreadsTaskRunner } from '@troupe/runners'
import { Piscina } from 'piscina'
import { expectEqual, type Measure, type Readings } from '../lib/measure.ts'
import { median } from 'simple-statistics'
import { throughput, type Subject } from '../lib/throughput.ts'
import { BarePool } from '../threads/bare-pool.ts'
import { bodies, touchCopied, touchMoved } from '../threads/tasks.ts'

type Kind = 'compute' | 'computeLong' | 'small'

function onTroupe(taskRunner: () => TaskRunner, kind: Kind): Measure {
  return (params) => throughput(() => troupe(taskRunner(), kind), params)
}

/** Each repetition is one flow run that submits `n` task runs at once. */
function troupe(taskRunner: TaskRunner, kind: Kind): Subject {
  const engine = createEngine()
  const body = bodies[kind]
  const start = flow({ name: 'fan-out', taskRunner }, async (n: number) => {
    const values = await Promise.all(Array.from({ length: n }, (_, i) => body(i)))
    return values.length
  })
  return {
    ready: () => engine.warm(taskRunner, [body]),
    work: async (n) => expectEqual('values', await start.with({ engine })(n), n),
    close: () => engine.close(),
  }
}

function bare(threads: number, kind: Kind): Measure {
  return (params) =>
    throughput(() => {
      const pool = new BarePool(threads, kind)
      return {
        ready: async () => void (await pool.run(kind, 2 * threads)),
        work: async (n) => expectEqual('answers', await pool.run(kind, n), n),
        close: () => pool.close(),
      }
    }, params)
}

/** @param jobs - How many jobs a thread of piscina has at once; 1 is its default. */
function piscina(threads: number, kind: Kind, jobs = 1): Measure {
  return (params) =>
    throughput(() => {
      const pool = new Piscina({
        filename: new URL('../threads/piscina-thread.js', import.meta.url).href,
        minThreads: threads,
        maxThreads: threads,
        concurrentTasksPerWorker: jobs,
      })
      const ready = Array.from(
        { length: 2 * threads },
        (_, argument) => pool.run({ name: kind, argument }) as Promise<unknown>,
      )
      return {
        ready: async () => void (await Promise.all(ready)),
        work: async (n) => {
          const jobs = Array.from(
            { length: n },
            (_, argument) => pool.run({ name: kind, argument }) as Promise<unknown>,
          )
          expectEqual('answers', (await Promise.all(jobs)).length, n)
        },
        // Not destroy(): that fails where one of its threads is still starting.
        close: () => pool.close(),
      }
    }, params)
}

const bufferBytes = 64 * 2 ** 20
const repetitions = 11

/** Milliseconds for a buffer of 64 MiB to a thread and back; the first, which starts the thread, does not count. */
async function timesOf(there: (buffer: ArrayBuffer) => Promise<ArrayBuffer>): Promise<Readings> {
  const times: number[] = []
  for (let i = 0; i < repetitions; i++) {
    const buffer = new ArrayBuffer(bufferBytes)
    const startedAt = performance.now()
    const back = await there(buffer)
    times.push(performance.now() - startedAt)
    expectEqual('bytes', back.byteLength, bufferBytes)
  }
  return { ms: median(times.slice(1)) }
}

async function buffers(body: (buffer: ArrayBuffer) => PromiseLike<ArrayBuffer>): Promise<Readings> {
  const engine = createEngine()
  const taskRunner = new WorkerThreadsTaskRunner({ threads: 1 })
  const run = flow({ name: 'buffer', taskRunner }, async () => timesOf(async (buffer) => body(buffer)))
  const readings = await run.with({ engine })()
  await engine.close()
  return readings
}

/** From the call of a flow to its result, with no thread there yet. */
async function cold(taskRunner: TaskRunner): Promise<Readings> {
  const engine = createEngine()
  const run = flow({ name: 'cold', taskRunner }, async () => bodies.small(1))
  const startedAt = performance.now()
  expectEqual('value', await run.with({ engine })(), 1)
  const ms = performance.now() - startedAt
  await engine.close()
  return { ms }
}

async function coldBare(): Promise<Readings> {
  const startedAt = performance.now()
  const pool = new BarePool(1, 'small')
  expectEqual('answers', await pool.run('small', 1), 1)
  const ms = performance.now() - startedAt
  await pool.close()
  return { ms }
}

async function bareBuffers(): Promise<Readings> {
  const pool = new BarePool(1, 'small')
  const readings = await timesOf((buffer) => pool.touch(buffer))
  await pool.close()
  return readings
}

const threads = (count: number) => (): TaskRunner => new WorkerThreadsTaskRunner({ threads: count })
const concurrent = (): TaskRunner => new ConcurrentTaskRunner()

export const measures: Readonly<Record<string, Measure>> = {
  'long-bare-1': bare(1, 'computeLong'),
  'long-bare-2': bare(2, 'computeLong'),
  'long-threads-2': onTroupe(threads(2), 'computeLong'),
  'compute-bare-1': bare(1, 'compute'),
  'compute-bare-2': bare(2, 'compute'),
  'compute-threads-1': onTroupe(threads(1), 'compute'),
  'compute-threads-2': onTroupe(threads(2), 'compute'),
  'compute-concurrent': onTroupe(concurrent, 'compute'),
  'compute-piscina-2': piscina(2, 'compute'),
  'small-bare-2': bare(2, 'small'),
  'small-threads-1': onTroupe(threads(1), 'small'),
  'small-threads-2': onTroupe(threads(2), 'small'),
  'small-concurrent': onTroupe(concurrent, 'small'),
  'small-piscina-2': piscina(2, 'small'),
  'small-piscina-2-tuned': piscina(2, 'small', 32),
  'buffer-bare': bareBuffers,
  'buffer-moved': () => buffers((buffer) => touchMoved(transfer(buffer)) as PromiseLike<ArrayBuffer>),
  'buffer-copied': () => buffers((buffer) => touchCopied(buffer)),
  'cold-bare': coldBare,
  'cold-threads': () => cold(new WorkerThreadsTaskRunner({ threads: 1 })),
}
