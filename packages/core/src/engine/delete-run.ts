import { UsageError } from '../base/errors.ts'
import { flowRunIdOf } from '../base/ids.ts'
import type { Journal } from '../ports/journal.ts'

interface Deleter {
  readonly journal: Journal
  checkOpen(): void
}

/** Forgets a flow run that has ended, with its subflows. @returns Whether there was one */
export async function deleteRun(engine: Deleter, id: string): Promise<boolean> {
  engine.checkOpen()
  if (typeof id !== 'string' || id === '' || flowRunIdOf(id) !== id) {
    const message = `engine.delete takes the id of a flow run, and ${String(id) || 'an empty text'} is none`
    throw new UsageError('INVALID_OPTION', message, { details: { option: 'id' } })
  }
  const summary = await engine.journal.summary(id)
  if (summary === undefined) return false
  const { state, parentRunId } = summary
  // Whoever called it reads its outcome there when it is replayed.
  if (parentRunId !== undefined) {
    const message = `${id} was called by the run ${parentRunId}, and is forgotten with that; delete the flow run that nobody called`
    throw new UsageError('INVALID_OPTION', message, { details: { option: 'id', parentRunId } })
  }
  if (!summary.ended) {
    const message = `the flow run ${id} is ${state}; let it end first, or cancel it and wait for its handle`
    throw new UsageError('RUN_NOT_ENDED', message, { details: { runId: id, state } })
  }
  await engine.journal.delete(id)
  return true
}
