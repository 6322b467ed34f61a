/**
 * Writes docs/states.md from the machines: `pnpm exec tsx scripts/state-diagram.ts`. A test holds the page to them.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { flowRunMachine } from '../packages/core/src/machines/flow-run-machine.ts'
import { stateTypes, type StateName } from '../packages/core/src/machines/states.ts'
import { taskRunMachine } from '../packages/core/src/machines/task-run-machine.ts'

interface Edge {
  readonly from: StateName
  readonly to: StateName
  readonly event: string
  /** Name of the condition, where the event alone does not decide. */
  readonly guard: string | undefined
}

/** The part of a machine that is read here. */
interface Machine {
  readonly states: Readonly<Record<string, StateNode>>
}

interface StateNode {
  readonly transitions: ReadonlyMap<string, readonly TransitionDefinition[]>
}

interface TransitionDefinition {
  readonly target?: readonly { readonly key: string }[] | undefined
  readonly guard?: unknown
}

/** What each event means, in the order of a run's life. */
const events: Record<string, string> = {
  due: 'its time has come',
  awaitSlot: 'it has to wait for a slot',
  start: 'the body begins',
  cacheHit: 'an earlier result is taken',
  upstreamFailed: 'a run that it depends on did not complete',
  refuse:
    'its parameters are invalid, an upstream of a flow run did not complete, or it would wait for a slot for ever',
  complete: 'the body ended well',
  fail: 'the body failed',
  unobserved: 'a run that the body submitted failed, and nobody looked',
  timeOut: 'its time limit was reached, or it waited too long to begin',
  crash: 'the body brought its host down',
  hostLost: 'its host was lost',
  pause: 'it is paused, waits for an input, is about to be suspended, or its replay took another path',
  resume: 'it goes on, with its input where it waited for one',
  suspend: 'its body, which only waits, is let go',
  replay: 'its body is replayed',
  cancel: 'it is cancelled',
  cancelled: 'its body and all that it submitted have ended',
}

/** Events that the machines accept and the engine does not send yet. */
const notYet = ['due']

const guards: Record<string, string> = {
  mayRetryLater: 'retries remain, with a delay',
  mayRetryNow: 'retries remain',
  isRetry: 'it was tried again before',
  isPoisoned: '`maxRecoveries` is exceeded',
  crashesWhenLost: "`onHostLost: 'crash'`",
}

function edgesOf(machine: Machine): Edge[] {
  return Object.entries(machine.states).flatMap(([from, { transitions }]) =>
    [...transitions].flatMap(([event, definitions]) =>
      definitions.flatMap(({ target = [], guard }) =>
        target.map(({ key }) => ({
          from: from as StateName,
          to: key as StateName,
          event,
          guard: typeof guard === 'string' ? guard : undefined,
        })),
      ),
    ),
  )
}

function diagram(machine: Machine): string {
  const edges = edgesOf(machine)
  const labels = new Map<string, string[]>()
  for (const { from, to, event } of edges) {
    const arrow = `${from} --> ${to}`
    const known = labels.get(arrow) ?? []
    labels.set(arrow, known.includes(event) ? known : [...known, event])
  }
  const final = Object.keys(machine.states).filter((name) => edges.every(({ from }) => from !== name))
  return [
    '```mermaid',
    'stateDiagram-v2',
    '  [*] --> Pending',
    '  [*] --> Scheduled',
    ...[...labels].map(([arrow, names]) => `  ${arrow}: ${names.join(', ')}`),
    ...final.map((name) => `  ${name} --> [*]`),
    '```',
  ].join('\n')
}

function edgeTable(machines: Record<string, Machine>): string {
  const rows = new Map<string, { edge: Edge; of: string[] }>()
  for (const [name, machine] of Object.entries(machines)) {
    for (const edge of edgesOf(machine)) {
      const key = Object.values(edge).join()
      const row = rows.get(key) ?? { edge, of: [] }
      rows.set(key, { edge, of: [...row.of, name] })
    }
  }
  const order = Object.keys(stateTypes)
  const lines = [...rows.values()]
    .toSorted((a, b) => order.indexOf(a.edge.from) - order.indexOf(b.edge.from))
    .map(({ edge: { from, to, event, guard }, of }) => {
      const when = guard === undefined ? '' : `, if ${guards[guard] ?? guard}`
      return `| ${from} | ${to} | \`${event}\`${when} | ${of.length === 2 ? 'both' : of.join()} |`
    })
  return ['| from | to | on | of |', '|---|---|---|---|', ...lines].join('\n')
}

function typeTable(): string {
  const byType = new Map<string, string[]>()
  for (const [name, type] of Object.entries(stateTypes)) byType.set(type, [...(byType.get(type) ?? []), name])
  const rows = [...byType].map(([type, names]) => `| ${type} | ${names.join(', ')} |`)
  return ['| type | names |', '|---|---|', ...rows].join('\n')
}

function eventTable(): string {
  const rows = Object.entries(events).map(([event, meaning]) => {
    const sent = notYet.includes(event) ? 'not yet' : 'yes'
    return `| \`${event}\` | ${meaning} | ${sent} |`
  })
  return ['| event | meaning | sent by this release |', '|---|---|---|', ...rows].join('\n')
}

/** The whole page. */
export function statesPage(): string {
  const machines = { 'flow run': flowRunMachine, 'task run': taskRunMachine }
  return `# States

<!-- Written by scripts/state-diagram.ts from the machines. Do not edit: run \`pnpm exec tsx scripts/state-diagram.ts\`. -->

A run has a state: a name, the type of that name, the time at which it was entered, and sometimes a message. Programs
branch on the type; the name says more. The states of the last four types are terminal. A terminal state is never left.

${typeTable()}

Two XState machines decide which state comes next, and nothing else does:
[flow-run-machine.ts](../packages/core/src/machines/flow-run-machine.ts) and
[task-run-machine.ts](../packages/core/src/machines/task-run-machine.ts). They are exported as \`flowRunMachine\` and
\`taskRunMachine\`, for the tools of XState. An event that a state does not accept changes nothing.

## A flow run

${diagram(machines['flow run'])}

## A task run

${diagram(machines['task run'])}

## Every edge

${edgeTable(machines)}

## The events

What the machines accept and the engine does not send yet belongs to schedules, which come later. A run can therefore not
be in \`Scheduled\` yet. \`crash\` is sent where a task runner reports it: that on [threads](threads.md#crashes), in this
release.

A flow run is Paused for one of several reasons, which its message tells: somebody paused it, it waits for an input, its
replay took another path, its body began with another version; or it is on its way to Suspended. Suspended, it has no body.
See [waiting](waiting.md).

${eventTable()}
`
}

const page = fileURLToPath(new URL('../docs/states.md', import.meta.url))
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const changed = !existsSync(page) || readFileSync(page, 'utf8') !== statesPage()
  if (changed) writeFileSync(page, statesPage())
  console.log(changed ? 'docs/states.md was written' : 'docs/states.md is up to date')
}
