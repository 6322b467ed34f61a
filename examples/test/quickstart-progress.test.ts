import { Writable } from 'node:stream'

import type { Transition } from '@troupe/core'
import { Subject, from } from 'rxjs'
import { describe, expect, it } from 'vitest'

import { taskTimes } from '../src/quickstart/progress-board.ts'
import { showProgress } from '../src/quickstart/progress.ts'

type State = Pick<Transition['to'], 'type' | 'name' | 'message'>

const pending: State = { type: 'PENDING', name: 'Pending' }
const running: State = { type: 'RUNNING', name: 'Running' }
const completed: State = { type: 'COMPLETED', name: 'Completed' }

/** Makes up the transitions of one flow run, numbered as the engine numbers them. */
function story() {
  const transitions: Transition[] = []
  const last = new Map<string, Transition['to']>()
  const seqs = new Map<string, number>()
  const record = (at: number, runId: string, task: string | undefined, to: State): void => {
    const seq = (seqs.get(runId) ?? 0) + 1
    seqs.set(runId, seq)
    const from = last.get(runId)
    last.set(runId, to)
    transitions.push({
      flowRunId: 'f',
      runId,
      kind: task === undefined ? 'flow' : 'task',
      flow: 'flights',
      ...(task === undefined ? {} : { task, parentRunId: 'f' }),
      runName: `${task ?? 'flights'}-${runId}`,
      from: from ? { type: from.type, name: from.name } : null,
      to,
      seq,
      position: transitions.length + 1,
      attempt: 1,
      at,
      startedAt: 0,
      node: 'here',
    })
  }
  return {
    transitions,
    flow: (at: number, to: State) => record(at, 'f', undefined, to),
    task: (at: number, runId: string, task: string, to: State) => record(at, runId, task, to),
  }
}

function completedStory(): Transition[] {
  const { transitions, flow, task } = story()
  flow(0, pending)
  flow(0, running)
  task(10, 'a', 'read-group', pending)
  task(10, 'b', 'read-group', pending)
  task(10, 'c', 'merge-groups', pending)
  task(20, 'a', 'read-group', running)
  task(100, 'b', 'read-group', running)
  task(420, 'a', 'read-group', completed)
  task(1_600, 'b', 'read-group', completed)
  task(1_600, 'c', 'merge-groups', running)
  task(1_605, 'c', 'merge-groups', completed)
  flow(1_610, completed)
  return transitions
}

class Screen extends Writable {
  readonly isTTY: boolean
  readonly columns = 100
  readonly rows = 40
  text = ''

  constructor(isTTY: boolean) {
    super()
    this.isTTY = isTTY
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    this.text += chunk.toString()
    done()
  }
}

describe('showProgress', () => {
  it('writes a line for each finished task run where the stream is no terminal', async () => {
    const stream = new Screen(false)
    await showProgress(from(completedStory()), { mode: 'one after another', stream }).finished
    expect(stream.text).toBe(`flights: task runs go one after another
read-group 1 of 2: Completed after 400 ms
read-group 2 of 2: Completed after 1.5 s
merge-groups 1 of 1: Completed after 5 ms
flights: Completed after 1.6 s, 3 task runs
`)
  })

  it('says what failed and why, and what never ran', async () => {
    const { transitions, flow, task } = story()
    flow(0, pending)
    flow(0, running)
    task(0, 'a', 'read-group', pending)
    task(0, 'b', 'merge-groups', pending)
    task(5, 'a', 'read-group', running)
    task(25, 'a', 'read-group', { type: 'FAILED', name: 'Failed', message: 'no such file' })
    task(25, 'b', 'merge-groups', { type: 'FAILED', name: 'UpstreamFailed', message: 'read-group-a' })
    flow(30, { type: 'FAILED', name: 'Failed', message: 'no such file' })
    const stream = new Screen(false)
    await showProgress(from(transitions), { mode: 'concurrently', stream }).finished
    expect(stream.text.split('\n').slice(1, -1)).toEqual([
      'read-group 1 of 1: Failed after 20 ms (no such file)',
      'merge-groups 1 of 1: UpstreamFailed (read-group-a)',
      'flights: Failed after 30 ms (no such file), 2 task runs',
    ])
  })

  it('says how to end at once while the flow run is being cancelled', async () => {
    const { transitions, flow } = story()
    flow(0, pending)
    flow(0, running)
    flow(10, { type: 'CANCELLING', name: 'Cancelling', message: 'Ctrl-C' })
    flow(20, { type: 'CANCELLED', name: 'Cancelled', message: 'Ctrl-C' })
    const stream = new Screen(false)
    await showProgress(from(transitions), { mode: 'concurrently', stream }).finished
    expect(stream.text).toContain('flights: cancelling; Ctrl-C again ends at once\n')
    expect(stream.text).toContain('flights: Cancelled after 20 ms, 0 task runs')
  })

  it('draws a line a task on a terminal', async () => {
    const stream = new Screen(true)
    await showProgress(from(completedStory()), { mode: 'concurrently', stream }).finished
    expect(stream.text).toContain('task runs go concurrently')
    expect(stream.text).toMatch(/✔.* read-group .*2 of 2/)
    expect(stream.text).toMatch(/✔.* merge-groups .*1 of 1/)
  })

  it('leaves the last picture, and nothing after it, when it is stopped', () => {
    const transitions = new Subject<Transition>()
    const [first, second, ...rest] = completedStory()
    const stream = new Screen(true)
    const { stop } = showProgress(transitions, { mode: 'concurrently', stream })
    for (const one of [first, second]) if (one) transitions.next(one)
    stop()
    const text = stream.text
    expect(text).toMatch(/task runs go concurrently.*\n {2}flights: ended at once\n$/s)
    for (const one of rest) transitions.next(one)
    stop()
    expect(stream.text).toBe(text)
  })
})

describe('taskTimes', () => {
  it('measures each task from Running to the terminal state', async () => {
    const { board, finished } = showProgress(from(completedStory()), { mode: '', stream: new Screen(false) })
    await finished
    expect(taskTimes(board)).toEqual([
      { task: 'read-group', runs: 2, elapsed: 1_580, longest: 1_500 },
      { task: 'merge-groups', runs: 1, elapsed: 5, longest: 5 },
    ])
  })

  it('counts a retried run from its last attempt', async () => {
    const { transitions, task } = story()
    task(0, 'a', 'read-group', running)
    task(50, 'a', 'read-group', { type: 'SCHEDULED', name: 'AwaitingRetry' })
    task(90, 'a', 'read-group', { type: 'RUNNING', name: 'Retrying' })
    task(100, 'a', 'read-group', completed)
    const { board, finished } = showProgress(from(transitions), { mode: '', stream: new Screen(false) })
    await finished
    expect(taskTimes(board)).toEqual([{ task: 'read-group', runs: 1, elapsed: 10, longest: 10 }])
  })
})
