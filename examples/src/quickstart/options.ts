/** The command line: what may be said, and what is wrong with it otherwise. */
import { statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { parseArgs } from 'node:util'

/** Something is wrong with the command line; the message is one line. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export interface Options {
  runner: string
  /** How many threads the runner `threads` has; left out, one a core. */
  threads: number | undefined
  out: string
  help: boolean
}

/** Reads the command line. */
export function parseOptions(args: string[], runners: readonly string[]): Options {
  const { runner, threads, out, help } = parsed(args)
  if (help) return { runner, threads: undefined, out, help }
  if (!runners.includes(runner)) {
    const known = `${runners.slice(0, -1).join(', ')} or ${runners.at(-1)}`
    throw new UsageError(`--runner must be ${known}, not '${runner}'`)
  }
  if (threads !== undefined && runner !== 'threads')
    throw new UsageError(`--threads goes with --runner threads, not '${runner}'`)
  return { runner, threads: threads === undefined ? undefined : count(threads), out: writable(out), help }
}

/** What `--help` says. */
export const usage = (
  runners: readonly string[],
): string => `Reads three million flights and writes a report about their delays.

Usage: quickstart [--runner ${runners.join('|')}] [--threads 4] [--out report.html]

  --runner   how the task runs of the flow are run (default: concurrent)
  --threads  how many there are with --runner threads (default: one a core)
  --out      where the report goes, one HTML file (default: flights.html)
  --help     this text
`

function parsed(args: string[]): {
  runner: string
  threads?: string | undefined
  out: string
  help: boolean
} {
  try {
    return parseArgs({
      // `npm run quickstart -- --out r.html` needs the dashes; pnpm hands them on.
      args: args[0] === '--' ? args.slice(1) : args,
      options: {
        runner: { type: 'string', default: 'concurrent' },
        threads: { type: 'string' },
        out: { type: 'string', default: 'flights.html' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values
  } catch (error) {
    // Node's message goes on with advice about '--', which does not help here.
    const [message] = String(error instanceof Error ? error.message : error).split(/\. |\n/)
    throw new UsageError(message)
  }
}

function count(threads: string): number {
  if (/^[1-9]\d{0,2}$/.test(threads)) return Number(threads)
  throw new UsageError(`--threads must be a number from 1 to 999, not '${threads}'`)
}

/** Finds out now, not after all the reading, that the report can't be written. */
function writable(out: string): string {
  const path = resolve(out)
  const isFolder = (place: string): boolean =>
    statSync(place, { throwIfNoEntry: false })?.isDirectory() ?? false
  if (out === '' || isFolder(path)) throw new UsageError(`--out must name a file, not '${out}'`)
  if (!isFolder(dirname(path))) throw new UsageError(`--out: there is no folder '${dirname(path)}'`)
  return path
}
