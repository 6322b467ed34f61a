import { flowRunMachine, taskRunMachine } from '@troupe/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createActor } from 'xstate'
import { remembering } from '../../src/machines/remembered.ts'
import { askContextAlone } from '../../src/machines/run-machine.ts'
import { anyEvent, type RunEvent } from './any-event.ts'

const freshContext = { attempt: 1, tries: 0, recoveries: 0 }
const machines = { 'flow run': flowRunMachine, 'task run': taskRunMachine }
type Kind = keyof typeof machines
const kinds = Object.keys(machines) as Kind[]

/** An actor, as far as these tests use one. */
interface Shown {
  getSnapshot(): { value: unknown; context: unknown; status: string; output?: unknown; error?: unknown }
  getPersistedSnapshot(): unknown
  send(event: RunEvent): void
}

function shown(actor: Shown): unknown {
  const { value, context, status, output, error } = actor.getSnapshot()
  return { value, context, status, output, error, persisted: actor.getPersistedSnapshot() }
}

const anyContext = fc.oneof(
  fc.constant(freshContext),
  fc.record({ attempt: fc.integer({ min: 1, max: 4 }), tries: fc.nat(3), recoveries: fc.nat(3) }),
)
const anyEvents = fc.array(anyEvent, { maxLength: 30 })
const numRuns = 1_000

describe.each(kinds)('actors of a %s whose steps are remembered', (kind) => {
  const machine = machines[kind]
  const states = Object.keys(machine.states) as 'Pending'[]
  const first = machine.resolveState({ value: 'Pending', context: freshContext })
  // One for all cases: what was decided in one is remembered in the next.
  const logic = remembering(machine, first, askContextAlone)

  /** What each of two actors shows after each event. */
  const play = (actors: readonly [Shown, Shown], events: readonly RunEvent[]) => {
    const seen: [unknown[], unknown[]] = [[shown(actors[0])], [shown(actors[1])]]
    for (const event of events) {
      // XState warns of whatever is sent to one that has ended.
      if (actors[1].getSnapshot().status !== 'active') break
      for (const [i, actor] of actors.entries()) {
        actor.send(event)
        seen[i]?.push(shown(actor))
      }
    }
    return { remembered: seen[0], bare: seen[1] }
  }

  it('go where the machine goes, from any state and on any events', () => {
    fc.assert(
      fc.property(fc.constantFrom(...states), anyContext, anyEvents, (value, context, events) => {
        const snapshot = machine.resolveState({ value, context })
        const actors = [createActor(logic, { snapshot }), createActor(machine, { snapshot })] as const
        const { remembered, bare } = play([actors[0].start(), actors[1].start()], events)
        expect(remembered).toEqual(bare)
      }),
      { numRuns },
    )
  })

  it('go where the machine goes from the state that fresh ones share', () => {
    fc.assert(
      fc.property(anyEvents, fc.boolean(), (events, given) => {
        const fresh = given ? createActor(logic, { snapshot: first }) : createActor(logic)
        const ofMachine = createActor(machine, { snapshot: first })
        const { remembered, bare } = play([fresh.start(), ofMachine.start()], events)
        expect(remembered).toEqual(bare)
      }),
      { numRuns },
    )
  })

  it('tell their observers and inspectors what those of the machine tell', () => {
    const told = (of: typeof logic | typeof machine): unknown[] => {
      const events: unknown[] = []
      const actor = createActor(of as typeof machine, {
        snapshot: first,
        inspect: (event) => {
          if (event.type === '@xstate.event') events.push(event.event.type)
          if (event.type === '@xstate.snapshot') events.push((event.snapshot as typeof first).value)
        },
      })
      actor.subscribe({
        next: ({ value, status }) => events.push([value, status]),
        complete: () => events.push('over'),
      })
      actor.start()
      for (const type of ['start', 'start', 'due', 'complete'] as const) actor.send({ type })
      return events
    }
    // The first one decides, the second one remembers.
    expect([told(logic), told(logic)]).toEqual([told(machine), told(machine)])
    expect(told(logic)).toContainEqual(['Completed', 'done'])
  })

  it('are left as they are by the ends of actors below them', () => {
    const parent = createActor(logic, { snapshot: first }).start()
    parent.send({ type: 'start' })
    const before = parent.getSnapshot()
    const told: string[] = []
    parent.system.inspect((event) => {
      if (event.type === '@xstate.event' && event.actorRef === parent) told.push(event.event.type)
    })
    const child = createActor(logic, { snapshot: first, parent }).start()
    child.send({ type: 'start' })
    child.send({ type: 'complete' })
    expect(told).toEqual([`xstate.done.actor.${child.id}`])
    expect(parent.getSnapshot()).toBe(before)
    parent.send({ type: 'complete' })
    expect(parent.getSnapshot().value).toBe('Completed')
  })

  it('that take the same plain steps hold the same snapshot', () => {
    const completed = Array.from({ length: 2 }, () => {
      const actor = createActor(logic, { snapshot: first }).start()
      actor.send({ type: 'start' })
      actor.send({ type: 'complete' })
      return actor.getSnapshot()
    })
    expect(completed[0]?.value).toBe('Completed')
    expect(completed[0]).toBe(completed[1])
  })

  it('that have waited for a slot hold the same snapshots as those that have not', () => {
    const through = (...types: ('awaitSlot' | 'start')[]) => {
      const actor = createActor(logic, { snapshot: first }).start()
      for (const type of types) actor.send({ type })
      return actor.getSnapshot()
    }
    expect(through('awaitSlot', 'start')).toBe(through('start'))
  })

  it('share no snapshot after a retry that waited for a slot', () => {
    const retried = Array.from({ length: 2 }, () => {
      const actor = createActor(logic, { snapshot: first }).start()
      actor.send({ type: 'start' })
      actor.send({ type: 'fail', retries: 1, delayed: true })
      actor.send({ type: 'awaitSlot' })
      actor.send({ type: 'start' })
      return actor.getSnapshot()
    })
    expect(retried.map(({ value, context }) => [value, context.attempt])).toEqual([
      ['Retrying', 2],
      ['Retrying', 2],
    ])
    expect(retried[0]).not.toBe(retried[1])
  })

  it('share no snapshot after a step that counted something', () => {
    const retried = Array.from({ length: 2 }, () => {
      const actor = createActor(logic, { snapshot: first }).start()
      actor.send({ type: 'start' })
      actor.send({ type: 'fail', retries: 1, delayed: false })
      return actor.getSnapshot()
    })
    expect(retried.map(({ context }) => context.tries)).toEqual([1, 1])
    expect(retried[0]).not.toBe(retried[1])
  })
})

it('a flow run that is paused and resumed again and again comes back to the same snapshots', () => {
  const first = flowRunMachine.resolveState({ value: 'Pending', context: freshContext })
  const actor = createActor(remembering(flowRunMachine, first, askContextAlone), { snapshot: first }).start()
  actor.send({ type: 'start' })
  const seen = new Set<unknown>()
  for (let i = 0; i < 100; i++) {
    actor.send({ type: i % 2 === 0 ? 'pause' : 'resume' })
    seen.add(actor.getSnapshot())
  }
  expect(seen.size).toBe(2)
})
