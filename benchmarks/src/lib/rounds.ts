import { besideLoad } from './busy.ts'
import { measureInChild } from './in-child.ts'
import type { Outcome } from './in-child.ts'
import type { Case, Group } from './benchmark.ts'

/** The outcomes of a case, one for each round. */
export interface CaseOutcomes {
  readonly measured: Case
  readonly outcomes: readonly Outcome[]
}

/** Measures the cases of a group in turns, A B C, A B C …, each in a process of its own. */
export async function interleave(
  group: Group,
  rounds: number,
  load: (round: number) => number = () => 0,
): Promise<readonly CaseOutcomes[]> {
  const all = group.cases.map((measured) => ({ measured, outcomes: [] as Outcome[] }))
  for (let round = 1; round <= rounds; round++) {
    await besideLoad(load(round - 1), async () => {
      for (const { measured, outcomes } of all) {
        const outcome = await measureInChild(measured)
        outcomes.push(outcome)
        progress(`${group.title}, round ${round}/${rounds}: ${measured.label}`, outcome)
      }
    })
  }
  return all
}

/** Tells on stderr what one measurement gave. */
export function progress(what: string, outcome: Outcome): void {
  if ('failure' in outcome) {
    process.stderr.write(`${what} FAILED: ${outcome.failure}\n`)
    return
  }
  if ('absent' in outcome) {
    process.stderr.write(`${what}: absent, ${outcome.absent}\n`)
    return
  }
  const [name = '', value = NaN] = Object.entries(outcome.readings)[0] ?? []
  const digits = value < 100 ? { maximumSignificantDigits: 3 } : { maximumFractionDigits: 0 }
  process.stderr.write(`${what}: ${value.toLocaleString('en', digits)} ${name}\n`)
}
