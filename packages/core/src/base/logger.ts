import { inWords } from './words.ts'

/** Facts that go with a log line; those of Troupe are `flowRunId`, `runId`, `run`, `attempt` and `err`. @public */
export type LogFields = Readonly<Record<string, unknown>>

/** Where log lines go. A `pino` logger fits as it is. @public */
export interface Logger {
  debug(fields: LogFields, message?: string): void
  info(fields: LogFields, message?: string): void
  warn(fields: LogFields, message?: string): void
  error(fields: LogFields, message?: string): void
}

const levels = ['debug', 'info', 'warn', 'error'] as const

/** Lines for people on standard error, warnings and errors only; the default. */
export function consoleLogger(): Logger {
  const line = (level: 'warn' | 'error', fields: LogFields, message = ''): void => {
    const { run, runId, err } = fields
    const where = run === undefined ? '' : ` [${inWords(run)} ${inWords(runId)}]`
    const why = err instanceof Error ? `: ${err.stack ?? err.message}` : ''
    console[level](`troupe${where} ${message}${why}`)
  }
  return {
    debug: () => undefined,
    info: () => undefined,
    warn: (fields, message) => line('warn', fields, message),
    error: (fields, message) => line('error', fields, message),
  }
}

/** A logger that adds `fields` to each line. What the underlying logger throws goes to `onError`, not to the body. */
export function withFields(logger: Logger, fields: LogFields, onError: (error: unknown) => void): Logger {
  const bound: Partial<Record<(typeof levels)[number], Logger['info']>> = {}
  for (const level of levels) {
    bound[level] = (more, message) => {
      try {
        logger[level]({ ...fields, ...more }, message)
      } catch (error) {
        onError(error)
      }
    }
  }
  return bound as Logger
}
