/** Shows how a flow run goes, from nothing but its transitions. */
import type { Writable } from 'node:stream'

import type { Transition } from '@troupe/core'
import spinners from 'cli-spinners'
import cliTruncate from 'cli-truncate'
import { createLogUpdate } from 'log-update'
import paint from 'picocolors'
import { type Observable, Subscription } from 'rxjs'

import {
  type Board,
  type RunProgress,
  countOf,
  emptyBoard,
  follow,
  isEnded,
  lasted,
} from './progress-board.ts'
import { counted, lasting } from './words.ts'

export interface ProgressOptions {
  /** How the task runner works, in words: `concurrently`. */
  mode: string
  /** A terminal gets a picture that moves; anything else one line a finished task run. */
  stream: Writable & { isTTY?: boolean; columns?: number }
}

export interface Progress {
  /** What was seen so far. */
  board: Board
  /** Resolves when the transitions have ended and the last line is written. */
  finished: Promise<void>
  /** Ends the display before the transitions have ended: the last picture stays, and the cursor is back. */
  stop: () => void
}

const BAR = 24

const { frames, interval } = spinners.dots

/** Subscribes to the transitions and shows them until they complete. */
export function showProgress(transitions: Observable<Transition>, options: ProgressOptions): Progress {
  const board = emptyBoard()
  const show = options.stream.isTTY ? drawing(board, options) : lines(board, options)
  const subscription = new Subscription()
  const finished = new Promise<void>((resolve, reject) => {
    subscription.add(
      transitions.subscribe({
        next: (transition) => show.next(transition, follow(board, transition)),
        complete: () => {
          show.end(summaryOf(board))
          resolve()
        },
        error: (error: unknown) => {
          show.end(summaryOf(board))
          reject(error)
        },
      }),
    )
  })
  const stop = (): void => {
    if (subscription.closed) return
    subscription.unsubscribe()
    show.end(`${board.flow?.name ?? ''}: ended at once`)
  }
  return { board, finished, stop }
}

interface Show {
  next: (transition: Transition, run: RunProgress) => void
  /** Ends the display with a last line. */
  end: (last: string) => void
}

/** One plain line for each finished task run, and for what happens to the flow run. */
function lines(board: Board, { mode, stream }: ProgressOptions): Show {
  const write = (line: string): void => {
    stream.write(`${line}\n`)
  }
  return {
    next: ({ kind, task, to, from }, run) => {
      if (kind === 'flow') {
        if (from === null) write(`${run.name}: task runs go ${mode}`)
        if (to.type === 'CANCELLING') write(`${run.name}: ${CANCELLING}`)
      } else if (isEnded(run)) {
        const runs = board.tasks.get(task ?? '') ?? new Map<string, RunProgress>()
        const ended = countOf(runs, 'done', 'failed', 'cancelled')
        write(`${task} ${ended} of ${runs.size}: ${outcome(run)}`)
      }
    },
    end: write,
  }
}

/** A block of lines that is drawn anew, a line a task. */
function drawing(board: Board, { mode, stream }: ProgressOptions): Show {
  const update = createLogUpdate(stream)
  let frame = 0
  const draw = (): void => {
    const { flow, tasks } = board
    const spinner = paint.cyan(frames[frame % frames.length] ?? '')
    const width = Math.max(0, ...[...tasks.keys()].map((task) => task.length))
    const elapsed = lasting(Date.now() - (flow?.startedAt ?? Date.now()))
    const headline = flow?.state === 'Cancelling' ? paint.yellow(CANCELLING) : `task runs go ${mode}`
    const lines = [
      '',
      `${paint.bold(flow?.name ?? '')}  ${headline}  ${paint.dim(elapsed)}`,
      '',
      ...[...tasks].map(([task, runs]) => taskLine(task.padEnd(width), runs, spinner)),
    ]
    // A line that wraps would shift those below it when it is drawn anew.
    update(lines.map((line) => cliTruncate(`  ${line}`, stream.columns ?? 80)).join('\n'))
  }
  // Without what the terminal wrote into the picture: `^C`.
  const drawAnew = (): void => {
    update.clear()
    draw()
  }
  const timer = setInterval(() => {
    frame++
    draw()
  }, interval)
  return {
    next: ({ kind }) => {
      // Tasks change often, and the timer shows that soon enough; a cancel is worth saying at once.
      if (kind === 'flow') drawAnew()
    },
    end: (last) => {
      clearInterval(timer)
      drawAnew()
      update.done()
      stream.write(`\n  ${last}\n`)
    },
  }
}

function taskLine(task: string, runs: ReadonlyMap<string, RunProgress>, spinner: string): string {
  const done = countOf(runs, 'done')
  const running = countOf(runs, 'running')
  const waiting = countOf(runs, 'waiting')
  const failed = countOf(runs, 'failed')
  const cancelled = countOf(runs, 'cancelled')
  const signs: [string, number][] = [
    [paint.red('✖'), failed],
    [spinner, running],
    [paint.yellow('■'), cancelled],
    [paint.dim('·'), waiting],
  ]
  const [sign] = signs.find(([, count]) => count > 0) ?? [paint.green('✔')]
  const filled = Math.round((BAR * done) / runs.size)
  const bar = paint.green('━'.repeat(filled)) + paint.dim('─'.repeat(BAR - filled))
  const rest = Object.entries({ running, waiting, failed, cancelled })
    .filter(([, count]) => count > 0)
    .map(([phase, count]) => `${count} ${phase}`)
  return `${sign} ${task}  ${bar}  ${String(done).padStart(2)} of ${runs.size}  ${paint.dim(rest.join(', '))}`
}

const CANCELLING = 'cancelling; Ctrl-C again ends at once'

function outcome(run: RunProgress): string {
  const time = run.startedAt === undefined ? '' : ` after ${lasting(lasted(run))}`
  // Why something failed has to be said; that all was cancelled was asked for.
  const where = run.host === undefined ? '' : ` on ${run.host}`
  return `${run.state}${time}${where}${run.phase === 'failed' && run.message ? ` (${run.message})` : ''}`
}

function summaryOf({ flow, tasks }: Board): string {
  if (!flow) return 'nothing ran'
  const runs = [...tasks.values()].reduce((sum, all) => sum + all.size, 0)
  return `${flow.name}: ${outcome(flow)}, ${counted(runs, 'task run')}`
}
