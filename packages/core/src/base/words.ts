import { inspect } from 'node:util'

/** Any value in a message: texts as they are, errors by their message, the rest as Node shows it. */
export function inWords(value: unknown): string {
  if (typeof value === 'string') return value
  if (value instanceof Error) return value.message
  return inspect(value, { depth: 2, breakLength: Number.POSITIVE_INFINITY })
}
