import { inspect } from 'node:util'
import { UsageError } from './errors.ts'

/** Milliseconds, or a number with a unit: `'250ms'`, `'1s'`, `'5m'`, `'2h'`, `'30d'`. @public */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const form = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/

/**
 * The milliseconds of a duration.
 *
 * @param duration - A finite number ≥ 0, or a string such as `'1.5s'`.
 * @param option - The option's name, for the message.
 * @throws {@link UsageError} `INVALID_DURATION`
 */
export function toMilliseconds(duration: Duration, option: string): number {
  if (typeof duration === 'number' && Number.isFinite(duration) && duration >= 0) return duration
  const match = typeof duration === 'string' ? form.exec(duration) : null
  if (match !== null) return Number(match[1]) * unitMs[match[2] as keyof typeof unitMs]
  throw new UsageError(
    'INVALID_DURATION',
    `expected \`${option}\` to be milliseconds or a duration such as '250ms', '1s', '5m', '2h' or '30d', ` +
      `got ${inspect(duration)}`,
    { details: { option } },
  )
}
