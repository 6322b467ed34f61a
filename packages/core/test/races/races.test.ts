import * as core from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { mutants } from './mutants.ts'
import { simulate, type Played } from './simulate.ts'
import type { Core } from './stage.ts'

/** A fault must be found in so many. */
const mostSeeds = 10_000
const seeds = Number(process.env['TROUPE_RACE_SEEDS'] ?? mostSeeds)

/** Far more than it takes: another program may have the processor meanwhile. */
const timeout = 60_000 + Math.max(seeds, mostSeeds) * 60

/** Failing scenes that are told of in full. */
const told = 3

function words(seed: number, { violations, log }: Played): string {
  return `seed ${seed}\n${violations.map(({ message }) => message).join('\n')}\n--- its log:\n${log}`
}

/** Stacks of the errors that scenes throw are nobody's, and making them takes a third of the time. */
async function withoutStacks<T>(play: () => Promise<T>): Promise<T> {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  try {
    return await play()
  } finally {
    Error.stackTraceLimit = limit
  }
}

describe('cancels, time limits, ends, retries and slots that race', () => {
  it(
    `leave every run in one terminal state, the same for every observer (${seeds} seeds)`,
    { timeout },
    async () => {
      const orders = new Set<string>()
      const failed: string[] = []
      await withoutStacks(async () => {
        for (let seed = 0; seed < seeds && failed.length < told; seed++) {
          const played = await simulate(core, seed)
          orders.add(played.order)
          if (played.violations.length > 0) failed.push(words(seed, played))
        }
      })
      expect(failed.join('\n\n')).toBe('')
      console.log(`${seeds} seeds gave ${orders.size} distinct orders of transitions`)
      expect(orders.size).toBeGreaterThanOrEqual(Math.min(1_000, seeds / 10))
    },
  )
})

describe('the simulation of races', () => {
  it.each(mutants.map((mutant) => [mutant.name, mutant.fault, mutant] as const))(
    'finds %s: %s',
    { timeout },
    async (name, _, { foundBy }) => {
      const specifier = `@troupe/core?mutant=${name}`
      const mutant = (await import(/* @vite-ignore */ specifier)) as Core
      expect(mutant.createEngine).not.toBe(core.createEngine)
      const checks = new Set<string>()
      const found = await withoutStacks(async () => {
        for (let seed = 0; seed < mostSeeds; seed++) {
          for (const { check } of (await simulate(mutant, seed)).violations) checks.add(check)
          if (checks.has(foundBy)) return seed + 1
        }
        return undefined
      })
      console.log(`${name} was found after ${found ?? mostSeeds} seeds, by: ${[...checks].join(', ')}`)
      expect(found, `${foundBy} was violated in none of ${mostSeeds} seeds`).toBeDefined()
    },
  )
})
