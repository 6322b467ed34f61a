import { median } from 'simple-statistics'
import type { Params, Readings } from './measure.ts'
import { repeat, type Spent, type Subject } from './throughput.ts'

/** Ours, and what it is divided by. */
export interface Sides {
  readonly ours: Subject
  readonly floor: Subject
}

/** How often the two sides take turns. */
const turns = 15

/**
 * What a run costs in CPU time, as a multiple of what the same costs on the floor.
 *
 * Both sides take turns in one process, a few hundredths of a second each, and the side that goes first changes: what
 * else happens on the machine touches both alike. The time is that of the whole process, with the threads that
 * compile and collect garbage. `cost` is the median over the turns. Nothing is collected in between by force: code is slow for
 * a while afterwards.
 */
export async function costOver(create: () => Sides, params: Params): Promise<Readings> {
  const { n, warmupMs, windowMs, burn = 0 } = params
  const sides = create()
  const ours: Subject = burn === 0 ? sides.ours : { ...sides.ours, work: burning(sides.ours.work, burn) }
  const both = [ours, sides.floor] as const
  for (const side of both) await side.ready?.()
  for (const side of both) await repeat(side, n, warmupMs)
  const costs: number[] = []
  const perRun: Readonly<Record<'ours' | 'floor', number[]>> = { ours: [], floor: [] }
  for (let turn = 0; turn < turns; turn++) {
    const spent = await inOrder(both, turn % 2 === 0, (side) => repeat(side, n, windowMs))
    const [own, least] = spent.map(({ cpuMs, runs }) => (cpuMs / runs) * 1e3) as [number, number]
    perRun.ours.push(own)
    perRun.floor.push(least)
    costs.push(own / least)
  }
  for (const side of both) await side.close?.()
  return {
    cost: median(costs),
    'cpu µs/run': median(perRun.ours),
    'floor, cpu µs/run': median(perRun.floor),
  }
}

/** Gives what both spent, whichever of them goes first. */
async function inOrder(
  [a, b]: readonly [Subject, Subject],
  firstFirst: boolean,
  measure: (side: Subject) => Promise<Spent>,
): Promise<readonly Spent[]> {
  if (firstFirst) return [await measure(a), await measure(b)]
  const later = await measure(b)
  return [await measure(a), later]
}

/** Does the work, and burns this share of its CPU time besides: a slowdown that is to be found. */
function burning(work: Subject['work'], share: number): Subject['work'] {
  return async (n) => {
    const before = process.cpuUsage()
    await work(n)
    const worked = total(process.cpuUsage(before))
    while (total(process.cpuUsage(before)) < worked * (1 + share));
  }
}

const total = ({ user, system }: NodeJS.CpuUsage): number => user + system
