import { JournalError, UsageError } from '../base/errors.ts'
import { isTerminal, stateTypes } from '../machines/states.ts'
import type { Target } from '../runs/current-body.ts'
import type { Engine } from './engine.ts'
import { forkRun, type ForkOptions } from './fork.ts'
import { readHistory } from './read-journal.ts'

/** How a run that was set aside begins anew. @public */
export type ReleaseOptions = Pick<ForkOptions, 'on' | 'id'>

/** Begins anew, as another run, with what a poisoned one did. */
export async function releaseRun(engine: Engine, id: string, options: ReleaseOptions): Promise<Target> {
  engine.checkOpen()
  const history = await readHistory(engine.journal, id)
  if (history === undefined)
    throw new JournalError('RUN_NOT_FOUND', `there is no flow run ${id}`, { details: { runId: id } })
  const { stateName } = history.root
  // Of a flow run that failed because a task of it was set aside, too.
  const setAside = history.runs.some((run) => run.stateName === 'Crashed' && run.recoveries > 0)
  if (!setAside || !isTerminal(stateName) || stateTypes[stateName] === 'COMPLETED') {
    const message = `${id} was not set aside: it is ${stateName}; released is what crashed because its host was lost too often`
    throw new UsageError('INVALID_OPTION', message, { details: { option: 'id', state: stateName } })
  }
  return forkRun(engine, id, options)
}
