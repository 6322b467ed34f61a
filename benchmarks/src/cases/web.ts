import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { createEngine, flow, task, type Engine } from '@troupe/core'
import { sendResponse, transitionResponse } from '@troupe/web'
import { expectEqual, type Measure, type Params } from '../lib/measure.ts'
import { throughput, type Subject } from '../lib/throughput.ts'
import { startReaders, type Readers } from '../web/beside.ts'

/** Flow runs that people look at, in each case and whether they are watched or not. */
const shownRuns = 1_000
/** Task runs of the engine to one of a run that is looked at: three transitions. */
const runsPerTick = 100

/** Lets each of them go on with its next task run. */
let gates: (() => void)[] = []
let ticks = 0

const tick = task('tick', (n: number) => n)
const shown = flow('shown', async (index: number) => {
  for (let n = 0; ; n++) {
    await new Promise<void>((resolve) => {
      gates[index] = resolve
    })
    await tick(n)
  }
})

const body = task('body', (i: number) => i)
const chain = flow('chain', async (n: number) => {
  let sum = 0
  for (let i = 1; i <= n; i++) {
    sum += (await body(i)) === i ? 1 : 0
    if (i % runsPerTick === 0) gates[ticks++ % shownRuns]?.()
  }
  return sum
})

interface Watched extends Subject {
  /** Waits for so many events, and gives how many have been delivered; 0 without watchers. */
  readonly delivered: (atLeast: number) => Promise<number>
}

/** An engine that does chains of task runs, and beside them runs that are looked at by `count` watchers over HTTP. */
function subject(count: number, runIdOf: (watcher: number) => string): Watched {
  const engine = createEngine()
  let server: Server | undefined
  let readers: Readers | undefined
  return {
    async ready() {
      gates = []
      ticks = 0
      const begun = begin(engine)
      for (let i = 0; i < shownRuns; i++) void engine.run(shown.with({ id: `shown-${i}` }), i).wait()
      await begun
      if (count === 0) return
      server = serve(engine, runIdOf)
      await once(server.listen(0, '127.0.0.1'), 'listening')
      readers = await startReaders(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, count)
    },
    async work(n) {
      expectEqual('values', await engine.run(chain, n), n)
    },
    async delivered(atLeast) {
      let events = 0
      for (let looks = 0; looks < 100; looks++) {
        events += (await readers?.events()) ?? 0
        if (readers === undefined || events >= atLeast) break
        await setTimeout(50)
      }
      return events
    },
    async close() {
      await readers?.stop()
      server?.closeAllConnections()
      server?.close()
      await engine.close()
    },
  }
}

/** Resolves when all runs that are looked at have begun. */
function begin(engine: Engine): Promise<void> {
  return new Promise((resolve) => {
    let running = 0
    const subscription = engine.transitions.subscribe(({ kind, to }) => {
      if (kind !== 'flow' || to.name !== 'Running' || ++running < shownRuns) return
      subscription.unsubscribe()
      resolve()
    })
  })
}

function serve(engine: Engine, runIdOf: (watcher: number) => string): Server {
  return createServer((req, res) => {
    const flowRunId = runIdOf(Number(req.url?.slice(1)))
    sendResponse(res, transitionResponse(engine.watch({ flowRunId }), req)).catch((error: unknown) => {
      throw error
    })
  })
}

/** @param expected - How many events so many ticks come to, for so many watchers */
const measureWatched =
  (runIdOf: (watcher: number) => string, expected: (ticks: number, watchers: number) => number): Measure =>
  async (params: Params) => {
    let isMeasured = false
    let events = 0
    const readings = await throughput(() => {
      const made = subject(params.subscribers, runIdOf)
      return {
        ...made,
        async ready() {
          await made.ready?.()
          isMeasured = true
        },
        async close() {
          if (isMeasured) {
            const due = expected(ticks, params.subscribers)
            events = await made.delivered(due)
            expectEqual('events delivered', events, due)
          }
          await made.close?.()
        },
      }
    }, params)
    return { ...readings, events }
  }

export const measures: Readonly<Record<string, Measure>> = {
  'own-runs': measureWatched(
    (watcher) => `shown-${watcher % shownRuns}`,
    (done, watchers) => {
      let due = 0
      for (let i = 0; i < watchers; i++) due += 3 * Math.ceil(Math.max(done - i, 0) / shownRuns)
      return due
    },
  ),
  'one-run': measureWatched(
    () => 'shown-0',
    (done, watchers) => 3 * Math.ceil(done / shownRuns) * watchers,
  ),
}
