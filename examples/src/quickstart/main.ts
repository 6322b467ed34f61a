/** Runs the flow from the command line: `node dist/quickstart/main.js --help`. */
import type { TaskRunner } from '@troupe/core'
import { ConcurrentTaskRunner, SequentialTaskRunner, WorkerThreadsTaskRunner } from '@troupe/runners'

import { closingLines } from './closing.ts'
import { dataFiles } from './data-files.ts'
import { flights } from './flow.ts'
import { INTERRUPTED, cancelOnInterrupt } from './interrupt.ts'
import { UsageError, parseOptions, usage } from './options.ts'
import { taskTimes } from './progress-board.ts'
import { showProgress } from './progress.ts'

interface Choice {
  taskRunner: TaskRunner
  /** How it works, in words. */
  mode: string
  /** What is to be known about it in the end. */
  note: string
}

const runners: Record<string, (threads: number | undefined) => Choice> = {
  sequential: () => ({
    taskRunner: new SequentialTaskRunner(),
    mode: 'one after another',
    note: '',
  }),
  concurrent: () => ({
    // A row group takes some 40 MB while it is read, so not all of them at once.
    taskRunner: new ConcurrentTaskRunner({ limit: 4 }),
    mode: 'concurrently',
    note:
      'Concurrent is not parallel: up to four runs of read-group took turns on one thread, which makes each of them ' +
      'look longer without making the whole faster. --runner threads uses all cores.',
  }),
  threads: (threads) => {
    const taskRunner = new WorkerThreadsTaskRunner(threads === undefined ? {} : { threads })
    const { threads: count } = taskRunner
    const mode = count === 1 ? 'on a thread of their own' : `in parallel, on ${count} threads`
    return { taskRunner, mode, note: '' }
  },
}

async function main(args: string[]): Promise<number> {
  const names = Object.keys(runners)
  const { runner, threads, out, help } = parseOptions(args, names)
  const choice = runners[runner]?.(threads)
  if (help || choice === undefined) {
    process.stdout.write(usage(names))
    return 0
  }
  const { taskRunner, mode, note } = choice

  const run = flights.with({ taskRunner })(dataFiles(), out)
  const progress = showProgress(run.transitions, { mode, stream: process.stdout })
  const giveBack = cancelOnInterrupt(run, progress.stop)
  const state = await run.wait()
  await progress.finished
  giveBack()

  if (state.type === 'CANCELLED') return INTERRUPTED
  const { findings, report } = await run
  // A pipe has no columns, and a terminal that does not know its size has 0.
  const { columns }: { columns?: number } = process.stdout
  const width = columns || 80
  process.stdout.write(closingLines({ findings, report, times: taskTimes(progress.board), note, width }))
  return 0
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  const isUsage = error instanceof UsageError
  process.stderr.write(isUsage ? `${error.message} (--help says what is possible)\n` : `${String(error)}\n`)
  process.exitCode = isUsage ? 2 : 1
}
