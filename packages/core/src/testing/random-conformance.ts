import assert from 'node:assert/strict'
import type { Random } from '../ports/random.ts'
import { casesOf, type ConformanceCase, type Opened } from './conformance.ts'

/** A source of chance that a suite opens. @public */
export interface OpenedRandom extends Opened {
  readonly random: Random
}

/** Enough that each bound below is ten standard deviations away: a sound source fails about never. */
const draws = 20_000

/** What every source of chance is held to. It finds gross faults, not weak generators. @public */
export function randomConformance(make: () => Promise<OpenedRandom>): ConformanceCase[] {
  return casesOf(make, {
    async 'draws numbers x with 0 ≤ x < 1, evenly'({ random }) {
      let sum = 0
      const tenths = Array.from({ length: 10 }, () => 0)
      for (let i = 0; i < draws; i++) {
        const x = random.number()
        assert.ok(x >= 0 && x < 1, `drew ${x}`)
        sum += x
        const tenth = Math.floor(x * 10)
        tenths[tenth] = (tenths[tenth] ?? 0) + 1
      }
      assert.ok(Math.abs(sum / draws - 0.5) < 0.021, `the mean was ${sum / draws}`)
      for (const count of tenths) assert.ok(Math.abs(count / draws - 0.1) < 0.022, `a tenth had ${count}`)
    },
    async 'draws numbers with 53 random bits, none twice'({ random }) {
      const seen = new Set<number>()
      let odd = 0
      for (let i = 0; i < draws; i++) {
        const x = random.number()
        seen.add(x)
        const scaled = x * 2 ** 53
        assert.ok(Number.isInteger(scaled))
        odd += scaled % 2
      }
      assert.equal(seen.size, draws)
      assert.ok(Math.abs(odd / draws - 0.5) < 0.036, `the lowest bit was set in ${odd} of ${draws}`)
    },
    async 'draws unsigned integers of 32 bits, each bit set in half of them'({ random }) {
      const set = Array.from({ length: 32 }, () => 0)
      for (let i = 0; i < draws; i++) {
        const word = random.uint32()
        assert.ok(Number.isInteger(word) && word >= 0 && word < 2 ** 32, `drew ${word}`)
        for (let bit = 0; bit < 32; bit++) set[bit] = (set[bit] ?? 0) + ((word >>> bit) & 1)
      }
      for (const [bit, count] of set.entries()) {
        assert.ok(Math.abs(count / draws - 0.5) < 0.036, `bit ${bit} was set in ${count} of ${draws}`)
      }
    },
  })
}
