import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { createEngine, flow, memoryJournal, task, type Engine } from '@troupe/core'
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
  // Little history: a heap that grows would be most of what is measured.
  const engine = createEngine({ journal: memoryJournal({ keep: 2 }) })
  let server: Server | undefined
  let readers: Readers | undefined
  return {
    async ready() {
      gates = []
      ticks = 0
      const begun = begin(engine)
      for (let i = 0; i < shownRuns; i++) {
        // They end with the engine.
        void engine
          .run(shown.with({ id: `shown-${i}` }), i)
          .wait()
          .catch(() => undefined)
      }
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

/** @param due - How many events so many ticks come to, for so many watchers */
const measureWatched =
  (runIdOf: (watcher: number) => string, due: (ticks: number, watchers: number) => number): Measure =>
  async (params: Params) => {
    const { subscribers, n, warmupMs } = params
    let first: number | undefined
    let events = 0
    const readings = await throughput(() => {
      const made = subject(subscribers, runIdOf)
      const expected = (): number => due(ticks, subscribers) - due(first ?? 0, subscribers)
      return {
        ...made,
        async ready() {
          await made.ready?.()
          // What serves watchers is to be warm, too, and the warm-up has none.
          first = 0
          const cpu = process.cpuUsage()
          do await made.work(n)
          while (process.cpuUsage(cpu).user / 1e3 < warmupMs)
          await made.delivered(expected())
          first = ticks
        },
        async close() {
          if (first !== undefined) {
            events = await made.delivered(expected())
            expectEqual('events delivered', events, expected())
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
      let events = 0
      for (let i = 0; i < watchers; i++) events += 3 * Math.ceil(Math.max(done - i, 0) / shownRuns)
      return events
    },
  ),
  'one-run': measureWatched(
    () => 'shown-0',
    (done, watchers) => 3 * Math.ceil(done / shownRuns) * watchers,
  ),
}
