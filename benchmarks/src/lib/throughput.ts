import { withPeakHeap } from './heap.ts'
import type { Params, Readings } from './measure.ts'

/** Something that does `n` runs, again and again. */
export interface Subject {
  readonly work: (n: number) => Promise<void> | void
  readonly close?: () => Promise<void>
}

interface Elapsed {
  readonly runs: number
  readonly ms: number
}

async function repeat({ work }: Subject, n: number, atLeastMs: number): Promise<Elapsed> {
  const startedAt = performance.now()
  let runs = 0
  let ms = 0
  do {
    await work(n)
    runs += n
    ms = performance.now() - startedAt
  } while (ms < atLeastMs)
  return { runs, ms }
}

async function measureWindow(subject: Subject, { n, windowMs }: Params): Promise<Readings> {
  const cpu = process.cpuUsage()
  const { runs, ms } = await repeat(subject, n, windowMs)
  const { user, system } = process.cpuUsage(cpu)
  return { 'runs/s': (runs / ms) * 1e3, 'µs/run': (ms / runs) * 1e3, 'cpu µs/run': (user + system) / runs }
}

/**
 * Measures time per run: warm-up, garbage collection, then the window.
 *
 * The warm-up has a subject of its own, so that the window begins with warm code and an empty history.
 * Collections inside the window count, they are part of what a run costs; the one before it does not.
 */
export async function throughput(create: () => Subject, params: Params): Promise<Readings> {
  const warmup = create()
  await repeat(warmup, params.warmupN ?? params.n, params.warmupMs)
  await warmup.close?.()
  const subject = create()
  globalThis.gc?.()
  const readings = await withPeakHeap(() => measureWindow(subject, params))
  await subject.close?.()
  return readings
}
