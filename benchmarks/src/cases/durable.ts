import { createEngine, flow, memoryJournal, receive, task, type Journal } from '@troupe/core'
import { sqliteJournal } from '@troupe/sqlite-journal'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { median } from 'simple-statistics'
import { withLoopDelay } from '../lib/loop-delay.ts'
import { expectEqual, type Measure } from '../lib/measure.ts'
import { temporaryFolder } from '../lib/temporary.ts'
import { throughput } from '../lib/throughput.ts'
import { flowsAtOnce } from './durable-work.ts'

type Kept = 'power' | 'process' | 'memory'

/** A journal in a folder of its own, or in memory. */
class Place {
  readonly #kept: Kept
  readonly #thread: boolean
  readonly #folder = temporaryFolder()
  readonly #memory = memoryJournal()
  #open: ReturnType<typeof sqliteJournal> | undefined

  constructor(kept: Kept, thread = true) {
    this.#kept = kept
    this.#thread = thread
  }

  open(): Journal {
    if (this.#kept === 'memory') return this.#memory
    return (this.#open = sqliteJournal(this.#folder, { durability: this.#kept, thread: this.#thread }))
  }

  get commits(): number {
    return this.#open?.stats().commits ?? 0
  }

  async close(): Promise<void> {
    await this.#open?.close()
  }

  /** Bytes on disk; 0 in memory. */
  get bytes(): number {
    return readdirSync(this.#folder).reduce((sum, name) => sum + statSync(join(this.#folder, name)).size, 0)
  }
}

const step = task('step', async (i: number) => i)

const chain = flow('chain', async (n: number) => {
  let sum = 0
  for (let i = 0; i < n; i++) sum += (await step(i)) === i ? 1 : 0
  return sum
})

const fanOut = flow('fan-out', async (n: number) => {
  const values = await Promise.all(Array.from({ length: n }, (_, i) => step(i)))
  return values.filter((value, i) => value === i).length
})

/** Each repetition starts `flows` flow runs at once, which share `n` task runs. */
function taskRuns(kept: Kept, shape: typeof chain, flows: number, thread = true): Measure {
  return async (params) => {
    const place = new Place(kept, thread)
    const engine = createEngine({ journal: place.open() })
    const start = shape.with({ engine })
    let total = 0
    const work = async (n: number): Promise<void> => {
      const runs = Array.from({ length: flows }, () => start(n / flows))
      for (const counted of await Promise.all(runs)) expectEqual('values', counted, n / flows)
      total += n
    }
    const readings = await throughput(() => ({ work, around: withLoopDelay }), params)
    await engine.close()
    const { commits } = place
    await place.close()
    const { bytes } = place
    if (kept === 'memory') return readings
    return { ...readings, 'commits/run': commits / total, 'B/run': bytes / total }
  }
}

/** Told when a flow run has come to its task that never ends. */
let arrived = (): void => undefined

const endless = task({ name: 'endless', maxRecoveries: 1_000 }, () => {
  arrived()
  return new Promise<never>(() => undefined)
})

/** Batches make the journal quickly; their entries are those of any other task run. */
const long = flow({ name: 'long', maxRecoveries: 1_000 }, async (n: number) => {
  for (let left = n; left > 0; left -= 100) {
    await Promise.all(Array.from({ length: Math.min(left, 100) }, (_, i) => step(i)))
  }
  return endless()
})

const entriesPerTaskRun = 3
const readings = 5

/**
 * Reads a journal of `n` entries back: `recover()` has listed, read and folded it when it resolves, and the body is
 * replayed when it comes to where it was. The first reading is made by code that was never run before, as after a
 * restart; the median is that of later ones.
 */
function recovery(kept: Kept): Measure {
  return async ({ n }) => {
    const place = new Place(kept)
    await write(place, Math.ceil(n / entriesPerTaskRun))
    const read: number[] = []
    const replayed: number[] = []
    for (let i = 0; i < readings; i++) {
      const [toRead, toReplay] = await readBack(place, n)
      read.push(toRead)
      replayed.push(toReplay)
    }
    const perSecond = (seconds: number): number => n / seconds
    const [first = NaN, ...later] = read
    const [firstReplay = NaN, ...laterReplays] = replayed
    return {
      'entries/s': perSecond(median(later)),
      'entries/s, first': perSecond(first),
      'entries/s with replay': perSecond(median(laterReplays)),
      'entries/s with replay, first': perSecond(firstReplay),
    }
  }
}

async function write(place: Place, taskRunCount: number): Promise<void> {
  const engine = createEngine({ journal: place.open() })
  const there = new Promise<void>((resolve) => (arrived = resolve))
  long.with({ engine })(taskRunCount)
  await there
  await engine.close()
  await place.close()
}

/** Gives the seconds until the journal was read, and until its flow run was where it had been. */
async function readBack(place: Place, n: number): Promise<readonly [number, number]> {
  const journal = place.open()
  const engine = createEngine({ journal })
  const there = new Promise<void>((resolve) => (arrived = resolve))
  globalThis.gc?.()
  const startedAt = performance.now()
  const [run] = await engine.recover()
  const readAt = performance.now()
  await there
  const replayedAt = performance.now()
  const { position = 0 } = (run && (await journal.summary(run.id))) ?? {}
  expectEqual('journals of enough entries', position >= n ? 1 : 0, 1)
  await engine.close()
  await place.close()
  return [(readAt - startedAt) / 1e3, (replayedAt - startedAt) / 1e3]
}

const ended = flow('ended', async (i: number) => step(i))

/** Told when a flow run has come to where it was. */
let back = (): void => undefined

const live = flow({ name: 'live', maxRecoveries: 1_000 }, async (i: number) => {
  await step(i)
  back()
  await receive('go')
  return i
})

/** Finished flow runs to one that is live. */
const endedPerLive = 10

/**
 * A folder with `n` finished flow runs and a tenth as many live ones, each of which has done a task run and waits: opened
 * by a new engine. Measured is the time until all live ones wait again, and the part of it until `recover()` has found them.
 */
function restart(kept: Kept): Measure {
  return async ({ n }) => {
    const place = new Place(kept)
    const count = Math.ceil(n / endedPerLive)
    const arrivals = (): Promise<void> => {
      let arrivedSoFar = 0
      return new Promise((resolve) => {
        back = () => {
          if (++arrivedSoFar === count) resolve()
        }
      })
    }
    const engine = createEngine({ journal: place.open(), suspendAfter: false })
    for (let i = 0; i < n; i += flowsAtOnce) {
      const some = Array.from({ length: Math.min(flowsAtOnce, n - i) }, (_, k) =>
        ended.with({ engine })(i + k),
      )
      await Promise.all(some)
    }
    const waiting = arrivals()
    for (let i = 0; i < count; i++) live.with({ engine })(i)
    await waiting
    await engine.close()
    await place.close()
    const first = await restarted(place, arrivals, count)
    const second = await restarted(place, arrivals, count)
    return {
      'ms until all are back': second.ms,
      'ms until all are found': second.foundMs,
      'ms until all are back, first': first.ms,
      'µs per live run': (second.ms / count) * 1e3,
    }
  }
}

async function restarted(
  place: Place,
  arrivals: () => Promise<void>,
  count: number,
): Promise<{ readonly ms: number; readonly foundMs: number }> {
  const there = arrivals()
  globalThis.gc?.()
  const startedAt = performance.now()
  const engine = createEngine({ journal: place.open(), suspendAfter: false })
  const runs = await engine.recover()
  const foundMs = performance.now() - startedAt
  await there
  const ms = performance.now() - startedAt
  expectEqual('flow runs recovered', runs.length, count)
  await engine.close()
  await place.close()
  return { ms, foundMs }
}

/** Task runs in each of the windows that are compared, and how often both are. */
const windowed = 333
const turns = 4

/** Gives how long each task run of a chain took, in microseconds. */
const timed = flow('timed', async (n: number) => {
  const times: number[] = []
  let before = performance.now()
  for (let i = 0; i < n; i++) {
    await step(i)
    const now = performance.now()
    times.push((now - before) * 1e3)
    before = now
  }
  return times
})

/** Time per task run after 10 entries of a journal, and after `n`: medians of 1,332 each, of four flow runs. */
function flatness(kept: Kept): Measure {
  return async ({ n }) => {
    const place = new Place(kept)
    const engine = createEngine({ journal: place.open() })
    const start = timed.with({ engine })
    const begin = Math.ceil(10 / entriesPerTaskRun)
    const end = Math.ceil(n / entriesPerTaskRun)
    const early: number[] = []
    const late: number[] = []
    const width = Math.min(windowed, n)
    await start(end) // the compiler
    for (let i = 0; i < turns; i++) {
      const times = await start(end + width)
      expectEqual('task runs', times.length, end + width)
      early.push(...times.slice(begin, begin + width))
      late.push(...times.slice(end))
    }
    await engine.close()
    await place.close()
    return { 'µs early': median(early), 'µs late': median(late) }
  }
}

const ours = (kept: Kept): Readonly<Record<string, Measure>> => ({
  [`sequential-${kept}`]: taskRuns(kept, chain, 1),
  [`sequential-inline-${kept}`]: taskRuns(kept, chain, 1, false),
  [`chains-${kept}`]: taskRuns(kept, chain, flowsAtOnce),
  [`fan-outs-${kept}`]: taskRuns(kept, fanOut, flowsAtOnce),
  [`recovery-${kept}`]: recovery(kept),
  [`restart-${kept}`]: restart(kept),
  [`flatness-${kept}`]: flatness(kept),
})

export const measures: Readonly<Record<string, Measure>> = {
  ...ours('power'),
  ...ours('process'),
  ...ours('memory'),
}
