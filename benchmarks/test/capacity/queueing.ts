import { mean, sampleStandardDeviation } from 'simple-statistics'
import { Chance } from '../../src/capacity/chance.ts'
import { Cores } from '../../src/capacity/cores.ts'
import { Simulation } from '../../src/capacity/simulation.ts'
import { Station } from '../../src/capacity/station.ts'

/** Batches long enough that one hardly depends on the one before. */
const batches = 50
/** A fair simulation is beyond so many standard errors once in a hundred thousand times, by Student's t with 49 degrees. */
const standardErrors = 5

/** What a simulation says, and how far from the truth that may be. */
export interface Estimate {
  readonly value: number
  readonly tolerance: number
}

/** The mean, with the error that the means of batches show. */
export function estimate(values: readonly number[]): Estimate {
  const size = Math.floor(values.length / batches)
  const means = Array.from({ length: batches }, (_, i) => mean(values.slice(i * size, (i + 1) * size)))
  return {
    value: mean(means),
    tolerance: (standardErrors * sampleStandardDeviation(means)) / Math.sqrt(batches),
  }
}

interface OpenQueue {
  readonly arrivals: number
  readonly service: 'exponential' | 'constant'
  readonly count: number
  readonly seed: number
}

/** Times from arrival to end at one station, with a mean service time of 1, that customers come to by chance. */
export function openQueue({ arrivals, service, count, seed }: OpenQueue): readonly number[] {
  const chance = new Chance(seed)
  const simulation = new Simulation()
  const station = new Station({
    cores: new Cores(simulation, Infinity),
    ...(service === 'exponential' && { draw: (one: number) => chance.exponential(one) }),
  })
  const times: number[] = []
  const arrive = (): void => {
    const at = simulation.now
    station.do(1, () => times.push(simulation.now - at))
    simulation.after(chance.exponential(1 / arrivals), arrive)
  }
  arrive()
  simulation.run(() => times.length >= count)
  return times
}

interface ClosedQueue {
  readonly machines: number
  /** Mean time that a machine works before it is to be repaired, which takes 1 on average. */
  readonly works: number
  readonly count: number
  readonly seed: number
}

/** Times between two repairs that are done, of machines with one repairman. */
export function machineRepair({ machines, works, count, seed }: ClosedQueue): readonly number[] {
  const chance = new Chance(seed)
  const simulation = new Simulation()
  const repairman = new Station({
    cores: new Cores(simulation, Infinity),
    draw: (one) => chance.exponential(one),
  })
  const between: number[] = []
  let last = 0
  const work = (): void => {
    simulation.after(chance.exponential(works), () => {
      repairman.do(1, () => {
        between.push(simulation.now - last)
        last = simulation.now
        work()
      })
    })
  }
  for (let i = 0; i < machines; i++) work()
  simulation.run(() => between.length >= count)
  return between
}

/** Repairs in a unit of time: the machine-repair model, M/M/1//N. */
export function repairsOf({ machines, works }: Pick<ClosedQueue, 'machines' | 'works'>): number {
  let term = 1
  let sum = 1
  for (let broken = 1; broken <= machines; broken++) {
    term *= (machines - broken + 1) / works
    sum += term
  }
  return 1 - 1 / sum
}
