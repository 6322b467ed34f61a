import { createEngine, createWorker, flow, task, type Engine } from '@troupe/core'
import { natsTransport } from '@troupe/nats-transport'
import { NatsTaskRunner } from '@troupe/runners'
import { expectEqual } from '../lib/measure.ts'
import { inLanes, twice, type Place, type StartOwner, type StartWorker } from './loop.ts'

/** The queue that the worker takes from. */
export const queue = 'tasks'
const concurrency = 100

const step = task('twice', twice)

/** Of the calls of the flow run that is measured: a flow keeps nothing outside of itself but for this. */
let calls: number[] = []

const loop = flow(
  { name: 'loop', taskRunner: new NatsTaskRunner({ queue }) },
  async (n: number, inFlight: number) => {
    const times = calls
    const before = times.length
    await inLanes(n, inFlight, { call: step, times })
    return times.length - before
  },
)

/** A transport for an engine, and where its errors go: a measurement in which there are some has failed. */
export const transportTo = ({ urls, replicas }: Place): { transport: ReturnType<typeof natsTransport> } => ({
  transport: natsTransport({ servers: urls, namespace: 'benchmark', replicas }),
})

/** Errors that no caller hears of end the process: what is measured is a cluster in which nothing goes wrong. */
export function failOnErrors(engine: Engine): void {
  engine.errors.subscribe(({ error }) => {
    process.nextTick(() => {
      throw error
    })
  })
}

/** Runs one flow, whose task runs go to the worker. */
export const troupeOwner: StartOwner = async (place) => {
  const engine = createEngine(transportTo(place))
  failOnErrors(engine)
  const start = loop.with({ engine })
  return {
    work: async (n, inFlight, times) => {
      calls = times
      expectEqual('values', await start(n, inFlight), n)
    },
    close: () => engine.close(),
  }
}

/** Executes what comes to the queue. */
export const troupeWorker: StartWorker = async (place) => {
  failOnErrors(await createWorker({ ...transportTo(place), queues: { [queue]: concurrency } }))
}

/** The flow whose transitions are timed. */
export const timedFlow = 'timed'

/** A transition at a watcher: run id, name of the state, and when, by `wallTime`. */
export type Seen = readonly [runId: string, state: string, at: number]

/** Milliseconds since 1970, finer than a millisecond; the same on all processes of a machine. */
export const wallTime = (): number => performance.timeOrigin + performance.now()
