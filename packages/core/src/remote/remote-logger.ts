import { inspect } from 'node:util'
import type { LogFields, RunLogger } from '../base/logger.ts'
import type { Parcel, Tell } from './protocol.ts'
import { wrap, wrapError } from './wire.ts'

/** A logger whose lines are written by the engine. What can't be sent goes as text: a line is never lost for it. */
export function remoteLogger(of: 'own' | 'flow', tell: (tell: Tell) => void): RunLogger {
  const line =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (fields: LogFields | string, message?: string): void => {
      const given = typeof fields === 'string' ? {} : fields
      const words = typeof fields === 'string' ? fields : message
      tell({ tell: 'log', of, level, fields: sendable(given), message: words })
    }
  return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') }
}

function sendable(fields: LogFields): Parcel {
  try {
    return wrap(fields, 'fields')
  } catch {
    return wrap(
      Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, asSendable(value)])),
      'fields',
    )
  }
}

function asSendable(value: unknown): unknown {
  try {
    wrap(value, 'value')
    return value
  } catch {
    return value instanceof Error ? wrapError(value) : inspect(value, { depth: 2 })
  }
}
