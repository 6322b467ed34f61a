import { loadPeer } from '../peers/install.ts'
import { inLanes, twice, type StartOwner, type StartWorker } from './loop.ts'

interface Closed {
  close(): Promise<void>
  setMaxListeners(count: number): void
}

interface Connected extends Closed {
  waitUntilReady(): Promise<unknown>
}

interface Job {
  readonly data: number
  waitUntilFinished(events: Connected): Promise<number>
}

interface Queue extends Closed {
  add(
    name: string,
    data: number,
    options: { readonly removeOnComplete: { readonly count: number } },
  ): Promise<Job>
}

/** What is used of BullMQ. */
interface BullModule {
  readonly Queue: new (name: string, options: object) => Queue
  readonly QueueEvents: new (name: string, options: object) => Connected
  readonly Worker: new (name: string, body: (job: Job) => Promise<number>, options: object) => Connected
}

const queueName = 'tasks'
const concurrency = 100
/** A finished job that is gone before its value was read fails `waitUntilFinished`. */
const kept = { count: 5_000 }

const connectionTo = (url = ''): { readonly connection: object } => {
  const [host, port] = url.split(':')
  return { connection: { host, port: Number(port), maxRetriesPerRequest: null } }
}

/** Adds jobs and waits for their values, as BullMQ's documentation has it. */
export const bullOwner: StartOwner = async ({ urls: [url] }) => {
  const { Queue, QueueEvents } = await loadPeer<BullModule>('bullmq')
  const queue = new Queue(queueName, connectionTo(url))
  const events = new QueueEvents(queueName, connectionTo(url))
  await events.waitUntilReady()
  // Every job that is waited for listens to both.
  queue.setMaxListeners(0)
  events.setMaxListeners(0)
  const call = async (i: number): Promise<number> => {
    const job = await queue.add('twice', i, { removeOnComplete: kept })
    return job.waitUntilFinished(events)
  }
  return {
    work: (n, inFlight, times) => inLanes(n, inFlight, { call, times }),
    close: async () => {
      await events.close()
      await queue.close()
    },
  }
}

/** Runs jobs, a hundred at the same time. */
export const bullWorker: StartWorker = async ({ urls: [url] }) => {
  const { Worker } = await loadPeer<BullModule>('bullmq')
  const worker = new Worker(queueName, ({ data }) => twice(data), { ...connectionTo(url), concurrency })
  await worker.waitUntilReady()
}
