import { parseArgs } from 'node:util'

/** What the command line asks for. */
export interface Options {
  /** Benchmarks to run; none means all. */
  readonly names: readonly string[]
  readonly rounds: number
  /** Few and short rounds, small numbers: shows that all works, the figures mean little. */
  readonly quick: boolean
  /** Only groups whose title contains this. */
  readonly only: string
  readonly node24: boolean
  /** Commit to compare with, of the benchmark `commits`; empty for none. */
  readonly against: string
  /** In milliseconds of CPU time: the loops need up to 3 s until the compiler has done all it does. */
  readonly warmupMs: number
  /** In milliseconds of CPU time: how long one round of one case is measured. */
  readonly windowMs: number
}

/** Reads the command line; an unknown option or a bad number throws. */
export function readOptions(args: readonly string[]): Options {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      only: { type: 'string', default: '' },
      node24: { type: 'boolean', default: false },
      against: { type: 'string', default: '' },
    },
  })
  const rounds = Number(values.rounds ?? (values.quick ? 2 : 5))
  if (!Number.isInteger(rounds) || rounds < 1) throw new RangeError('--rounds takes a number from 1')
  const { quick, only, node24, against } = values
  const times = quick ? { warmupMs: 500, windowMs: 100 } : { warmupMs: 3_000, windowMs: 500 }
  return { names: positionals, rounds, quick, only, node24, against, ...times }
}
