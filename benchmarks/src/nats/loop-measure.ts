import { measureShapes } from '../cases/shapes.ts'
import type { Measure, Params } from '../lib/measure.ts'
import { percentiles } from '../lib/percentiles.ts'
import { throughput } from '../lib/throughput.ts'
import { kinds, type Kind } from './kinds.ts'
import type { Server } from './loop.ts'
import { startBeside, type Beside } from './beside.ts'

const warmupInFlight = 100

/**
 * Task runs of one owner, this process, on one worker, a process of its own, by way of a server. What they cost is taken
 * over the window that is measured.
 */
export const loop =
  (kind: Kind, start: (params: Params) => Promise<Server>): Measure =>
  async (params) => {
    const server = await start(params)
    try {
      const owner = await kinds[kind].owner(server)
      const worker = await startBeside('worker', server, kind)
      const { inFlight = 1 } = params
      const times: number[] = []
      let before: Readonly<Record<string, number>> = {}
      let after = before
      let isWarm = params.warmupMs === 0
      // What reads the counters is loaded the first time, which makes V8 compile much of the rest once more.
      await spent(server, worker)
      const readings = await throughput(
        () => ({
          work: async (n) => {
            // Many at once warm the code up in less time: one at a time has its turn when all is warm.
            if (!isWarm) await owner.work(n, warmupInFlight, times)
            if (isWarm || inFlight > 1) await owner.work(n, inFlight, times)
          },
          ready: async () => {
            isWarm = true
          },
          around: async (window) => {
            times.length = 0
            before = await spent(server, worker)
            const measured = await window()
            after = await spent(server, worker)
            return measured
          },
        }),
        params,
      )
      const perRun = Object.entries(after).map(
        ([name, value]) => [name, (value - (before[name] ?? NaN)) / times.length] as const,
      )
      await owner.close()
      await worker.stop()
      return { ...readings, ...Object.fromEntries(perRun), ...percentiles('submit → value', times) }
    } finally {
      await server.stop()
    }
  }

/** The same, as a sequence and as a fan-out: one task run in flight, and as many as there are. */
export const onWorker =
  (kind: Kind, start: (params: Params) => Promise<Server>): Measure =>
  async (params) => {
    const server = await start(params)
    try {
      const owner = await kinds[kind].owner(server)
      const worker = await startBeside('worker', server, kind)
      const counted = async (n: number, inFlight: number): Promise<number> => {
        const times: number[] = []
        await owner.work(n, inFlight, times)
        return times.length
      }
      const readings = await measureShapes(
        { sequence: (n) => counted(n, 1), fanOut: owner.fanOut ?? ((n) => counted(n, n)) },
        params,
      )
      await owner.close()
      await worker.stop()
      return readings
    } finally {
      await server.stop()
    }
  }

const spent = async (server: Server, worker: Beside): Promise<Readonly<Record<string, number>>> => ({
  ...(await server.counted()),
  'server cpu µs/run': server.cpuMs() * 1e3,
  'worker cpu µs/run': Number(await worker.ask()) * 1e3,
})
