import { UsageError } from '../base/errors.ts'
import type { Definition } from './definition.ts'
import type { BodyFunction } from './functions.ts'
import { compile } from './compile.ts'
import { currentBody } from '../runs/run-context.ts'
import type { AllOptions } from './options.ts'
import { callerPlace, originsOf, urlOf } from './place.ts'
import { register } from './registry.ts'

/** What `task` and `flow` take: options or a name and a function, or a function with a name. */
export type DefineArguments = readonly [AllOptions | string | BodyFunction, BodyFunction?]

/**
 * Makes a definition, and remembers it.
 *
 * @param below - The public function that was called, for the place in messages.
 * @throws {@link UsageError} `MISSING_NAME`, `INVALID_OPTION`, `INVALID_DURATION`
 */
export function define(
  kind: 'flow' | 'task',
  [first, second]: DefineArguments,
  below: (...args: never[]) => unknown,
): Definition {
  const fn = typeof first === 'function' ? first : second
  const options: AllOptions =
    typeof first === 'string' ? { name: first } : typeof first === 'function' ? {} : first
  if (typeof fn !== 'function') {
    throw new UsageError(
      'INVALID_OPTION',
      `expected the body of the ${kind} to be a function: ${kind}('name', fn)`,
    )
  }
  if (typeof options !== 'object' || options === null) {
    throw new UsageError(
      'INVALID_OPTION',
      `expected options or a name first: ${kind}('name', fn) or ${kind}({ name: 'name' }, fn)`,
    )
  }
  const name = nameOf(kind, options.name ?? fn.name, fn)
  const version = versionOf(options.version ?? '1')
  const settings = compile(kind, options)
  const place = callerPlace(below)
  const { module } = options
  const found = originsOf(below)
  const modules = module === undefined ? found.modules : [urlOf(module) ?? module]
  // A module may be loaded in a run: what it defines is there whenever it is loaded.
  const insideRun = currentBody() !== undefined && !found.whileLoading && module === undefined
  const origin = { name, version, place, modules, insideRun }
  const definition: Definition = { kind, name, version, fn, settings, origin, given: undefined }
  register(definition, place)
  return definition
}

/**
 * The definition with other options; one with another name or version is remembered, too.
 *
 * @param below - The public function that was called.
 * @throws {@link UsageError} as `define`
 */
export function redefine(
  definition: Definition,
  options: AllOptions,
  below: (...args: never[]) => unknown,
): Definition {
  if (typeof options !== 'object' || options === null) {
    throw new UsageError('INVALID_OPTION', `expected options: ${definition.name}.with({ … })`)
  }
  const changed = withOptions(definition, options)
  const { name, version } = changed
  if (name !== definition.name || version !== definition.version) register(changed, callerPlace(below))
  return changed
}

/** The definition with other options, not remembered. @throws UsageError as `define` */
export function withOptions(definition: Definition, options: AllOptions): Definition {
  const { kind, fn } = definition
  const name = nameOf(kind, options.name ?? definition.name, fn)
  const version = versionOf(options.version ?? definition.version)
  const settings = compile(kind, options, definition.settings)
  const given = { ...definition.given, ...options }
  return { kind, name, version, fn, settings, origin: definition.origin, given }
}

function nameOf(kind: 'flow' | 'task', name: unknown, fn: BodyFunction): string {
  if (typeof name === 'string' && name !== '') return name
  throw new UsageError(
    'MISSING_NAME',
    `the ${kind} has no name; write ${kind}('its-name', ${fn.length > 0 ? '(…)' : '()'} => …)`,
  )
}

function versionOf(version: unknown): string {
  if (typeof version === 'string' && version !== '') return version
  throw new UsageError(
    'INVALID_OPTION',
    `expected \`version\` to be a string that is not empty, got ${String(version)}`,
  )
}

/** The function that people hold, with a definition's name and whatever else it carries. */
export function callable<F extends object, Extra extends object>(
  name: string,
  call: F,
  extra: Extra,
): F & Extra {
  Object.defineProperty(call, 'name', { value: name, configurable: true })
  return Object.assign(call, extra)
}
