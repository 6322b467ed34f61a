import { UsageError } from '../base/errors.ts'

/** Refuses an option. What was given is left to the caller to say: it may be a key. */
export function refuse(option: string, why: string): never {
  throw new UsageError('INVALID_OPTION', why, { details: { option } })
}

/** Refuses options that do not exist. */
export function refuseUnknown(options: object, known: readonly string[], of: string): void {
  const unknown = Object.keys(options).find((option) => !known.includes(option))
  if (unknown === undefined) return
  refuse(unknown, `${of} has no option \`${unknown}\`; its options are ${known.join(', ')}`)
}
