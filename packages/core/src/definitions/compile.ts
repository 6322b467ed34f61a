import { isAbsolute } from 'node:path'
import { toMilliseconds, type Duration } from '../base/duration.ts'
import { UsageError } from '../base/errors.ts'
import { inWords } from '../base/words.ts'
import { isCachePolicy } from './cache-policies.ts'
import type { CacheKey, Caching, Settings } from './definition.ts'
import { hookTypes, type Hook, type HookOptions, type Hooks } from './hooks.ts'
import type { AllOptions } from './options.ts'
import { compileDelay } from './retrying.ts'

const defaults: Settings = {
  retries: 0,
  retryDelay: undefined,
  retryJitter: 0,
  retryOn: undefined,
  retryOnCrash: false,
  timeoutMs: undefined,
  waitTimeoutMs: undefined,
  priority: 0,
  caching: undefined,
  hooks: undefined,
  graceMs: 10_000,
  onBodyError: 'wait',
  onHostLost: 'recover',
  maxRecoveries: 3,
  onDivergence: 'park',
  onVersionChange: 'run',
  parameters: undefined,
  taskRunner: undefined,
  tags: undefined,
  runName: undefined,
  waitFor: undefined,
  key: undefined,
  cleanup: false,
  id: undefined,
  idempotencyKey: undefined,
  on: 'here',
  engine: undefined,
}

/** Checks the value of one option. */
type Check = (value: unknown) => boolean

const anything: Check = () => true
const isCount: Check = (value) => Number.isInteger(value) && (value as number) >= 0
const isText: Check = (value) => typeof value === 'string' && value !== ''
const isFlag: Check = (value) => typeof value === 'boolean'
const isFunction: Check = (value) => typeof value === 'function'
const isOneOf =
  (...words: readonly string[]): Check =>
  (value) =>
    words.includes(value as string)
const isHook: Check = (value) => isFunction(value) || (Array.isArray(value) && value.every(isFunction))

/** An option: what it may be, in words and as a check. Durations are checked when they are parsed. */
interface Option {
  readonly expected: string
  readonly check: Check
  /** Only for definitions and calls of this kind. */
  readonly only?: 'flow' | 'task'
}

const text: Option = { expected: 'a string that is not empty', check: isText }
const flag: Option = { expected: 'true or false', check: isFlag }
const countOption: Option = { expected: 'an integer of at least 0', check: isCount }
const parsed: Option = { expected: '', check: anything }
const hookOption: Option = { expected: 'a function, or a list of functions', check: isHook }

const options: Readonly<Record<string, Option>> = {
  name: parsed,
  version: parsed,
  module: {
    expected: 'the URL or the path of a module: `import.meta.url`, or `__filename` in CommonJS',
    check: (value) => typeof value === 'string' && (URL.canParse(value) || isAbsolute(value)),
  },
  runName: {
    expected: 'a string that is not empty, or a function of the arguments',
    check: (value) => isText(value) || isFunction(value),
  },
  retries: countOption,
  retryDelay: parsed,
  retryJitter: {
    expected: 'a number from 0 to 1',
    check: (value) => typeof value === 'number' && value >= 0 && value <= 1,
  },
  retryOn: { expected: 'a function of the error and the attempt', check: isFunction },
  retryOnCrash: flag,
  timeout: parsed,
  waitTimeout: parsed,
  priority: { expected: 'a finite number', check: Number.isFinite },
  cache: { ...parsed, only: 'task' },
  cacheKey: { expected: 'a function of the arguments', check: isFunction, only: 'task' },
  cacheExpiry: { ...parsed, only: 'task' },
  refreshCache: { ...flag, only: 'task' },
  ...Object.fromEntries(Object.keys(hookTypes).map((name) => [name, hookOption])),
  grace: parsed,
  onBodyError: { expected: "'wait' or 'cancel'", check: isOneOf('wait', 'cancel') },
  onHostLost: { expected: "'recover' or 'crash'", check: isOneOf('recover', 'crash') },
  maxRecoveries: countOption,
  parameters: {
    expected: 'a schema of a Standard Schema library',
    check: (value) => typeof (value as AllOptions['parameters'])?.['~standard']?.validate === 'function',
  },
  tags: {
    expected: 'a list of strings that are not empty',
    check: (value) => Array.isArray(value) && value.every(isText),
  },
  waitFor: parsed,
  key: text,
  cleanup: flag,
  taskRunner: {
    expected: 'a task runner, such as `new ConcurrentTaskRunner()`',
    check: (value) => typeof (value as AllOptions['taskRunner'])?.createPool === 'function',
    only: 'flow',
  },
  onDivergence: { expected: "'park' or 'run'", check: isOneOf('park', 'run'), only: 'flow' },
  onVersionChange: {
    expected: "'run', 'park' or 'pin'",
    check: isOneOf('run', 'park', 'pin'),
    only: 'flow',
  },
  id: {
    expected: 'up to 64 letters, digits, - and _',
    check: (value) => typeof value === 'string' && /^[A-Za-z0-9_-]{1,64}$/.test(value),
    only: 'flow',
  },
  idempotencyKey: { ...text, only: 'flow' },
  on: { expected: "'here' or 'any'", check: isOneOf('here', 'any'), only: 'flow' },
  engine: { ...parsed, only: 'flow' },
}

