import { UsageError } from '../base/errors.ts'
import { inWords } from '../base/words.ts'
import { compile } from '../definitions/compile.ts'
import type { SendOrder } from './send-order.ts'

/** A flow that is known by its name alone, and how its run is started. @public */
export interface NamedFlow {
  /** Name of the flow. */
  readonly flow: string
  /** Its version; default the greatest that a node serves. */
  readonly version?: string
  /** Id of the flow run; a second start with it gives the same run. Letters, digits, `-` and `_`, up to 64. */
  readonly id?: string
  /** Makes the id, together with the flow's name: starters with the same key get the same run. */
  readonly idempotencyKey?: string
  /** Name of the run for people. */
  readonly runName?: string
  readonly tags?: readonly string[]
}

const names = ['flow', 'version', 'id', 'idempotencyKey', 'runName', 'tags']

/** @throws UsageError `INVALID_OPTION` */
export function namedOrder(given: string | NamedFlow, args: readonly unknown[]): SendOrder {
  const { flow, version, ...options } = typeof given === 'string' ? { flow: given } : { ...given }
  if (typeof flow !== 'string' || flow === '') refuse('flow', 'the name of a flow, or a flow', flow)
  for (const name of Object.keys(options))
    if (!names.includes(name)) refuse(name, `one of ${names.join(', ')}`, name)
  if (version !== undefined && (typeof version !== 'string' || version === ''))
    refuse('version', 'a string that is not empty', version)
  const { id, idempotencyKey, runName, tags } = compile('flow', options)
  return {
    name: flow,
    version,
    args,
    id,
    idempotencyKey,
    runName: runName as string | undefined,
    tags,
    options: undefined,
  }
}

function refuse(option: string, expected: string, got: unknown): never {
  const message = `expected \`${option}\` to be ${expected}, got ${inWords(got)}`
  throw new UsageError('INVALID_OPTION', message, { details: { option } })
}
