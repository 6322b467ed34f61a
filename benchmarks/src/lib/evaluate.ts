import type { Durability, Figure, Group, Read, Target } from './benchmark.ts'
import type { CaseOutcomes } from './rounds.ts'
import { summarise } from './stats.ts'
import type { Summary } from './stats.ts'

/** A figure of the medians, with its spread over the rounds. */
export interface FigureResult {
  readonly label: string
  readonly value: number
  readonly rounds: Summary
  readonly target?: Target
  readonly verdict?: 'reached' | 'missed' | 'no figure'
}

/** What a group gave: all that goes into the table and the results file. */
export interface GroupResult {
  readonly title: string
  readonly shown: readonly string[]
  readonly cases: readonly {
    readonly label: string
    readonly params: object
    readonly durability?: Durability
    readonly readings: Readonly<Record<string, Summary>>
    readonly rounds: CaseOutcomes['outcomes']
  }[]
  readonly figures: readonly FigureResult[]
}

const roundValues = ({ outcomes }: Pick<CaseOutcomes, 'outcomes'>, reading: string): readonly number[] =>
  outcomes.map((outcome) => ('readings' in outcome ? (outcome.readings[reading] ?? NaN) : NaN))

const readingNames = ({ outcomes }: CaseOutcomes): readonly string[] => [
  ...new Set(outcomes.flatMap((outcome) => ('readings' in outcome ? Object.keys(outcome.readings) : []))),
]

/** Summarises the rounds of a group and computes its figures. */
export function evaluate(group: Group, all: readonly CaseOutcomes[]): GroupResult {
  const values: Values = (label, reading) => {
    const found = all.find(({ measured }) => measured.label === label)
    if (found === undefined) throw new Error(`no case "${label}" in "${group.title}"`)
    return roundValues(found, reading)
  }
  const rounds = all[0]?.outcomes.length ?? 0
  return {
    title: group.title,
    shown: group.shown,
    cases: all.map((one) => ({
      label: one.measured.label,
      params: one.measured.params,
      ...(one.measured.durability && { durability: one.measured.durability }),
      readings: Object.fromEntries(
        readingNames(one).map((name) => [name, summarise(roundValues(one, name))]),
      ),
      rounds: one.outcomes,
    })),
    figures: group.figures.map((figure) => evaluateFigure(figure, values, rounds)),
  }
}

/**
 * Computes a figure from results that were made before it was thought of: its rounds are stored, as those of any. NaN where it
 * is of cases that were not measured then.
 */
export function figureOfStored(figure: Figure, { cases }: GroupResult): FigureResult {
  const values: Values = (label, reading) => {
    const found = cases.find((one) => one.label === label)
    return found === undefined ? [] : roundValues({ outcomes: found.rounds }, reading)
  }
  return evaluateFigure(figure, values, cases[0]?.rounds.length ?? 0)
}

/** A reading of a case, in each round. */
type Values = (label: string, reading: string) => readonly number[]

function evaluateFigure({ label, formula, target }: Figure, values: Values, rounds: number): FigureResult {
  const ofMedians: Read = (name, reading) => summarise(values(name, reading)).median
  const ofRound =
    (round: number): Read =>
    (name, reading) =>
      values(name, reading)[round] ?? NaN
  const value = formula(ofMedians)
  const spread = summarise(Array.from({ length: rounds }, (_, round) => formula(ofRound(round))))
  if (target === undefined) return { label, value, rounds: spread }
  return { label, value, rounds: spread, target, verdict: judge(value, target) }
}

function judge(value: number, target: Target): 'reached' | 'missed' | 'no figure' {
  if (Number.isNaN(value)) return 'no figure'
  const reached = 'atLeast' in target ? value >= target.atLeast : value <= target.atMost
  return reached ? 'reached' : 'missed'
}
