import { flowRunMachine, taskRunMachine, type StateName } from '@troupe/core'
import { legalEdges } from '@troupe/core/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { transition } from 'xstate'
import { foldJournal } from '../../src/journal/history.ts'
import type { Entry } from '../../src/journal/entries.ts'
import { anyNumber, events, type RunEvent } from './any-event.ts'

const machines = { 'flow run': flowRunMachine, 'task run': taskRunMachine }
type Kind = keyof typeof machines
const kinds = Object.keys(machines) as Kind[]

/** One event of each type, of which the machine is sent one: any of them, or more often one that its state accepts. */
const choice = fc.record({ all: fc.record(events), which: fc.nat(), accepted: fc.boolean() })
type Choice = typeof choice extends fc.Arbitrary<infer C> ? C : never
const sequence = fc.array(choice, { maxLength: 40 })

/** A move of a machine, and the event that made it. */
interface Move {
  readonly from: StateName
  readonly to: StateName
  readonly event: RunEvent
  readonly before: { readonly attempt: number; readonly tries: number; readonly recoveries: number }
  readonly after: Move['before']
}

type First = 'Pending' | 'Scheduled'
const anyFirst = fc.constantFrom<First>('Pending', 'Pending', 'Pending', 'Scheduled')
const anyKind = fc.constantFrom(...kinds)

/** Sends events as the engine does: what leaves the snapshot as it is was not accepted, and is not a move. */
function play(kind: Kind, first: First, choices: readonly Choice[]) {
  const machine = machines[kind]
  let snapshot = machine.resolveState({ value: first, context: { attempt: 1, tries: 0, recoveries: 0 } })
  const moves: Move[] = []
  for (const { all, which, accepted } of choices) {
    const before = snapshot
    const given: RunEvent[] = Object.values(all)
    const fitting = given.filter((event) => before.can(event))
    const from = accepted && fitting.length > 0 ? fitting : given
    const event = from[which % from.length]
    if (event === undefined) continue
    const [after] = transition(machine, before, event)
    if (after === before) continue
    snapshot = after
    moves.push({ from: before.value, to: after.value, event, before: before.context, after: after.context })
  }
  const { value, context } = snapshot
  return { moves, state: value, context }
}

const numRuns = 2_000

/** Holds for any sequence of events, sent to either machine from either of its first states. */
function holds(
  property: (played: ReturnType<typeof play>) => void,
  parameters: fc.Parameters<unknown> = {},
): void {
  fc.assert(
    fc.property(anyKind, anyFirst, sequence, (of, from, choices) => property(play(of, from, choices))),
    { numRuns, ...parameters } as fc.Parameters<[Kind, First, Choice[]]>,
  )
}

const terminal = (Object.keys(legalEdges) as StateName[]).filter((name) => legalEdges[name].length === 0)

describe.each(kinds)('the machine of a %s', (of) => {
  const machine = machines[of]
  it.each(terminal.filter((name) => name in machine.states))('never leaves %s', (state) => {
    fc.assert(
      fc.property(fc.record(events), anyNumber, (all, tries) => {
        // As one that is still told of events: also then there is none that it takes.
        const ended = machine.resolveState({
          value: state as 'Failed',
          context: { attempt: 1, tries, recoveries: 0 },
        })
        const told = { ...ended, status: 'active' } as typeof ended
        for (const event of Object.values(all)) {
          expect(transition(machine, ended, event)[0]).toBe(ended)
          expect(transition(machine, told, event)[0].value).toBe(state)
        }
      }),
    )
  })
})

