import { UsageError } from '../base/errors.ts'
import type { Awaited } from './current-body.ts'

/** The body of a task waits for a message. */
export function notInFlow({ for: what }: Awaited, name: string): UsageError {
  const call = what === 'input' ? 'waitForInput()' : 'receive()'
  return new UsageError(
    'NO_RUN_CONTEXT',
    `${call} was called in the body of task ${name}; only the body of a flow waits for messages`,
  )
}
