import { withPeakHeap } from './heap.ts'
import type { Params, Readings } from './measure.ts'

/** CPU time, in milliseconds, that is let pass after a forced collection, where the measurement says nothing else. */
const shortlyMs = 300

/** Something that does `n` runs, again and again. */
export interface Subject {
  /** May give the milliseconds that count, where not all of its time does. */
  readonly work: (n: number) => Promise<void | number> | void
  /** What is to be there before the clock starts, such as threads. */
  readonly ready?: () => Promise<void>
  /** Does the window that is measured, with what is read at its two ends. */
  readonly around?: (window: () => Promise<Readings>) => Promise<Readings>
  readonly close?: () => Promise<void>
}

/** What repetitions took. */
export interface Spent {
  readonly runs: number
  readonly ms: number
  readonly cpuMs: number
}

/** Goes on for so much CPU time: on a busy machine as much is warmed and measured as on an idle one. */
export async function repeat(
  { work }: Subject,
  n: number,
  atLeastCpuMs: number,
  wallMs = Infinity,
): Promise<Spent> {
  const beganAt = performance.now()
  const cpuBefore = process.cpuUsage()
  let runs = 0
  let ms = 0
  let cpuMs = 0
  do {
    const startedAt = performance.now()
    const counted = await work(n)
    ms += counted ?? performance.now() - startedAt
    runs += n
    const { user, system } = process.cpuUsage(cpuBefore)
    cpuMs = (user + system) / 1e3
  } while (cpuMs < atLeastCpuMs && performance.now() - beganAt < wallMs)
  return { runs, cpuMs, ms }
}

async function measureWindow(subject: Subject, { n, windowMs, wallMs }: Params): Promise<Readings> {
  const { runs, ms, cpuMs } = await repeat(subject, n, windowMs, wallMs)
  return {
    'runs/s': (runs / ms) * 1e3,
    'µs/run': (ms / runs) * 1e3,
    'cpu µs/run': (cpuMs / runs) * 1e3,
    repetitions: runs / n,
  }
}

/**
 * Measures time per run: warm-up, garbage collection, a little more of the same, then the window.
 *
 * The warm-up has a subject of its own, so that the window begins with warm code and a short history. Collections inside the
 * window count, they are part of what a run costs; the one before it does not. After a forced collection code is slow for a
 * while, so the subject goes on for some time before the clock starts; not where it mostly waits for others.
 */
export async function throughput(create: () => Subject, params: Params): Promise<Readings> {
  const warmup = create()
  await repeat(warmup, params.warmupN ?? params.n, params.warmupMs, params.wallMs)
  await warmup.close?.()
  const subject = create()
  await subject.ready?.()
  globalThis.gc?.()
  if (params.wallMs === undefined)
    await repeat(
      subject,
      params.warmupN ?? params.n,
      Math.min(params.warmupMs, params.settlingMs ?? shortlyMs),
    )
  const window = (): Promise<Readings> => measureWindow(subject, params)
  const readings = await withPeakHeap(() => subject.around?.(window) ?? window())
  await subject.close?.()
  return readings
}
