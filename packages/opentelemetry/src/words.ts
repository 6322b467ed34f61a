import type { Attributes } from '@opentelemetry/api'
import type { InstrumentedRun } from '@troupe/core'

/** What a metric is told by: few values, whatever runs there are. */
export function kindOf({ kind, name }: InstrumentedRun): Attributes {
  return { 'troupe.run.kind': kind, 'troupe.name': name }
}

/** For `error.type`: a code or the name of a class. */
export function typeOfError(error: unknown): string {
  if (typeof error !== 'object' || error === null) return typeof error
  const { code, name } = error as { readonly code?: unknown; readonly name?: unknown }
  if (typeof code === 'string' && code !== '') return code
  return typeof name === 'string' && name !== '' ? name : 'Error'
}
