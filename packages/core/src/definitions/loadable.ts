import { UsageError } from '../base/errors.ts'
import type { Origin } from './definition.ts'

/** Whether a module defines it when it is loaded. @throws UsageError `TASK_NOT_FOUND` */
export function checkLoadable(shown: string, { name, version, modules, insideRun }: Origin): void {
  if (!insideRun && modules.length > 0) return
  const why = insideRun
    ? 'it is defined inside a run; define it at the top level of a module'
    : 'the module that defines it is not known; define it in a file, or name that: `module: import.meta.url`'
  throw new UsageError('TASK_NOT_FOUND', `task ${shown} can't run in another thread: ${why}`, {
    details: { name, version },
  })
}
