import { NatsServerError } from './errors.ts'
import { findServer } from './find.ts'
import type { ServerVersion } from './find.ts'

const versions: readonly string[] = ['oldest', 'newest', 'any'] satisfies ServerVersion[]

const usage = `Prints the path of a nats-server, and gets one first where there is none.

  troupe-nats-server [oldest | newest | any]
`

/**
 * The command `troupe-nats-server`.
 *
 * @returns Its exit code.
 */
export async function main(args: readonly string[]): Promise<number> {
  const version = args[0] ?? 'any'
  if (args.length > 1 || !isVersion(version)) {
    const helps = version === '--help' || version === '-h'
    process[helps ? 'stdout' : 'stderr'].write(usage)
    return helps ? 0 : 2
  }
  try {
    process.stdout.write(`${await findServer(version)}\n`)
    return 0
  } catch (error) {
    if (!(error instanceof NatsServerError)) throw error
    process.stderr.write(`${error.message}\n`)
    return 1
  }
}

function isVersion(text: string): text is ServerVersion {
  return versions.includes(text)
}
