import assert from 'node:assert/strict'
import { isTerminal, type StateName } from '../machines/states.ts'
import type { Transition } from '../streams/transition.ts'

const running: readonly StateName[] = [
  'Completed',
  'Failed',
  'TimedOut',
  'UnobservedFailure',
  'AwaitingRetry',
  'Retrying',
  'Paused',
  'Recovering',
  'Crashed',
  'Cancelling',
]

/**
 * Which state may follow which. Written out, and not taken from the machines, for it is what they are checked by.
 *
 * @public
 */
export const legalEdges: Readonly<Record<StateName, readonly StateName[]>> = {
  Scheduled: ['Pending', 'Cancelled'],
  Pending: ['AwaitingConcurrencySlot', 'Running', 'Cached', 'UpstreamFailed', 'Failed', 'Cancelled'],
  AwaitingConcurrencySlot: ['Running', 'Retrying', 'Cached', 'TimedOut', 'Cancelled'],
  Running: running,
  Retrying: running,
  AwaitingRetry: ['Retrying', 'AwaitingConcurrencySlot', 'Cancelled'],
  Recovering: ['Running', 'Retrying', 'Crashed', 'Cancelling'],
  Paused: ['Running', 'Suspended', 'TimedOut', 'Recovering', 'Cancelling'],
  Suspended: ['Recovering', 'TimedOut', 'Cancelled'],
  Cancelling: ['Cancelled'],
  Completed: [],
  Cached: [],
  Failed: [],
  TimedOut: [],
  UnobservedFailure: [],
  UpstreamFailed: [],
  Crashed: [],
  Cancelled: [],
}

const firstStates: readonly StateName[] = ['Scheduled', 'Pending']

/**
 * Asserts that transitions, in the order in which they were seen, are legal histories: each run begins in a first state,
 * moves along the edges of the state table, is numbered 1, 2, 3 …, and never leaves a terminal state; positions rise.
 *
 * @throws AssertionError that names the run and its history
 * @public
 */
export function checkTransitions(transitions: Iterable<Transition>): void {
  const last = new Map<string, Transition>()
  const history = new Map<string, string[]>()
  const positions = new Map<string, number>()
  for (const transition of transitions) {
    const { runId, flowRunId, from, to, seq, position, attempt } = transition
    const before = last.get(runId)
    const names = history.get(runId) ?? []
    names.push(to.name)
    history.set(runId, names)
    const told = `${transition.kind} run ${transition.runName} (${runId}): ${names.join(' → ')}`
    assert.equal(seq, (before?.seq ?? 0) + 1, `${told}: its numbers have a gap`)
    if (before === undefined) {
      assert.equal(from, null, `${told}: its first transition comes from nowhere`)
      assert.ok(firstStates.includes(to.name), `${told}: no run begins in ${to.name}`)
    } else {
      assert.deepEqual(
        from,
        { type: before.to.type, name: before.to.name },
        `${told}: it comes from another state`,
      )
      assert.ok(!isTerminal(before.to.name), `${told}: it left a terminal state`)
      assert.ok(legalEdges[before.to.name].includes(to.name), `${told}: no edge leads there`)
      assert.ok(attempt >= before.attempt, `${told}: its attempts go back`)
    }
    const reached = positions.get(flowRunId) ?? 0
    assert.ok(position > reached, `${told}: position ${position} came after ${reached}`)
    positions.set(flowRunId, position)
    last.set(runId, transition)
  }
}
