import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { LightPublisher, pullLight } from './light.ts'
import { inLanes, twice, type StartOwner, type StartWorker } from './loop.ts'

const [tasks, results, live] = ['bare.task', 'bare.result', 'bare.live']
const [taskStream, resultStream, consumer] = ['TASKS', 'RESULTS', 'worker']

const open = (urls: readonly string[]): Promise<NatsConnection> =>
  connect({ servers: [...urls], noAsyncTraces: true })

async function makeStreams(connection: NatsConnection, replicas: number): Promise<void> {
  const manager = await jetstreamManager(connection)
  const common = { storage: 'file', num_replicas: replicas } as const
  await manager.streams.add({ ...common, name: taskStream, subjects: [tasks], retention: 'workqueue' })
  const republish = { src: results, dest: live }
  await manager.streams.add({ ...common, name: resultStream, subjects: [results], republish })
  await manager.consumers.add(taskStream, {
    durable_name: consumer,
    ack_policy: 'explicit',
    max_ack_pending: 10_000,
  })
}

type Publish = (subject: string, payload: string) => Promise<unknown>

const publisher = {
  official: (connection: NatsConnection): Publish => {
    const js = jetstream(connection)
    return (subject, payload) => js.publish(subject, payload)
  },
  light: (connection: NatsConnection): Publish => {
    const light = new LightPublisher(connection)
    return (subject, payload) => light.publish(subject, payload)
  },
}

/** `official`: what the client's own functions give. `light`: what can be had from its connection. */
export type Client = keyof typeof publisher

/** Publishes tasks, one message each and nothing grouped, and gets their results from what the server republishes when it has stored them. */
export const bareOwner =
  (client: Client): StartOwner =>
  async ({ urls, replicas }) => {
    const connection = await open(urls)
    await makeStreams(connection, replicas)
    const waiting = new Map<number, (value: number) => void>()
    connection.subscribe(live, {
      callback: (_error, message) => {
        const [i, value] = message.json<[number, number]>()
        waiting.get(i)?.(value)
        waiting.delete(i)
      },
    })
    await connection.flush()
    const publish = publisher[client](connection)
    let next = 0
    const call = async (i: number): Promise<number> => {
      const id = next++
      const value = new Promise<number>((resolve) => waiting.set(id, resolve))
      await publish(tasks, JSON.stringify([id, i]))
      return value
    }
    return {
      work: (n, inFlight, times) => inLanes(n, inFlight, { call, times }),
      close: () => connection.close(),
    }
  }

/** Acknowledges a task when its result is stored. */
export const bareWorker =
  (client: Client): StartWorker =>
  async ({ urls }) => {
    const connection = await open(urls)
    const publish = publisher[client](connection)
    const run = async (task: readonly [number, number], acknowledge: () => void): Promise<void> => {
      const [id, i] = task
      await publish(results, JSON.stringify([id, await twice(i)]))
      acknowledge()
    }
    if (client === 'light') {
      pullLight(connection, `${taskStream}.${consumer}`, (message) => {
        void run(message.json(), () => message.respond('+ACK'))
      })
    } else {
      const { consumers } = jetstream(connection)
      const pulled = await consumers.get(taskStream, consumer)
      await pulled.consume({ callback: (message) => void run(message.json(), () => message.ack()) })
    }
    await connection.flush()
  }
