import { expectEqual } from '../lib/measure.ts'
import { loadPeer } from '../peers/install.ts'
import { inLanes, twice, type StartOwner, type StartWorker } from './loop.ts'
import { Values } from './values.ts'

interface Connected {
  close(): Promise<void>
  waitUntilReady(): Promise<unknown>
  on(event: 'error', listener: (error: Error) => void): void
}

interface Asked {
  readonly name: string
  readonly data: number
}

interface Job extends Asked {
  readonly id: string
}

interface Queue extends Connected {
  add(name: string, data: number): Promise<Job>
  addBulk(jobs: readonly Asked[]): Promise<readonly Job[]>
}

interface Events extends Connected {
  on(event: 'error', listener: (error: Error) => void): void
  on(
    event: 'completed',
    listener: (job: { readonly jobId: string; readonly returnvalue: number }) => void,
  ): void
  on(
    event: 'failed',
    listener: (job: { readonly jobId: string; readonly failedReason: string }) => void,
  ): void
}

/** What is used of BullMQ. */
interface BullModule {
  readonly Queue: new (name: string, options: object) => Queue
  readonly QueueEvents: new (name: string, options: object) => Events
  readonly Worker: new (name: string, body: (job: Job) => Promise<number>, options: object) => Connected
}

const queueName = 'tasks'
const name = 'twice'
/** 10, 20 and 50 are about as fast as each other, 100 is slower, 200 and 300 much slower: more workers wait for an empty queue. */
const concurrency = 50
/** Values come with the event: a job that has completed is not asked for again. As `count: 1_000`, a tenth more of Redis's time. */
const kept = { removeOnComplete: { count: 0 }, removeOnFail: { count: 5_000 } }
/** Jobs of one `addBulk`, of which there are several on their way: a thousand in one are slower. */
const bulk = 100
/** Far longer than any value takes. */
const lostAfterMs = 30_000

const connectionTo = (url = ''): { readonly connection: object } => {
  const [host, port] = url.split(':')
  return { connection: { host, port: Number(port), maxRetriesPerRequest: null } }
}

/** An error that no caller hears of ends the process: what is measured is a queue in which nothing goes wrong. */
function failOnErrors(connected: Connected): void {
  connected.on('error', (error) => {
    process.nextTick(() => {
      throw error
    })
  })
}

/**
 * Adds jobs, and hears of their values from one listener to the queue's events, as BullMQ's documentation has it for values
 * that a job returns. `job.waitUntilFinished` would ask Redis for each job besides, and have listeners for each. Ids are those that
 * BullMQ gives: those of the caller's own cost Redis a look-up. ioredis's `enableAutoPipelining` costs more CPU time than it saves.
 *
 * The stream of events keeps about 10,000, five for each job: more than what 1,000 in flight can have unread.
 */
export const bullOwner: StartOwner = async ({ urls: [url] }) => {
  const { Queue, QueueEvents } = await loadPeer<BullModule>('bullmq')
  const queue = new Queue(queueName, connectionTo(url))
  // From the first event on: by default those are missed that come before it reads for the first time.
  const events = new QueueEvents(queueName, { ...connectionTo(url), lastEventId: '0-0' })
  failOnErrors(queue)
  failOnErrors(events)
  const values = new Values()
  events.on('completed', ({ jobId, returnvalue }) => values.came(jobId, returnvalue))
  events.on('failed', ({ jobId, failedReason }) => values.failed(jobId, failedReason))
  await Promise.all([queue.waitUntilReady(), events.waitUntilReady()])
  const watch = setInterval(() => values.giveUpWhereNoneMoved(), lostAfterMs)
  const call = async (i: number): Promise<number> => values.expect((await queue.add(name, i)).id)
  const callMany = async (first: number, count: number): Promise<readonly number[]> => {
    const asked = Array.from({ length: count }, (_, i) => ({ name, data: first + i }))
    return Promise.all((await queue.addBulk(asked)).map(({ id }) => values.expect(id)))
  }
  return {
    work: (n, inFlight, times) => inLanes(n, inFlight, { call, times }),
    fanOut: async (n) => {
      const firsts = Array.from({ length: Math.ceil(n / bulk) }, (_, i) => i * bulk)
      const all = await Promise.all(firsts.map((first) => callMany(first, Math.min(bulk, n - first))))
      for (const [i, value] of all.flat().entries()) expectEqual('as twice the number', value, i * 2)
      return all.flat().length
    },
    close: async () => {
      clearInterval(watch)
      expectEqual('values that nobody asked for', values.surplus, 0)
      await events.close()
      await queue.close()
    },
  }
}

/** Runs jobs, several at the same time. */
export const bullWorker: StartWorker = async ({ urls: [url] }) => {
  const { Worker } = await loadPeer<BullModule>('bullmq')
  const options = { ...connectionTo(url), ...kept, concurrency }
  const worker = new Worker(queueName, ({ data }) => twice(data), options)
  failOnErrors(worker)
  await worker.waitUntilReady()
}