/** The names of the options of one kind. */
export function optionNames(kind: 'flow' | 'task'): string[] {
  return Object.keys(options).filter((name) => (options[name]?.only ?? kind) === kind)
}

/**
 * Checks options, fills in defaults and parses units.
 *
 * @param base - Settings that options not given are taken from.
 * @throws {@link UsageError} `INVALID_OPTION`, `INVALID_DURATION`
 */
export function compile(kind: 'flow' | 'task', given: AllOptions, base: Settings = defaults): Settings {
  const settings: Record<string, unknown> = { ...base }
  for (const [name, value] of Object.entries(given)) {
    const option = options[name]
    if (option === undefined || (option.only ?? kind) !== kind)
      invalid(name, `one of the options of a ${kind} (${optionNames(kind).join(', ')})`, name)
    if (value === undefined) continue
    if (!option.check(value)) invalid(name, option.expected, value)
    if (name in defaults) settings[name] = value
  }
  const { grace, retryDelay, timeout, waitTimeout, tags } = given
  // A copy: the list is the caller's, and all runs share this one.
  if (tags !== undefined) settings['tags'] = Object.freeze([...tags])
  if (grace !== undefined) settings['graceMs'] = toMilliseconds(grace, 'grace')
  if (retryDelay !== undefined) settings['retryDelay'] = compileDelay(retryDelay)
  if (timeout !== undefined) settings['timeoutMs'] = limitOf(timeout, 'timeout')
  if (waitTimeout !== undefined) settings['waitTimeoutMs'] = limitOf(waitTimeout, 'waitTimeout')
  settings['caching'] = compileCaching(given, base.caching)
  settings['hooks'] = compileHooks(given, base.hooks)
  return settings as unknown as Settings
}

function limitOf(limit: Duration | false, option: string): number | undefined {
  if (limit === false) return undefined
  const ms = toMilliseconds(limit, option)
  if (ms === 0) invalid(option, 'a duration above 0, or false for no limit', limit)
  return ms
}

function compileCaching(given: AllOptions, base: Caching | undefined): Caching | undefined {
  const { cacheExpiry, refreshCache } = given
  const key = keyOf(given) ?? base?.key
  if (given.cache === false || key === undefined) {
    if (given.cache !== false && (cacheExpiry !== undefined || refreshCache === true))
      invalid(
        cacheExpiry === undefined ? 'refreshCache' : 'cacheExpiry',
        'given with `cache` or `cacheKey`',
        'neither',
      )
    return undefined
  }
  return {
    key,
    expiryMs: cacheExpiry === undefined ? base?.expiryMs : toMilliseconds(cacheExpiry, 'cacheExpiry'),
    refresh: refreshCache ?? base?.refresh ?? false,
  }
}

function keyOf({ cache, cacheKey }: AllOptions): CacheKey | undefined {
  if (cacheKey !== undefined) {
    if (cache !== undefined) invalid('cacheKey', 'given without `cache`: one of them makes the key', 'both')
    return { make: cacheKey as (...parameters: readonly unknown[]) => unknown }
  }
  if (cache === undefined || cache === false) return undefined
  const policies: readonly unknown[] = Array.isArray(cache) ? [...(cache as readonly unknown[])] : [cache]
  if (policies.length === 0 || !policies.every(isCachePolicy))
    invalid('cache', 'a cache policy such as `inputs()`, or a list of them', cache)
  return { policies }
}

function compileHooks(given: AllOptions, base: Hooks | undefined): Hooks | undefined {
  let hooks = base
  for (const name of Object.keys(hookTypes) as (keyof HookOptions)[]) {
    const hook = given[name]
    if (hook !== undefined)
      hooks = { ...hooks, [hookTypes[name]]: typeof hook === 'function' ? [hook] : ([...hook] as Hook[]) }
  }
  return hooks
}

function invalid(option: string, expected: string, got: unknown): never {
  const shown = typeof got === 'string' ? `'${got}'` : inWords(got)
  throw new UsageError('INVALID_OPTION', `expected \`${option}\` to be ${expected}, got ${shown}`, {
    details: { option },
  })
}
