import type { Transition } from '@troupe/core'
import { checkTransitions } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { stateTypes, type StateName } from '../../src/machines/states.ts'

describe('checkTransitions', () => {
  /** A history of one run. */
  const history = (...names: StateName[]): Transition[] =>
    names.map((name, index) => {
      const before = names[index - 1]
      return {
        flowRunId: 'f',
        runId: 'f',
        kind: 'flow',
        flow: 'delays',
        runName: 'delays',
        from: before === undefined ? null : { type: stateTypes[before], name: before },
        to: { type: stateTypes[name], name },
        seq: index + 1,
        position: index + 2,
        attempt: 1,
        at: 0,
        startedAt: 0,
        node: 'test',
      }
    })

  it('takes legal histories', () => {
    const histories = [
      [],
      history('Pending', 'Running', 'Retrying', 'Completed'),
      history('Scheduled', 'Pending', 'Running', 'Cancelling', 'Cancelled'),
    ]
    for (const legal of histories) expect(() => checkTransitions(legal)).not.toThrow()
  })

  it.each([
    ['a first state that is none', 'no run begins in Running', history('Running')],
    ['an edge that is none', 'no edge leads there', history('Pending', 'Completed')],
    [
      'a terminal state that was left',
      'it left a terminal state',
      history('Pending', 'Cancelled', 'Running'),
    ],
    [
      'a gap',
      'its numbers have a gap',
      history('Pending', 'Running', 'Completed').filter((_, index) => index !== 1),
    ],
    ['a transition seen twice', 'its numbers have a gap', [...history('Pending'), ...history('Pending')]],
    [
      'another state before',
      'it comes from another state',
      history('Pending', 'Running').map((t) => ({ ...t, from: null })),
    ],
    [
      'a position that is not later',
      'position 1 came after 1',
      history('Pending', 'Running').map((t) => ({ ...t, position: 1 })),
    ],
    [
      'an attempt that goes back',
      'its attempts go back',
      history('Pending', 'Running').map((t, index) => ({ ...t, attempt: 2 - index })),
    ],
  ])('refuses %s', (_, why, transitions) => {
    expect(() => checkTransitions(transitions)).toThrow(why)
  })
})
