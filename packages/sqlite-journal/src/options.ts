import { resolve } from 'node:path'
import { UsageError, type Clock, type Duration, type PayloadCodec } from '@troupe/core'
import { checkCodecs, isTerminal, stateTypes, toMilliseconds } from '@troupe/core/internal'
import type { DriverName, KeepOnWire, KeepRule } from './wires.ts'

/** How much of ended runs is kept; what is beyond either limit goes. @public */
export interface KeepLimits {
  /** For how long after their end; default for ever. */
  readonly age?: Duration
  /** How many, the newest by their end; default any number. */
  readonly count?: number
}

/**
 * What is kept of ended runs. A run that is below another goes with it, and no run goes before all that are below it have
 * ended; an unfinished run never goes.
 *
 * @public
 */
export interface Keep extends KeepLimits {
  /** Limits of their own for runs that ended in some way; those above are for the others together. */
  readonly states?: Readonly<Partial<Record<'COMPLETED' | 'FAILED' | 'CRASHED' | 'CANCELLED', KeepLimits>>>
}

/** @public */
export interface SqliteJournalOptions {
  /**
   * What an append that was answered survives: `'power'`, that the machine loses power (each commit waits for the disk);
   * `'process'`, that the process is killed; a power cut may then cost the newest commits, and never more. Default
   * `'power'`.
   */
  readonly durability?: 'process' | 'power'
  /** Change what is stored: compression, encryption. Applied in this order. Default none. */
  readonly codecs?: readonly PayloadCodec[]
  /** Values of more bytes than this are stored once, by their content. Default 65,536. */
  readonly largeValue?: number
  /** What is kept of ended runs; default everything. */
  readonly keep?: Keep
  /** Whether the folder is only read: to watch runs where it can't or shall not be written. Default false. */
  readonly readOnly?: boolean
  /**
   * How often to look for commits of other processes where no event of the file system tells of them; only while
   * somebody subscribes. Default `'250ms'`.
   */
  readonly poll?: Duration
  /**
   * Whether commits are made on a thread of their own. With `false` they are made on the engine's: everything else in this
   * process waits while the disk writes, and for writers of other processes, up to 10 s. A sequence of task runs
   * is then about twice as fast, and the package may be part of a bundle. Default true.
   */
  readonly thread?: boolean
  /** Which implementation of SQLite; default `node:sqlite` where Node has it, else the package `libsql`. */
  readonly driver?: DriverName
  /** Time, for tests; default this machine's. */
  readonly clock?: Pick<Clock, 'now' | 'monotonic'>
}

/** Options, checked and with their defaults. */
export interface Settings {
  readonly folder: string
  readonly durability: 'process' | 'power'
  readonly codecs: readonly PayloadCodec[]
  readonly largeValue: number
  readonly keep: KeepOnWire | undefined
  readonly readOnly: boolean
  readonly pollMs: number
  readonly thread: boolean
  readonly driver: DriverName | undefined
  readonly clock: Pick<Clock, 'now' | 'monotonic'>
}

const optionNames = [
  'durability',
  'codecs',
  'largeValue',
  'keep',
  'readOnly',
  'poll',
  'thread',
  'driver',
  'clock',
] as const satisfies readonly (keyof SqliteJournalOptions)[]

const machineClock = { now: () => Date.now(), monotonic: () => performance.now() }

/** @throws UsageError `INVALID_OPTION`, `INVALID_DURATION` */
export function settingsOf(folder: unknown, options: SqliteJournalOptions): Settings {
  if (typeof folder !== 'string' || folder === '') refuse('folder', 'a path of a folder', folder)
  if (typeof options !== 'object' || options === null) refuse('options', 'an object', options)
  for (const name of Object.keys(options)) {
    if (!(optionNames as readonly string[]).includes(name))
      refuse(name, `one of ${optionNames.join(', ')}`, name, 'no option of sqliteJournal')
  }
  const { durability = 'power', codecs = [], largeValue = 65_536, readOnly = false, poll = 250 } = options
  const { thread = true, driver, clock = machineClock } = options
  if (durability !== 'power' && durability !== 'process')
    refuse('durability', "'power' or 'process'", durability)
  if (!Array.isArray(codecs)) refuse('codecs', 'a list of payload codecs', codecs)
  checkCodecs(codecs, 'codecs')
  if (!Number.isSafeInteger(largeValue) || largeValue < 0)
    refuse('largeValue', 'a number of bytes', largeValue)
  if (typeof readOnly !== 'boolean') refuse('readOnly', 'true or false', readOnly)
  if (typeof thread !== 'boolean') refuse('thread', 'true or false', thread)
  if (driver !== undefined && driver !== 'node:sqlite' && driver !== 'libsql')
    refuse('driver', "'node:sqlite' or 'libsql'", driver)
  const pollMs = toMilliseconds(poll, 'poll')
  if (pollMs < 1 || pollMs > 2 ** 31 - 1) refuse('poll', 'a duration from 1 ms to 24 days', poll)
  return {
    folder: resolve(folder),
    durability,
    codecs: Object.freeze([...codecs]),
    largeValue,
    keep: keepOf(options.keep),
    readOnly,
    pollMs,
    thread,
    driver,
    clock,
  }
}

const endTypes = ['COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED'] as const

/** Names of the states of some types. */
function namesOf(types: readonly string[]): string[] {
  return Object.entries(stateTypes).flatMap(([name, type]) => (types.includes(type) ? [name] : []))
}

function keepOf(keep: Keep | undefined): KeepOnWire | undefined {
  if (keep === undefined) return undefined
  if (typeof keep !== 'object' || keep === null) refuse('keep', 'an object', keep)
  const { states = {}, ...general } = keep
  const rules: { states: string[]; rule: KeepRule }[] = []
  const others = endTypes.filter((type) => states[type] === undefined)
  rules.push({ states: namesOf(others), rule: ruleOf(general, 'keep') })
  for (const [type, limits] of Object.entries(states)) {
    if (!(endTypes as readonly string[]).includes(type)) refuse('keep.states', endTypes.join(', '), type)
    if (limits !== undefined)
      rules.push({ states: namesOf([type]), rule: ruleOf(limits, `keep.states.${type}`) })
  }
  return {
    rules: rules.filter(
      ({ states: names }) => names.every((name) => isTerminal(name as never)) && names.length > 0,
    ),
  }
}

function ruleOf(limits: KeepLimits, option: string): KeepRule {
  const { age, count, ...rest } = limits
  for (const name of Object.keys(rest)) refuse(`${option}.${name}`, 'age or count', name, 'no limit')
  if (count !== undefined && (!Number.isSafeInteger(count) || count < 0))
    refuse(`${option}.count`, 'an integer of at least 0', count)
  return { ageMs: age === undefined ? undefined : toMilliseconds(age, `${option}.age`), count }
}

function refuse(option: string, expected: string, got: unknown, why = 'not what it takes'): never {
  const shown = typeof got === 'string' ? JSON.stringify(got) : String(got)
  throw new UsageError('INVALID_OPTION', `\`${option}\` is ${why}: expected ${expected}, got ${shown}`, {
    details: { option },
  })
}