describe('any sequence of events', () => {
  it('moves a run along the edges of the table alone', () => {
    holds(({ moves }) => {
      expect(moves.filter(({ from, to }) => !legalEdges[from].includes(to))).toEqual([])
    })
  })

  it('can move a run along every edge of the table', () => {
    const missing = new Set(
      Object.entries(legalEdges).flatMap(([from, next]) => next.map((to) => `${from} → ${to}`)),
    )
    holds(
      ({ moves }) => {
        for (const { from, to } of moves) missing.delete(`${from} → ${to}`)
      },
      { numRuns: 10_000, seed: 1 },
    )
    expect([...missing]).toEqual([])
  })

  it('never takes an attempt back, and begins at most one with a move', () => {
    const isWrong = ({ to, before, after }: Move): boolean => {
      if (after.attempt === before.attempt) return false
      return after.attempt !== before.attempt + 1 || (to !== 'Running' && to !== 'Retrying')
    }
    holds(({ moves }) => {
      expect(moves.filter(isWrong)).toEqual([])
    })
  })

  it('counts a retry only where one is left, and only where another attempt follows', () => {
    const isWrong = ({ to, event, before, after }: Move): boolean => {
      if (after.tries === before.tries) return false
      const isAllowed = 'retries' in event && before.tries < event.retries
      return after.tries !== before.tries + 1 || !isAllowed || (to !== 'AwaitingRetry' && to !== 'Retrying')
    }
    holds(({ moves }) => {
      expect(moves.filter(isWrong)).toEqual([])
    })
  })

  it('never uses more retries than a run is given', () => {
    fc.assert(
      fc.property(anyKind, sequence, fc.integer({ min: 0, max: 3 }), (of, choices, retries) => {
        const given = choices.map((each) => ({ ...each, all: withRetries(each.all, retries) }))
        const { moves, context } = play(of, 'Pending', given)
        expect(context.tries).toBeLessThanOrEqual(retries)
        // A body begins once, and again for each retry and each host that was lost or replaced.
        const replays = moves.filter(({ to }) => to === 'Recovering').length
        expect(context.attempt).toBeLessThanOrEqual(1 + retries + replays)
      }),
      { numRuns },
    )
  })

  it('counts as a recovery what was lost and goes on', () => {
    holds(({ moves }) => {
      const counted = moves.filter(({ before, after }) => after.recoveries !== before.recoveries)
      const lost = moves.filter(({ to, event }) => event.type === 'hostLost' && to === 'Recovering')
      expect(counted).toEqual(lost)
      expect(lost.every(({ before, after }) => after.recoveries === before.recoveries + 1)).toBe(true)
    })
  })

  it('ends a run that must not be lost, or was lost more often than it may be', () => {
    holds(({ moves }) => {
      const fatal = moves.filter(({ event }) => event.type === 'hostLost' && event.fatal)
      expect(fatal.every(({ to }) => to === 'Crashed')).toBe(true)
      for (const { from, to, event, before } of moves) {
        if (from !== 'Recovering' || event.type !== 'start') continue
        const isPoisoned = before.recoveries > (event.maxRecoveries ?? Number.POSITIVE_INFINITY)
        expect({ before, event, isCrashed: to === 'Crashed' }).toEqual({
          before,
          event,
          isCrashed: isPoisoned,
        })
      }
    })
  })

  it('is in its journal: the fold gives the state, the attempt, and what was used up', () => {
    fc.assert(
      fc.property(anyKind, anyFirst, sequence, (of, from, choices) => {
        const { moves, state, context } = play(of, from, choices)
        const { root } = foldJournal('run', journalOf(of, from, moves))
        const { stateName, seq, attempt, tries, recoveries } = root
        expect({ stateName, seq, attempt, tries, recoveries }).toEqual({
          stateName: state,
          seq: moves.length + 1,
          ...context,
        })
      }),
      { numRuns },
    )
  })
})

function withRetries(all: Choice['all'], retries: number): Choice['all'] {
  const { fail, timeOut, unobserved, crash } = all
  return {
    ...all,
    fail: { ...fail, retries },
    timeOut: { ...timeOut, retries },
    unobserved: { ...unobserved, retries },
    crash: { ...crash, retries },
  }
}

/** What an engine records of these moves. */
function journalOf(kind: Kind, to: First, moves: readonly Move[]): Entry[] {
  const at = 0
  return [
    { kind: 'claimed', at, epoch: 1, node: 'n' },
    {
      kind: 'submitted',
      at,
      runKind: kind === 'flow run' ? 'flow' : 'task',
      runId: 'run',
      parent: -1,
      parentAttempt: 0,
      name: 'run',
      version: '1',
      runName: undefined,
      identity: undefined,
      inputs: [],
      to,
      tags: undefined,
    },
    ...moves.map((move, index): Entry => ({
      kind: 'transition',
      at,
      run: 0,
      to: move.to,
      seq: index + 2,
      attempt: move.after.attempt,
      message: undefined,
      outcome: undefined,
    })),
  ]
}
