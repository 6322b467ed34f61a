import type { BodyFunction } from './functions.ts'
import { UsageError } from '../base/errors.ts'
import { inWords } from '../base/words.ts'
import { canonicalHash } from '../values/canonical.ts'

/** What a call is, as far as a cache policy may look at it. */
export interface CachedCall {
  readonly name: string
  readonly fn: BodyFunction
  /** What the body would get. */
  readonly parameters: readonly unknown[]
  /** Hash of the parameters of the flow run that the task run belongs to; undefined outside any. */
  readonly flowParameters: () => string | undefined
  readonly flowRunId: string
}

const part = Symbol.for('@troupe/core/cache-policy')

/**
 * A part of what makes two calls of a task the same for the cache. Several in a list make a key of all of them.
 *
 * @public
 */
export interface CachePolicy {
  readonly name: string
  /** @internal The part's share in the key; undefined where it has none. */
  readonly [part]: (call: CachedCall) => unknown
}

/** The shares in a cache key. */
export function shareOf(policy: CachePolicy, call: CachedCall): unknown {
  return policy[part](call)
}

export function isCachePolicy(value: unknown): value is CachePolicy {
  return typeof value === 'object' && value !== null && part in value
}

/** @public */
export interface InputsOptions {
  /** What does not count: an argument by its place (`1`), or a property by its path (`'0.requestId'`). */
  readonly omit?: readonly (number | string)[]
}

/**
 * Calls with equal arguments are the same. Futures count by their values.
 *
 * @throws {@link UsageError} `INVALID_OPTION`
 * @public
 */
export function inputs({ omit = [] }: InputsOptions = {}): CachePolicy {
  if (!Array.isArray(omit)) invalidOmit(omit)
  const paths = (omit as readonly (number | string)[]).map((path) => {
    const keys = String(path).split('.')
    const isPlace = typeof path !== 'number' || Number.isInteger(path)
    if (isPlace && /^\d+$/.test(keys[0] ?? '') && keys.every((key) => key !== '')) return keys
    return invalidOmit(path)
  })
  return {
    name: 'inputs',
    [part]: ({ parameters }) =>
      hashParameters(paths.reduce<readonly unknown[]>(withoutArgument, parameters), 'args'),
  }
}

function invalidOmit(got: unknown): never {
  throw new UsageError(
    'INVALID_OPTION',
    `expected \`omit\` to be a list of places of arguments, such as 1 or '0.requestId', got ${inWords(got)}`,
    { details: { option: 'omit' } },
  )
}

function withoutArgument(parameters: readonly unknown[], path: readonly string[]): readonly unknown[] {
  return without(parameters, path) as readonly unknown[]
}

/** `f(1)` and `f(1, undefined)` are the same call. @throws CodecError `NOT_ENCODABLE` */
export function hashParameters(parameters: readonly unknown[], at: string): string {
  return canonicalHash(parameters.slice(0, parameters.findLastIndex((value) => value !== undefined) + 1), {
    at,
  })
}

/** A copy without what lies at the path; the value itself where nothing does. */
function without(value: unknown, [key = '', ...rest]: readonly string[]): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return value
  if (Array.isArray(value)) {
    if (!/^\d+$/.test(key)) return value
    const index = Number(key)
    // An argument that is left out keeps its place, so that the others keep theirs.
    return value.with(index, rest.length === 0 ? undefined : without(value[index], rest))
  }
  const { [key]: inner, ...others } = value as Record<string, unknown>
  return rest.length === 0 ? others : { ...others, [key]: without(inner, rest) }
}

/**
 * A change of the body's own source text makes another key; what the body calls does not count.
 *
 * @public
 */
export function taskSource(): CachePolicy {
  return {
    name: 'taskSource',
    [part]: ({ fn, name }) => {
      const source = Function.prototype.toString.call(fn)
      if (!/\{\s*\[native code\]\s*\}\s*$/.test(source)) return source
      throw new UsageError(
        'INVALID_OPTION',
        `the body of ${name} is bound or built in, and has no source text; use \`version('…')\` in place of \`taskSource()\``,
      )
    },
  }
}

/** Calls from flow runs with equal parameters are the same; outside any flow it does not count. @public */
export function flowParameters(): CachePolicy {
  return {
    name: 'flowParameters',
    [part]: ({ flowParameters: hash }) => hash(),
  }
}

/** Only calls of the same flow run are the same. @public */
export function runId(): CachePolicy {
  return { name: 'runId', [part]: ({ flowRunId }) => flowRunId }
}

/** Another text makes another key: for what no other policy sees. @throws {@link UsageError} `INVALID_OPTION` @public */
export function version(text: string): CachePolicy {
  if (typeof text === 'string' && text !== '') return { name: 'version', [part]: () => text }
  throw new UsageError('INVALID_OPTION', `expected \`version\` to be given a text, got ${String(text)}`)
}
