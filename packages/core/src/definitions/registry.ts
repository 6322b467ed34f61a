import { UsageError } from '../base/errors.ts'
import type { Definition } from './definition.ts'

interface Named {
  readonly definition: Definition
  /** Where it was defined, for messages. */
  readonly place: string
}

/** One of the two places with module-level state: the definitions of this process, by kind and name. */
const key = Symbol.for('@troupe/core/definitions')
const shared = globalThis as { [key]?: Map<string, Named[]> }
const definitions: Map<string, Named[]> = (shared[key] ??= new Map())

/** The newest of a name are kept: enough to tell one from several. */
const kept = 4

/** Remembers a definition, for runs that must be found by name. */
export function register(definition: Definition, place: string): void {
  const name = `${definition.kind}:${definition.name}`
  const named = definitions.get(name) ?? []
  definitions.set(name, [{ definition, place }, ...named].slice(0, kept))
}

/**
 * The definition of a name: that of the version asked for, else the only one.
 *
 * @throws {@link UsageError} `UNKNOWN_DEFINITION`, `AMBIGUOUS_NAME`
 */
export function findDefinition(kind: 'flow' | 'task', name: string, version: string): Definition {
  const named = definitions.get(`${kind}:${name}`) ?? []
  const exact = named.filter(({ definition }) => definition.version === version)
  const found = exact.length > 0 ? exact : named
  const [first, second] = found
  if (first === undefined) {
    throw new UsageError(
      'UNKNOWN_DEFINITION',
      `no ${kind} ${name} is defined in this process; import its module first`,
      {
        details: { kind, name, version },
      },
    )
  }
  if (second === undefined || sameCode(first, second)) return first.definition
  throw new UsageError(
    'AMBIGUOUS_NAME',
    `${kind} ${name} is defined more than once: at ${first.place} and at ${second.place}; give one another name`,
    { details: { kind, name, places: found.map(({ place }) => place) } },
  )
}

/** The same line defined again, as by a function that is called twice. */
function sameCode(a: Named, b: Named): boolean {
  return a.place === b.place && a.definition.fn.toString() === b.definition.fn.toString()
}

/** The line that calls `below`, for messages. */
export function callerPlace(below: (...args: never[]) => unknown): string {
  const holder: { stack?: string } = {}
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 1
  Error.captureStackTrace(holder, below)
  Error.stackTraceLimit = limit
  return holder.stack?.split('\n')[1]?.trim().replace(/^at /, '') ?? 'an unknown place'
}
