import { isDeepStrictEqual } from 'node:util'
import { legalEdges } from '@troupe/core/testing'
import type { Entry } from '../../../core/src/journal/entries.ts'
import { isTerminal, type StateName } from '../../../core/src/machines/states.ts'
import { decodeValue } from '../../../core/src/values/codec.ts'
import { resultOf } from './plan.ts'
import type { World } from './world.ts'

interface History {
  readonly runId: string
  readonly kind: 'flow' | 'task'
  state: StateName
  seq: number
  attempt: number
  hasBegun: boolean
  /** How many entries were committed, over all journals, when it ended. */
  endedAfter: number | undefined
}

/** What must hold of a cluster that has come to its end, whatever happened to its nodes. */
export async function checkWorld(world: World): Promise<void> {
  const runs = new Map<string, History>()
  for (const { flowRunId } of await awaited(world, world.summaries()))
    for (const run of await checkJournal(world, flowRunId)) runs.set(run.runId, run)
  checkCommits(world, runs)
  checkBodies(world, runs)
  checkEnds(world, runs)
}

async function awaited<T>(world: World, promise: Promise<T>): Promise<T> {
  await world.clock.run(promise, 10_000)
  return promise
}

/** Positions, epochs, and the history of each run. */
async function checkJournal(world: World, flowRunId: string): Promise<readonly History[]> {
  const entries = await awaited(world, world.observer.journal.read(flowRunId, 1, 100_000))
  const told = world.committed.filter((one) => one.flowRunId === flowRunId)
  if (
    !isDeepStrictEqual(
      told.map(({ position }) => position),
      entries.map((_, index) => index + 1),
    )
  )
    world.violated('positions have no gap', `${flowRunId}: ${told.map(({ position }) => position).join(' ')}`)
  let epoch = 0
  const runs: History[] = []
  for (const entry of entries) {
    if (entry.kind === 'claimed') {
      if (entry.epoch !== epoch + 1)
        world.violated(
          'one owner at a time',
          `${flowRunId}: ${entry.node} claimed ${entry.epoch} after ${epoch}`,
        )
      epoch = entry.epoch
    } else if (entry.kind === 'submitted') {
      runs.push({
        runId: entry.runId,
        kind: entry.runKind,
        state: entry.to,
        seq: 1,
        attempt: 0,
        hasBegun: false,
        endedAfter: undefined,
      })
    } else if (entry.kind === 'transition') checkTransition(world, runs[entry.run], entry)
  }
  for (const { runId, state } of runs)
    if (!isTerminal(state)) world.violated('every run ends once', `${runId} is ${state} in the end`)
  return runs
}

function checkTransition(
  world: World,
  run: History | undefined,
  entry: Extract<Entry, { kind: 'transition' }>,
): void {
  if (run === undefined) {
    world.violated('histories are legal', `there is no run ${entry.run}`)
    return
  }
  const { to, seq, attempt, outcome } = entry
  const told = `${run.runId} ${run.state} ${run.attempt} → ${to} ${attempt}`
  if (isTerminal(run.state)) world.violated('every run ends once', told)
  if (!legalEdges[run.state].includes(to))
    world.violated('histories are legal', `${told}: no edge leads there`)
  if (seq !== run.seq + 1) world.violated('histories are legal', `${told}: number ${seq} after ${run.seq}`)
  const begins = (to === 'Running' || to === 'Retrying') && run.state !== 'Paused'
  const expected = begins ? run.attempt + 1 : run.attempt
  // The first attempt may be counted before it begins.
  const isFirst = !run.hasBegun && attempt <= 1
  if (attempt !== expected && !isFirst) world.violated('no attempt is skipped', told)
  if (to === 'Completed' && run.kind === 'task' && outcome !== undefined && 'value' in outcome) {
    const value = decodeValue(outcome.value as Uint8Array) as { readonly attempt: number }
    if (value.attempt !== attempt)
      world.violated('only the newest attempt counts', `${told} with the result of attempt ${value.attempt}`)
  }
  run.state = to
  run.seq = seq
  run.attempt = Math.max(attempt, run.attempt)
  run.hasBegun ||= begins
}

/** When runs ended, as all saw it. */
function checkCommits({ committed }: World, runs: ReadonlyMap<string, History>): void {
  const journals = new Map<string, (History | undefined)[]>()
  committed.forEach(({ flowRunId, entry }, index) => {
    const known = journals.get(flowRunId) ?? []
    journals.set(flowRunId, known)
    if (entry.kind === 'submitted') known.push(runs.get(entry.runId))
    if (entry.kind !== 'transition' || !isTerminal(entry.to)) return
    const run = known[entry.run]
    if (run !== undefined) run.endedAfter ??= index + 1
  })
}

/** Whether a node may begin an attempt without asking though another has: of two first deliveries of one message neither is marked. */
function isOneOfTwo({ deliveries }: World, key: string, node: string): boolean {
  const got = deliveries.get(key) ?? []
  const own = got.filter((one) => one.node === node)
  return (
    own.every(({ repeated }) => !repeated) &&
    own.some(({ id }) => got.filter((one) => one.id === id).length > 1)
  )
}

function checkBodies(world: World, runs: ReadonlyMap<string, History>): void {
  for (const { runId, label, attempt, node, after } of world.bodies) {
    const run = runs.get(runId)
    if (run === undefined) continue
    // One that is cancelled while its worker is about to begin hears of that when it has begun.
    const isCancelled = run.state === 'Cancelled'
    if (
      run.endedAfter !== undefined &&
      run.endedAfter <= after &&
      !isCancelled &&
      !isOneOfTwo(world, `${runId} ${attempt}`, node)
    )
      world.violated('nothing that has ended runs again', `${label} ${attempt} began at ${node}`)
    // In its own process an owner begins what only it knows of, and what is lost with it.
    const isLocal = node.startsWith('o')
    if (attempt > run.attempt + (isCancelled ? 1 : 0) && !isLocal)
      world.violated(
        'no attempt is skipped',
        `${label} ${attempt} began at ${node}, and is not in the journal`,
      )
  }
  for (const run of runs.values()) {
    if (run.kind !== 'task' || run.state !== 'Completed') continue
    if (!world.bodies.some(({ runId, hadEffect }) => runId === run.runId && hadEffect))
      world.violated('all effects are there', `nothing did what ${run.runId} completed with`)
  }
}

/** What those hear who started a run, and are there to hear it. */
function checkEnds(world: World, runs: ReadonlyMap<string, History>): void {
  for (const { id, plan, life, state, value, error } of world.started) {
    const run = runs.get(id)
    if (life.state !== 'up') continue
    const heard = `${life.name} heard ${state} of ${id}`
    if (run === undefined) {
      world.violated('who starts a run hears of its end', `${heard}, which is nowhere`)
      continue
    }
    if (state !== run.state)
      world.violated(
        'who starts a run hears of its end',
        `${heard}, and it is ${run.state}: ${String(error)}`,
      )
    if (world.cancelled.has(id)) continue
    if (!isDeepStrictEqual(value, resultOf(plan.flow)))
      world.violated('results are right', `${heard} with ${JSON.stringify(value)}: ${String(error)}`)
  }
}
