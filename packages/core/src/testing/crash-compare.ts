import { inspect, isDeepStrictEqual } from 'node:util'
import type { Ran } from './crash-run.ts'
import type { RecordedEffect } from './effects-log.ts'

/** What of a run must be the same, however often its process died. */
export interface Comparable {
  readonly state: string | undefined
  readonly value?: unknown
  readonly error?: unknown
  readonly effects?: unknown
}

/** Effects of an `effectsLog()`. */
export class LoggedEffects {
  readonly byKey: ReadonlyMap<string, RecordedEffect>

  constructor(byKey: ReadonlyMap<string, RecordedEffect>) {
    this.byKey = byKey
  }
}

/** What a run came to, as it is shown. */
export function comparable({ stuck, state, value, error, effects }: Ran): Comparable {
  const shown =
    effects instanceof LoggedEffects
      ? new Map([...effects.byKey].map(([key, { values }]) => [key, values]))
      : effects
  return {
    state: stuck ?? state,
    ...(error === undefined ? { value } : { error }),
    ...(shown === undefined ? undefined : { effects: shown }),
  }
}

/** In what a run differs from one that did not die: a sentence each. */
export function differences(whole: Ran, ran: Ran): string[] {
  if (ran.stuck !== undefined) return [ran.stuck]
  const translate = translation(whole.chances, ran.chances)
  const found: string[] = []
  const error = translate(ran.error) as Ran['error']
  const value = translate(ran.value)
  if (ran.state !== whole.state) found.push(`it ended ${ran.state}${because(error)}, and not ${whole.state}`)
  else if (!isDeepStrictEqual(error, whole.error)) {
    found.push(`it failed${because(error)}, and not${because(whole.error)}`)
  } else if (!isDeepStrictEqual(value, whole.value)) {
    found.push(`its result ${differs(value, whole.value)}`)
  }
  if (whole.effects instanceof LoggedEffects && ran.effects instanceof LoggedEffects) {
    return [...found, ...differentEffects(whole.effects.byKey, translatedLog(ran.effects.byKey, translate))]
  }
  const effects = translate(ran.effects)
  if (!isDeepStrictEqual(effects, whole.effects)) {
    found.push(`what \`effects\` gives ${differs(effects, whole.effects)}`)
  }
  return found
}

type Log = ReadonlyMap<string, RecordedEffect>

function differentEffects(whole: Log, ran: Log): string[] {
  const found: string[] = []
  for (const [key, effect] of ran) {
    const { values, times, flow } = effect
    const without = whole.get(key)
    if (values.length > 1) {
      found.push(`effect '${key}' was done with different values: ${values.map(shown).join(', ')}`)
    } else if (without === undefined) {
      found.push(`effect '${key}' was done, and is not done without the crash`)
    } else if (!isDeepStrictEqual(values, without.values)) {
      found.push(
        `effect '${key}' was done with ${values.map(shown).join()}, and not ${without.values.map(shown).join()}`,
      )
    }
    if (flow !== undefined && without !== undefined && times !== without.times) {
      found.push(
        `effect '${key}' was done ${times} times, and not ${without.times}, by the body of flow ${flow}, ` +
          'which runs again: it belongs in a task',
      )
    }
  }
  for (const key of whole.keys()) if (!ran.has(key)) found.push(`effect '${key}' is missing`)
  return found
}

function translatedLog(log: Log, translate: (value: unknown) => unknown): Log {
  const translated = [...log].map(([key, { values, ...effect }]) => {
    return [translate(key) as string, { ...effect, values: values.map(translate) }] as const
  })
  return new Map(translated)
}

/**
 * A draw that was lost with a process is drawn anew, and may well differ; so may the ids of runs that it is an argument of.
 * What chance gave at the same place is taken for the same, also within texts.
 */
function translation(whole: Ran['chances'], ran: Ran['chances']): (value: unknown) => unknown {
  const numbers = new Map<unknown, unknown>()
  const texts: [string, string][] = []
  for (const [place, drawn] of ran) {
    const before = whole.get(place)
    if (before === undefined || before === drawn) continue
    numbers.set(drawn, before)
    texts.push([`${drawn as string | number}`, `${before as string | number}`])
  }
  if (texts.length === 0) return (value) => value
  // The id of a task run begins with that of its flow run.
  texts.sort(([a], [b]) => b.length - a.length)
  const translate = (value: unknown): unknown => {
    if (numbers.has(value)) return numbers.get(value)
    if (typeof value === 'string') return texts.reduce((text, [from, to]) => text.replaceAll(from, to), value)
    if (typeof value !== 'object' || value === null) return value
    if (Array.isArray(value)) return value.map(translate)
    if (value instanceof Map)
      return new Map([...value].map(([key, item]) => [translate(key), translate(item)]))
    if (value instanceof Set) return new Set([...value].map(translate))
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype !== Object.prototype && prototype !== null) return value
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [translate(key), translate(item)]))
  }
  return translate
}

function because(error: Ran['error']): string {
  return error === undefined ? '' : ` with ${error.name}: ${error.message}`
}

/** How a value differs; of a large one only the first place that does. */
function differs(value: unknown, expected: unknown): string {
  const place =
    shown(value).length + shown(expected).length > 300 ? firstDifference(value, expected) : undefined
  if (place === undefined) return `is ${shown(value)}, and not ${shown(expected)}`
  return `has ${shown(place.value)} at ${place.path}, and not ${shown(place.expected)}`
}

interface Place {
  readonly path: string
  readonly value: unknown
  readonly expected: unknown
}

/** The innermost place at which lists and plain objects begin to differ; undefined where they differ as a whole. */
function firstDifference(value: unknown, expected: unknown, path = ''): Place | undefined {
  const whole = path === '' ? undefined : { path, value, expected }
  if (typeof value !== 'object' || typeof expected !== 'object' || value === null || expected === null)
    return whole
  if (value instanceof Map || value instanceof Set || ArrayBuffer.isView(value)) return whole
  for (const key of new Set([...Object.keys(expected), ...Object.keys(value)])) {
    const [mine, other] = [Reflect.get(value, key) as unknown, Reflect.get(expected, key) as unknown]
    if (isDeepStrictEqual(mine, other)) continue
    const step = Array.isArray(value) ? `[${key}]` : `.${key}`
    return firstDifference(mine, other, `${path}${step}`)
  }
  return whole
}

function shown(value: unknown): string {
  const text = inspect(value, {
    depth: 4,
    compact: true,
    breakLength: Number.POSITIVE_INFINITY,
    maxStringLength: 200,
  })
  return text.length <= 400 ? text : `${text.slice(0, 400)}…`
}
