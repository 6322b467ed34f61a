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

/** Writes one line: facts and a message, or a message alone. @public */
export interface LogLine {
  (message: string): void
  (fields: LogFields, message?: string): void
}

/** The logger of a run: adds the run's ids to each line. @public */
export type RunLogger = Readonly<Record<'debug' | 'info' | 'warn' | 'error', LogLine>>

const levels = ['debug', 'info', 'warn', 'error'] as const

/** Lines for people on standard error, warnings and errors only; the default. */
export function consoleLogger(): Logger {
  const line = (level: 'warn' | 'error', fields: LogFields, message = ''): void => {
    const { run, runId, err, flowRunId: _root, attempt: _attempt, ...more } = fields
    const where = run === undefined ? '' : ` [${inWords(run)} ${inWords(runId)}]`
    const why = err instanceof Error ? `: ${err.stack ?? err.message}` : ''
    const facts = Object.keys(more).length === 0 ? '' : ` ${inWords(more)}`
    console[level](`troupe${where} ${message}${facts}${why}`)
  }
  return {
    debug: () => undefined,
    info: () => undefined,
    warn: (fields, message) => line('warn', fields, message),
    error: (fields, message) => line('error', fields, message),
  }
}

/** A logger that adds `fields` to each line. What the underlying logger throws goes to `onError`, not to the body. */
export function withFields(logger: Logger, fields: LogFields, onError: (error: unknown) => void): RunLogger {
  const bound: Partial<Record<(typeof levels)[number], LogLine>> = {}
  for (const level of levels) {
    bound[level] = (more: LogFields | string, message?: string) => {
      try {
        if (typeof more === 'string') logger[level](fields, more)
        else logger[level]({ ...more, ...fields }, message)
      } catch (error) {
        onError(error)
      }
    }
  }
  return bound as RunLogger
}
