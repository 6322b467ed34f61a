import type { TaskReports } from '../ports/task-runner.ts'
import type { Attempt } from './attempt.ts'

/** Reports of a pool go to the attempt that the assignment is. */
export const poolReports: TaskReports = {
  started: (assignment, host) => (assignment as Attempt).begin(host),
  refused: (assignment, error) => (assignment as Attempt).refuse(error),
  finished: (assignment, result) => (assignment as Attempt).settle(result),
  lost: (assignment, cause) => (assignment as Attempt).lost(cause),
}
