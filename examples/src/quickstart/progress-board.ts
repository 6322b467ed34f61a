/** What a stream of transitions tells about a flow run: which task runs wait, run and are done, and since when. */
import type { Transition } from '@troupe/core'

export type Phase = 'waiting' | 'running' | 'done' | 'failed' | 'cancelled'

export interface RunProgress {
  readonly name: string
  phase: Phase
  /** Name of the newest state, and what it said. */
  state: string
  message?: string
  /** Where its body runs, if not in the thread of the engine. */
  host?: string
  /** When the newest attempt began, in milliseconds since 1970. */
  startedAt?: number
  endedAt?: number
}

export interface Board {
  /** The flow run itself, from its first transition on. */
  flow?: RunProgress
  /** The task runs of each task, by run id, tasks in order of their first submission. */
  readonly tasks: Map<string, Map<string, RunProgress>>
}

/** How long a task took: all its runs, and the longest of them. */
export interface TaskTime {
  task: string
  runs: number
  /** From the start of the first run to the end of the last, in milliseconds. */
  elapsed: number
  longest: number
}

export const emptyBoard = (): Board => ({ tasks: new Map() })

/** Takes one more transition into the board, and gives the progress of its run. */
export function follow(board: Board, transition: Transition): RunProgress {
  const run = runOf(board, transition)
  const { to, at, host } = transition
  run.phase = phaseOf(to.type)
  run.state = to.name
  if (to.message !== undefined) run.message = to.message
  if (host !== undefined) run.host = host
  if (to.type === 'RUNNING') run.startedAt = at
  if (isEnded(run)) run.endedAt = at
  return run
}

/** How many of these task runs are in one of the phases. */
export function countOf(runs: ReadonlyMap<string, RunProgress>, ...phases: Phase[]): number {
  return [...runs.values()].filter((run) => phases.includes(run.phase)).length
}

export const isEnded = (run: RunProgress): boolean => run.phase !== 'waiting' && run.phase !== 'running'

/** Milliseconds from Running to the terminal state; 0 for a run that never started. */
export const lasted = (run: RunProgress): number =>
  run.startedAt === undefined || run.endedAt === undefined ? 0 : run.endedAt - run.startedAt

/** How long the task runs of each task took, without those that never started. */
export function taskTimes(board: Board): TaskTime[] {
  return [...board.tasks].flatMap(([task, all]) => {
    const runs = [...all.values()].filter((run) => run.startedAt !== undefined && run.endedAt !== undefined)
    if (runs.length === 0) return []
    const start = Math.min(...runs.map((run) => run.startedAt ?? Infinity))
    const end = Math.max(...runs.map((run) => run.endedAt ?? -Infinity))
    return [{ task, runs: runs.length, elapsed: end - start, longest: Math.max(...runs.map(lasted)) }]
  })
}

function runOf(board: Board, { kind, flow, task = flow, runId, runName }: Transition): RunProgress {
  if (kind === 'flow') {
    board.flow ??= { name: flow, phase: 'waiting', state: '' }
    return board.flow
  }
  const runs = board.tasks.get(task) ?? new Map<string, RunProgress>()
  board.tasks.set(task, runs)
  const run = runs.get(runId) ?? { name: runName, phase: 'waiting', state: '' }
  runs.set(runId, run)
  return run
}

function phaseOf(type: Transition['to']['type']): Phase {
  switch (type) {
    case 'SCHEDULED':
    case 'PENDING':
    case 'PAUSED':
      return 'waiting'
    case 'RUNNING':
    case 'CANCELLING':
      return 'running'
    case 'COMPLETED':
      return 'done'
    case 'FAILED':
    case 'CRASHED':
      return 'failed'
    case 'CANCELLED':
      return 'cancelled'
  }
}
