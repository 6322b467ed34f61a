import { flow, flowRunMachine, task, taskRunMachine } from '@troupe/core'
import { legalEdges } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { scenarios, World, type Define, type Kind } from './edge-scenarios.ts'

/** Which states may follow which. `–` is before the first. */
const table: Record<string, readonly string[]> = { '–': ['Scheduled', 'Pending'], ...legalEdges }

/** States that only runs of one kind have. */
const only: Record<string, Kind> = {
  Cached: 'task',
  UpstreamFailed: 'task',
  Paused: 'flow',
  Suspended: 'flow',
}

function ofKind(kind: Kind, state: string): boolean {
  return (only[state] ?? kind) === kind
}

function edgesOfTable(kind: Kind): string[] {
  return Object.entries(table).flatMap(([from, targets]) =>
    ofKind(kind, from) ? targets.filter((to) => ofKind(kind, to)).map((to) => `${from} → ${to}`) : [],
  )
}

function edgesOfMachine(kind: Kind): string[] {
  const { states } = kind === 'flow' ? flowRunMachine : taskRunMachine
  const edges = Object.entries(states).flatMap(([from, { transitions }]) =>
    [...transitions.values()]
      .flat()
      .flatMap(({ target = [] }) => target.map(({ key }) => `${from} → ${key}`)),
  )
  return [...new Set(['– → Scheduled', '– → Pending', ...edges])]
}

/** Edges that nothing can drive yet, by what will: an issue that brings it empties its list. */
const notYetDriven: Record<string, readonly string[]> = {
  schedules: ['– → Scheduled', 'Scheduled → Pending', 'Scheduled → Cancelled'],
  'waiting for input': ['Paused → TimedOut'],
  suspending: [
    'Paused → Suspended',
    'Suspended → Recovering',
    'Suspended → TimedOut',
    'Suspended → Cancelled',
  ],
}

for (const kind of ['flow', 'task'] as const) {
  const own = scenarios.filter(({ kinds }) => kinds === undefined || kinds.includes(kind))

  describe(`a ${kind} run`, () => {
    it('has the edges of the table, and no others', () => {
      expect(edgesOfMachine(kind).toSorted()).toEqual(edgesOfTable(kind).toSorted())
    })

    it('is driven over every edge by a scenario, or the edge is listed as not yet driven, and never both', () => {
      const driven = own.flatMap(({ drives }) => drives)
      const listed = Object.values(notYetDriven).flat()
      const inMachine = edgesOfMachine(kind)
      expect({
        inNeither: inMachine.filter((edge) => !driven.includes(edge) && !listed.includes(edge)),
        inBoth: inMachine.filter((edge) => driven.includes(edge) && listed.includes(edge)),
        twice: listed.filter((edge, index) => listed.indexOf(edge) !== index),
        unknown: [...driven, ...listed].filter(
          (edge) => !edgesOfTable('flow').includes(edge) && !edgesOfTable('task').includes(edge),
        ),
      }).toEqual({ inNeither: [], inBoth: [], twice: [], unknown: [] })
    })

    for (const [number, { name, drives, play }] of own.entries()) {
      it(`goes over ${drives.join(', ')} when ${name}`, async () => {
        const world = new World(kind)
        const define: Define = (options, body) => {
          const named = { name: `edge-${number}`, ...options }
          return kind === 'flow' ? flow(named, body) : task(named, body)
        }
        await play(world, define)
        await world.engine.close()
        expect([...world.driven]).toEqual(expect.arrayContaining([...drives]))
        expect(edgesOfMachine(kind)).toEqual(expect.arrayContaining([...world.driven]))
        const listed = new Set(Object.values(notYetDriven).flat())
        expect([...world.driven].filter((edge) => listed.has(edge))).toEqual([])
      })
    }
  })
}
