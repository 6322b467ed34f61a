import { parseArgs, type ParseArgsConfig } from 'node:util'

/** What the command line asks for. */
export interface Options {
  /** Benchmarks to run; none means all. */
  readonly names: readonly string[]
  /** Rounds that the command line asks for. Default 5, where the benchmark says nothing else. */
  readonly rounds: number | undefined
  /** Each measurement once, as small as it gets; and the ratios compared with those in the repository. */
  readonly quick: boolean
  /** Only groups whose title contains this. */
  readonly only: string
  readonly node24: boolean
  /** Commit to compare with, of the benchmark `commits`; empty for none. */
  readonly against: string
  /** Share of CPU time that is burned besides, to see that the comparison finds it; 0 for none. */
  readonly burn: number
  /** In milliseconds of CPU time: the loops need up to 3 s until the compiler has done all it does. */
  readonly warmupMs: number
  /** In milliseconds of CPU time: how long one round of one case is measured. */
  readonly windowMs: number
}

/** The command line asks for something that there is not: its message is for whoever typed it, and no stack. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

const known = {
  rounds: { type: 'string' },
  quick: { type: 'boolean', default: false },
  only: { type: 'string', default: '' },
  node24: { type: 'boolean', default: false },
  against: { type: 'string', default: '' },
  burn: { type: 'string', default: '0' },
} as const satisfies ParseArgsConfig['options']

/**
 * Reads the command line.
 *
 * @throws {@link UsageError} For an unknown option or a bad number.
 */
export function readOptions(args: readonly string[]): Options {
  const { values, positionals } = parsed(args)
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds)
  if (rounds !== undefined && (!Number.isInteger(rounds) || rounds < 1)) {
    throw new UsageError('--rounds takes a number from 1')
  }
  const burn = Number(values.burn)
  if (!(burn >= 0)) throw new UsageError('--burn takes a share, such as 0.5')
  const { quick, only, node24, against } = values
  return { names: positionals, rounds, quick, only, node24, against, burn, warmupMs: 3_000, windowMs: 500 }
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], allowPositionals: true, options: known })
  } catch (error) {
    // All that it throws is about the arguments. What follows the first sentence is about `--`.
    if (error instanceof TypeError) throw new UsageError(error.message.replace(/\. .*/s, ''))
    throw error
  }
}
