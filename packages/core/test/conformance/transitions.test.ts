import { flowRunMachine, taskRunMachine, type Transition } from '@troupe/core'
import { checkTransitions } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { stateNames, stateTypes, type StateName } from '../../src/machines/states.ts'
import { legalEdges } from '../../src/testing/transitions.ts'

/** Where a machine can go from each state. */
function edgesOf(machine: typeof flowRunMachine | typeof taskRunMachine): Record<string, string[]> {
  const edges: Record<string, string[]> = {}
  for (const [name, node] of Object.entries(machine.states)) {
    const targets = [...node.transitions.values()].flat().flatMap(({ target }) => target ?? [])
    edges[name] = [...new Set(targets.map(({ key }) => key))].toSorted()
  }
  return edges
}

/** The edges of the table between states that the machine is to have. */
function tableWithout(...absent: StateName[]): Record<string, string[]> {
  const present = stateNames.filter((name) => !absent.includes(name))
  return Object.fromEntries(
    present.map((name) => [name, legalEdges[name].filter((to) => !absent.includes(to)).toSorted()]),
  )
}

describe('the machine of', () => {
  it('flow runs has the edges of the table, but for those of task runs', () => {
    expect(edgesOf(flowRunMachine)).toEqual(tableWithout('Cached', 'UpstreamFailed'))
  })

  it('task runs has the edges of the table, but for those of flow runs', () => {
    expect(edgesOf(taskRunMachine)).toEqual(tableWithout('Paused', 'Suspended'))
  })
})

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
