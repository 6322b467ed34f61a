import { isDeepStrictEqual } from 'node:util'
import { currentBody } from '../runs/run-context.ts'

/** What tasks did outside, by key. @public */
export interface EffectsLog {
  /**
   * Notes an effect: a mail sent, a row written, a payment. To be called in the body of a task, at the effect.
   *
   * A body runs at least once, so a key may be recorded again; then it must be with an equal value.
   *
   * @param key - What makes the effect harmless when it is repeated, such as an idempotency key.
   * @param value - What was done; default nothing.
   */
  record(key: string, value?: unknown): void
  /** The values of each key, keys sorted; more than one where a key was recorded with different values. */
  snapshot(): Map<string, readonly unknown[]>
  /** Forgets all that was recorded. */
  clear(): void
}

/** What was recorded for one key. */
export interface RecordedEffect {
  readonly values: readonly unknown[]
  /** How often. */
  readonly times: number
  /** Name of the flow whose body recorded it, where no task did. */
  readonly flow: string | undefined
}

const recorded = Symbol('recorded effects')

class Log implements EffectsLog {
  readonly [recorded] = new Map<string, RecordedEffect>()

  record(key: string, value?: unknown): void {
    const { values = [], times = 0, flow } = this[recorded].get(key) ?? {}
    const body = currentBody()?.context
    this[recorded].set(key, {
      values: values.some((known) => isDeepStrictEqual(known, value)) ? values : [...values, value],
      times: times + 1,
      flow: body?.kind === 'flow' ? body.describe().name : flow,
    })
  }

  snapshot(): Map<string, readonly unknown[]> {
    return new Map([...this[recorded]].map(([key, { values }]) => [key, values] as const).toSorted(byKey))
  }

  clear(): void {
    this[recorded].clear()
  }
}

const byKey = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1)

/**
 * Makes a log of effects for `crashEverywhere`: two runs had the same effects where they recorded the same keys, each
 * with one value, and both with an equal one. How often does not count, but for what the body of a flow records.
 *
 * @public
 */
export function effectsLog(): EffectsLog {
  return new Log()
}

/** What a log has; undefined for what is none. */
export function effectsOf(log: unknown): ReadonlyMap<string, RecordedEffect> | undefined {
  return log instanceof Log ? new Map(log[recorded]) : undefined
}
