import { describe, expect, it } from 'vitest'
import { Cores } from '../../src/capacity/cores.ts'
import { Simulation } from '../../src/capacity/simulation.ts'
import { Station } from '../../src/capacity/station.ts'
import { estimate, machineRepair, openQueue, repairsOf, type Estimate } from './queueing.ts'

const count = 250_000

/**
 * How far it is from the truth, as a part of what it may be; without end where it is not so sharp that a wrong theory is told from
 * the right one.
 */
const offBy = ({ value, tolerance }: Estimate, truth: number): number =>
  tolerance < 0.1 * truth ? Math.abs(value - truth) / tolerance : Infinity

describe('the simulation, where theory knows the answer', () => {
  it.each([0.5, 0.8])('has the mean time of M/M/1, %s busy', (arrivals) => {
    const times = openQueue({ arrivals, service: 'exponential', count: 2 * count, seed: 1 })
    expect(offBy(estimate(times), 1 / (1 - arrivals))).toBeLessThan(1)
  })

  it.each([0.5, 0.05])(
    'has the distribution of M/M/1: as many of its times are as long, %s of them',
    (part) => {
      const arrivals = 0.4
      const longest = Math.log(1 / part) / (1 - arrivals)
      const times = openQueue({ arrivals, service: 'exponential', count: 2 * count, seed: 2 })
      expect(offBy(estimate(times.map((time) => (time > longest ? 1 : 0))), part)).toBeLessThan(1)
    },
  )

  it.each([0.5, 0.8])('has the mean time of M/D/1, %s busy', (arrivals) => {
    const times = openQueue({ arrivals, service: 'constant', count, seed: 3 })
    expect(offBy(estimate(times), 1 + arrivals / (2 * (1 - arrivals)))).toBeLessThan(1)
  })

  it.each([
    { machines: 1, works: 4 },
    { machines: 5, works: 4 },
    { machines: 20, works: 10 },
  ])('has the throughput of $machines machines that work $works and have one repairman', (queue) => {
    const between = machineRepair({ ...queue, count, seed: 4 })
    expect(offBy(estimate(between), 1 / repairsOf(queue))).toBeLessThan(1)
  })
})

describe('a station', () => {
  it('does one thing after the other, in the order in which they come', () => {
    const simulation = new Simulation()
    const station = new Station({ cores: new Cores(simulation, 1), wake: 3 })
    const done: string[] = []
    const note = (name: string) => () => done.push(`${name} at ${simulation.now}`)
    station.do(10, () => {
      note('a')()
      station.do(1, note('c'))
    })
    station.do(5, note('b'))
    simulation.after(30, () => station.do(2, note('d')))
    simulation.run(() => false)
    expect(done).toEqual(['a at 13', 'b at 18', 'c at 19', 'd at 35'])
    expect(station.wakes).toBe(2)
    expect(station.work).toBe(24)
  })

  it('is as much slower as more stations compute than there are cores', () => {
    const simulation = new Simulation()
    const cores = new Cores(simulation, 2)
    const ends: number[] = []
    for (const work of [10, 20, 30]) new Station({ cores }).do(work, () => ends.push(simulation.now))
    simulation.run(() => false)
    // Three on two cores: until the first ends, each gets two thirds of one.
    expect(ends).toEqual([expect.closeTo(15), expect.closeTo(25), expect.closeTo(35)])
  })

  it('spends what is beside the way of its work on another core, where there is one', () => {
    const ends = [1, 2].map((count) => {
      const simulation = new Simulation()
      const station = new Station({ cores: new Cores(simulation, count), share: 0.75 })
      let end = 0
      station.do(100, () => (end = simulation.now))
      simulation.run(() => false)
      return end
    })
    // On one core both share it until the smaller part, 25, is done.
    expect(ends).toEqual([expect.closeTo(100), expect.closeTo(75)])
  })
})
