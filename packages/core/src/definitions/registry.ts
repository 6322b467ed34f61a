import { UsageError } from '../base/errors.ts'
import type { BodyFunction } from './functions.ts'
import type { Runtime } from '../remote/link.ts'
import { runtime } from '../remote/remote-body.ts'
import { checkLoadable } from './loadable.ts'
import type { Definition, Origin } from './definition.ts'

interface Named {
  readonly definition: Definition
  /** Where it was defined, for messages. */
  readonly place: string
  /** How a thread executes it: by the copy of the package that defined it. */
  readonly runtime: Runtime
}

/** One of the two places with module-level state: the definitions of this process, by kind and name. */
const key = Symbol.for('@troupe/core/definitions')
const shared = globalThis as { [key]?: Map<string, Named[]> }
const definitions: Map<string, Named[]> = (shared[key] ??= new Map())

/** The newest of a name are kept, of those that `with` made and of the others: enough to tell one from several. */
const kept = 4

/** Remembers a definition, for runs that must be found by name. */
export function register(definition: Definition, place: string): void {
  const name = `${definition.kind}:${definition.name}`
  const named = definitions.get(name) ?? []
  const isMade = ({ given }: Definition): boolean => given !== undefined
  const alike = named.filter((each) => isMade(each.definition) === isMade(definition))
  const dropped = alike.slice(kept - 1)
  definitions.set(name, [{ definition, place, runtime }, ...named.filter((each) => !dropped.includes(each))])
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

/** The definition that a body in another thread calls: that of the same line, else the only one of the name. */
export function findCalled(
  kind: 'flow' | 'task',
  { name, version, place }: Omit<Origin, 'modules' | 'insideRun'>,
): Definition {
  const named = definitions.get(`${kind}:${name}`) ?? []
  const same = named.find(
    ({ definition }) => definition.origin.place === place && definition.version === version,
  )
  if (same !== undefined) return same.definition
  if (named.length > 0) return findDefinition(kind, name, version)
  const message = `no ${kind} ${name} is defined where the engine runs; import its module there, too`
  throw new UsageError('UNKNOWN_DEFINITION', message, { details: { kind, name, version } })
}

/** A task as a worker executes it. */
export interface FoundTask {
  readonly fn: BodyFunction
  readonly runtime: Runtime
}

/**
 * The task of a name and a version, as it was defined before any `with`; undefined where this process has none.
 *
 * @throws {@link UsageError} `AMBIGUOUS_NAME`
 */
export function findTask(name: string, version: string): FoundTask | undefined {
  const named = (definitions.get(`task:${name}`) ?? []).filter(
    ({ definition: { origin } }) => origin.name === name && origin.version === version,
  )
  const [first] = named
  const other = named.find((each) => first !== undefined && !sameCode(first, each))
  if (first === undefined) return undefined
  if (other === undefined) return { fn: first.definition.fn, runtime: first.runtime }
  throw new UsageError(
    'AMBIGUOUS_NAME',
    `task ${name} is defined more than once: at ${first.place} and at ${other.place}; give one another name, or another version`,
    { details: { kind: 'task', name, places: [first.place, other.place] } },
  )
}

/**
 * Whether a thread can find the task.
 *
 * @throws {@link UsageError} `TASK_NOT_FOUND`, `AMBIGUOUS_NAME`
 */
export function checkFindable({ name: shown, origin }: Definition): void {
  checkLoadable(shown, origin)
  const { name, version } = origin
  const named = definitions.get(`task:${name}`)
  if (named === undefined || named.length < 2) return
  const other = named.find(
    ({ definition }) =>
      definition.origin.version === version &&
      definition.origin.name === name &&
      !isSamePlace(definition.origin, origin),
  )
  if (other === undefined) return
  throw new UsageError(
    'AMBIGUOUS_NAME',
    `task ${name} is defined more than once: at ${placeOf(origin)} and at ${placeOf(other.definition.origin)}; give one another name, or another version`,
    { details: { kind: 'task', name, places: [placeOf(origin), placeOf(other.definition.origin)] } },
  )
}

function isSamePlace(a: Origin, b: Origin): boolean {
  return a === b || (a.place === b.place && a.modules.join() === b.modules.join())
}

/** Where it is defined, also where a helper does it for several modules. */
function placeOf({ place, modules }: Origin): string {
  const [nearest, next] = modules
  const isHelper =
    nearest !== undefined && next !== undefined && place.includes(nearest.replace('file://', ''))
  return isHelper ? `${place}, called by ${next}` : place
}
