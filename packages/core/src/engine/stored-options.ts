import { withOptions } from '../definitions/define.ts'
import type { Definition } from '../definitions/definition.ts'
import type { AllOptions } from '../definitions/options.ts'
import { decodeValue, encodeValue } from '../values/codec.ts'

/**
 * Options of one call that its journal keeps: numbers, texts and the like. Functions and objects with methods (hooks, schemas,
 * task runners), and what concerns the call alone, are not: a run that is recovered has those of its definition.
 */
const kept = [
  'retries',
  'retryDelay',
  'retryJitter',
  'retryOnCrash',
  'timeout',
  'waitTimeout',
  'priority',
  'grace',
  'onBodyError',
  'onHostLost',
  'maxRecoveries',
  'onDivergence',
  'onVersionChange',
] as const satisfies readonly (keyof AllOptions)[]

/** The options of a root's call, as its journal keeps them; undefined where there are none to keep. */
export function storedOptions(given: AllOptions | undefined): Uint8Array | undefined {
  if (given === undefined) return undefined
  const options = kept
    .map((name) => [name, given[name]] as const)
    .filter(([, value]) => value !== undefined && typeof value !== 'function')
  return options.length === 0 ? undefined : encodeValue(Object.fromEntries(options))
}

/** The definition with the options of the call that its journal keeps. */
export function withStored(definition: Definition, options: Uint8Array | undefined): Definition {
  if (options === undefined) return definition
  return withOptions(definition, decodeValue(options) as AllOptions)
}
