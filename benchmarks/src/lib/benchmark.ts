import type { MeasureName } from './catalogue.ts'
import type { Options } from './options.ts'
import type { Params } from './measure.ts'

/** What it takes to lose what was done. */
export const durabilities = {
  memory: 'lost with its process',
  process: 'survives its process, and its server, but not the power of the machine',
  power: 'survives the power of the machine: on the disk before it counts',
  none: 'keeps nothing',
} as const

/** One of `durabilities`. */
export type Durability = keyof typeof durabilities

/** One thing that is measured, once in each round. */
export interface Case {
  readonly label: string
  readonly measure: MeasureName
  readonly params: Params
  /** The built checkout of another commit to measure; default this one. */
  readonly checkout?: string
  /** Measured on Node 24 (or this Node, where it is newer), whatever the others run on. */
  readonly node24?: boolean
  /** Default: that of the benchmark. */
  readonly durability?: Durability
  /** How often it is warmed up and measured, one after the other, where it is of several parts. Default once. */
  readonly parts?: number
}

/** Gives a reading of a case, named by its label; NaN when the case failed. */
export type Read = (label: string, reading: string) => number

/** What is aimed at: a bound. */
export type Target = { readonly atLeast: number } | { readonly atMost: number }

/** A figure computed from readings: of the medians, and of each round for its spread. */
export interface Figure {
  readonly label: string
  readonly formula: (read: Read) => number
  readonly target?: Target
}

/** Cases that are measured in turns, and what they give. */
export interface Group {
  readonly title: string
  readonly cases: readonly Case[]
  /** Readings shown in the table; the results file has all of them. */
  readonly shown: readonly string[]
  readonly figures: readonly Figure[]
}

/** Of what is measured, by name. */
export type Versions = Readonly<Record<string, string>>

/** What one name on the command line runs. */
export interface Benchmark {
  readonly name: string
  /** The question it answers, one sentence. */
  readonly about: string
  readonly groups: (options: Options) => readonly Group[]
  /** Of the cases that say nothing else. */
  readonly durability?: Durability
  /** Where figures hardly change, or their spread is the question. Default: as the command line says, 5. */
  readonly rounds?: number
  /** Cores that are kept busy beside a round, which counts from 0. Default none. */
  readonly load?: (round: number) => number
  /** Takes packages from a registry: too slow for `bench:quick`. */
  readonly needsRegistry?: boolean
  /** Run only where its name is given. */
  readonly byNameOnly?: boolean
  /**
   * What is done once before anything is measured, for the groups that are: who asks for one group waits for nothing that
   * only another one needs.
   * @returns What else the figures were made with, for the results
   */
  readonly prepare?: (groups: readonly Group[]) => Versions | Promise<Versions>
}
