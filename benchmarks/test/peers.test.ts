import { describe, expect, it } from 'vitest'
import { benchmarks } from '../src/benchmarks.ts'
import { loadMeasure } from '../src/lib/catalogue.ts'
import { readOptions } from '../src/lib/options.ts'
import { peers } from '../src/peers.ts'

const groups = peers.groups(readOptions([]))

describe('the benchmark peers', () => {
  it('says in each label how much is done', () => {
    for (const { label, params } of groups.flatMap(({ cases }) => cases)) {
      const flows = params.flows === undefined ? '' : `, flows ${params.flows.toLocaleString('en')}`
      expect(label).toContain(`(n ${params.n.toLocaleString('en')}${flows})`)
    }
  })

  it('divides a reading of Troupe by that of each peer, and times the other way round', () => {
    for (const { cases, figures } of groups) {
      const [ours, ...others] = cases.map(({ label }) => label)
      // Twice as fast as each.
      const read = (label: string, reading: string): number =>
        (label === ours) === (reading.endsWith('µs') === false) ? 2 : 1
      expect(figures.map(({ formula }) => formula(read))).toEqual(figures.map(() => 2))
      for (const other of others) {
        const name = other.replace(/ \(.*/, '')
        expect(figures.some(({ label }) => label.includes(name))).toBe(true)
      }
    }
  })
})

describe('every case', () => {
  it('names a measurement that is there', async () => {
    const named = benchmarks.flatMap((benchmark) => benchmark.groups(readOptions([])))
    for (const { measure } of named.flatMap(({ cases }) => cases)) {
      expect(await loadMeasure(measure)).toBeTypeOf('function')
    }
  })
})
