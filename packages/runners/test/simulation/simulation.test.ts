import * as core from '@troupe/core'
import * as runners from '@troupe/runners'
import { describe, expect, it } from 'vitest'
import type { Library } from './flows.ts'
import { mutants } from './mutants.ts'
import { simulate, type Lived } from './simulate.ts'

const library: Library = { ...core, ...runners }

/** A fault must be found in so many. */
const mostSeeds = 1_000
const seeds = Number(process.env['TROUPE_CLUSTER_SEEDS'] ?? 1_000)
const first = Number(process.env['TROUPE_CLUSTER_SEED'] ?? 0)

/** Far more than it takes: another program may have the processor meanwhile. */
const timeout = 120_000 + Math.max(seeds, mostSeeds) * 300

/** Clusters that are told of in full. */
const told = 3

/** So many live twice, which must give the same log. */
const everyTwice = 10

function words(seed: number, { violations, log }: Lived): string {
  const lines = violations.map(({ check, message }) => `${check}: ${message}`)
  return `seed ${seed}\n${lines.join('\n')}\n--- its log:\n${log}`
}

/** Stacks of the errors that bodies throw are nobody's, and take time. */
async function withoutStacks<T>(live: () => Promise<T>): Promise<T> {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  try {
    return await live()
  } finally {
    Error.stackTraceLimit = limit
  }
}

describe('a small cluster whose nodes crash, are cut off and close, and whose messages go astray', () => {
  it(
    `brings every flow run to its one end, with nothing lost, twice or left behind (${seeds} seeds)`,
    { timeout },
    async () => {
      const failed: string[] = []
      const counts = { crashes: 0, takeovers: 0, bodies: 0, again: 0, pauses: 0, slotWaits: 0 }
      await withoutStacks(async () => {
        for (let seed = first; seed < first + seeds && failed.length < told; seed++) {
          const lived = await simulate(library, seed, seed % everyTwice === 0)
          for (const key of Object.keys(counts) as (keyof typeof counts)[]) counts[key] += lived[key]
          if (lived.violations.length > 0) failed.push(words(seed, lived))
        }
      })
      expect(failed.join('\n\n')).toBe('')
      console.log(
        `${seeds} seeds: ${counts.crashes} crashes, ${counts.takeovers} takeovers, ` +
          `${counts.bodies} bodies, ${counts.again} of them a second time, ` +
          `${counts.pauses} pauses, ${counts.slotWaits} waits for a slot`,
      )
      // The faults happened.
      for (const count of Object.values(counts)) expect(count).toBeGreaterThan(seeds / 50)
    },
  )
})

describe('the simulation of clusters', () => {
  it.each(mutants.map((mutant) => [mutant.name, mutant.fault, mutant] as const))(
    'finds %s: %s',
    { timeout },
    async (name, _, { foundBy }) => {
      const [coreName, runnersName] = [`@troupe/core?mutant=${name}`, `@troupe/runners?mutant=${name}`]
      const mutant = {
        ...((await import(/* @vite-ignore */ coreName)) as typeof core),
        ...((await import(/* @vite-ignore */ runnersName)) as typeof runners),
      }
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
