import { checkTransitions } from '@troupe/core/testing'
import type { Transition } from '@troupe/core'
import type { Entry } from '../../src/journal/entries.ts'
import { foldJournal } from '../../src/journal/history.ts'
import { isTerminal, liveRun, type Begun, type Called, type Checks, type Stage } from './stage.ts'
import type { LimitPlan, RunPlan } from './plan.ts'

/** What can be said when a body begins. */
function checkBeginning(stage: Stage, body: Begun): void {
  const { plan, runId, attempt } = body
  const told = `the body of ${plan.name} began its attempt ${attempt}`
  const last = stage.bodies.findLast((other) => other.runId === runId)
  if (last !== undefined && last.attempt >= attempt)
    stage.violated('one body an attempt', `${told} after its attempt ${last.attempt}`)
  if (last !== undefined && isBusy(last))
    stage.violated('bodies are told to stop', `${told} while attempt ${last.attempt} goes on`)
  const stopped = stoppedAbove(stage, runId)
  if (stopped !== undefined) stage.violated('nothing begins after a cancel', `${told} after ${stopped}`)
  for (const [index, limit] of stage.plan.limits.entries())
    if (isCounted(limit, body)) checkLimit(stage, body, index)
}

function checkLimit(stage: Stage, { plan, runId, at }: Begun, index: number): void {
  const limit = stage.plan.limits[index]
  const slots = stage.slots[index]
  if (limit === undefined || slots === undefined) return
  const holders = new Set([runId])
  const counted = stage.bodies.filter((other) => isCounted(limit, other))
  for (const other of counted) if (isBusy(other)) holders.add(other.runId)
  if (holders.size > slots) {
    const names = [...holders].map((id) => callOf(stage, id)?.plan.name).join(', ')
    stage.violated('limits hold', `${plan.name} began as number ${holders.size} of ${slots}: ${names}`)
  }
  const { rate } = limit
  // One that is raised has no rate any more.
  if (rate === undefined || stage.raised.has(index)) return
  // Times may be fractions of a millisecond, and their sums are not exact.
  const begun = counted.filter((other) => other.at > at - rate.per + 1e-6).length + 1
  if (begun > rate.count)
    stage.violated('limits hold', `${plan.name} began as number ${begun} of ${rate.count} in ${rate.per} ms`)
}

/** Its run surely has its slots: the body goes on, and has not been told to stop. */
function isBusy({ end, signal }: Begun): boolean {
  return end === undefined && !signal.aborted
}

function isCounted({ target }: LimitPlan, { plan, tags }: Pick<Begun, 'plan' | 'tags'>): boolean {
  if ('tag' in target) return plan.kind === 'task' && tags.includes(target.tag)
  return plan.kind === ('task' in target ? 'task' : 'flow')
}

/** What forbids a run to begin: that it was cancelled, or that a body above it was told to stop. */
function stoppedAbove(stage: Stage, runId: string): string | undefined {
  let called = callOf(stage, runId)
  for (; called !== undefined; called = called.caller && callOf(stage, called.caller.runId)) {
    const { plan, cancelled, caller } = called
    if (cancelled) return `a cancel of ${plan.name}`
    if (plan.cleanup) return undefined
    if (caller?.signal.aborted === true) return `the body of ${caller.plan.name} was told to stop`
  }
  return undefined
}

function callOf(stage: Stage, runId: string): Called | undefined {
  return stage.called.find(({ handle }) => handle.id === runId)
}

/** What can be said when a run has ended: a body of it that goes on knows that it should not. */
function checkEnd(stage: Stage, { runId, runName, to }: Transition): void {
  if (isTerminal(to) && stage.bodies.some((body) => body.runId === runId && isBusy(body)))
    stage.violated('bodies are told to stop', `${runName} is ${to.name} while its body goes on`)
}

export const checksWhilePlaying: Checks = { began: checkBeginning, shown: checkEnd }

/** What must hold when a scene is over. */
export async function checkScene(stage: Stage): Promise<void> {
  const runs = new Map<string, Transition[]>()
  for (const transition of stage.live) push(runs, transition.runId, transition)
  checkHistories(stage)
  checkWatchers(stage)
  for (const called of stage.called) {
    const history = runs.get(called.handle.id) ?? []
    const end = history.at(-1)
    if (end === undefined || !isTerminal(end.to)) {
      stage.violated('one terminal state', `${called.plan.name} is ${end?.to.name ?? 'nothing'}`)
      continue
    }
    checkHandle(stage, called, history, end)
    checkBodies(stage, called, history, end)
    checkTimes(stage, called, history, end)
    checkEndsAbove(stage, called, end)
  }
  checkWaits(stage, runs)
  checkSlots(stage)
  checkSlotsInOrder(stage)
  await checkJournals(stage)
}

/** Each history is legal, its numbers have no gap, and no terminal state is left. */
function checkHistories(stage: Stage): void {
  try {
    checkTransitions(stage.live)
  } catch (error) {
    stage.violated('histories are legal', (error as Error).message)
  }
}

/** The stream of the engine, the journal, the transitions of each root and hooks tell the same. */
function checkWatchers(stage: Stage): void {
  const byJournal = new Map<string, string[]>()
  const byRun = new Map<string, string[]>()
  for (const transition of stage.live) {
    const words = wordsFor(transition)
    push(byJournal, transition.flowRunId, words)
    push(byRun, transition.runId, words)
  }
  const watched = new Map<string, string[]>()
  for (const transition of stage.watched) push(watched, transition.flowRunId, wordsFor(transition))
  for (const [flowRunId, words] of byJournal)
    same(stage, `engine.watch of ${flowRunId}`, watched.get(flowRunId), words)
  for (const [runId, seen] of stage.ofRoots)
    same(stage, `the transitions of ${runId}`, seen.map(wordsFor), byJournal.get(runId))
  for (const { plan, handle } of stage.called)
    if (plan.hooked)
      same(
        stage,
        `the hooks of ${plan.name}`,
        stage.ofHooks.get(handle.id)?.map(wordsFor),
        byRun.get(handle.id),
      )
  for (const [runId, states] of stage.states) {
    const live = stage.live.filter((transition) => transition.runId === runId)
    same(
      stage,
      `the states of ${runId}`,
      states.map(({ name, at }) => `${name} ${at}`),
      live.map(({ to, at }) => `${to.name} ${at}`),
    )
  }
}

function wordsFor({ runId, runName, from, to, seq, position, attempt, at }: Transition): string {
  return `${runName} ${runId} ${seq} ${from?.name} ${to.name} (${position}) ${attempt} ${at} ${to.message}`
}

function same(stage: Stage, who: string, seen: readonly string[] = [], told: readonly string[] = []): void {
  const differs = seen.length !== told.length || seen.some((words, index) => words !== told[index])
  if (differs)
    stage.violated('observers agree', `${who}:\n${seen.join('\n')}\nbut all transitions:\n${told.join('\n')}`)
}

/** What the handle shows is the end; a run that was cancelled while it was live ended so. */
function checkHandle(stage: Stage, called: Called, history: readonly Transition[], end: Transition): void {
  const { plan, handle, cancelled } = called
  const { name } = handle.state
  if (name !== end.to.name)
    stage.violated('observers agree', `${plan.name} shows ${name}, not ${end.to.name}`)
  if (cancelled && end.to.name !== 'Cancelled')
    stage.violated('cancel wins', `${plan.name} was cancelled while it was live, and ended ${end.to.name}`)
  const live = liveRun(handle)
  if (live.stateName !== end.to.name || live.seq !== history.length)
    stage.violated('observers agree', `${plan.name} is ${live.stateName} (${live.seq}) in its engine`)
}

/** The result is that of the last attempt, and of a body that had not been told to stop. */
function checkBodies(
  stage: Stage,
  { plan, handle }: Called,
  history: readonly Transition[],
  end: Transition,
): void {
  const bodies = stage.bodies.filter(({ runId }) => runId === handle.id)
  for (const { attempt } of bodies)
    if (!history.some(({ to, attempt: of }) => to.type === 'RUNNING' && of === attempt))
      stage.violated('one body an attempt', `${plan.name} never was in attempt ${attempt}`)
  const result = stage.results.find(({ runId }) => runId === handle.id)
  const body = bodies.at(-1)
  if (result === undefined || end.to.name === 'Cached') return
  if (end.to.name === 'Completed') {
    if (body?.attempt !== end.attempt || body.end?.kind !== 'returned' || body.end.wasStopped)
      stage.violated(
        'one result',
        `${plan.name} completed in attempt ${end.attempt} with what no body returned in time`,
      )
  }
  const words =
    'value' in result ? result.value : result.error instanceof RangeError ? result.error.message : undefined
  if (
    typeof words === 'string' &&
    words.startsWith(`${plan.name}@`) &&
    words !== `${plan.name}@${end.attempt}`
  )
    stage.violated('one result', `${plan.name} ended in attempt ${end.attempt} with ${words}`)
}

/** Limits of time expire at their moment, and what comes after it does not count. What is cancelled ends within its grace. */
function checkTimes(
  stage: Stage,
  { plan, handle }: Called,
  history: readonly Transition[],
  end: Transition,
): void {
  if (plan.kind === 'flow' || plan.calls.length > 0 || plan.waitsForLast || plan.cached) return
  const body = stage.bodies.findLast(({ runId }) => runId === handle.id)
  if (
    end.to.name === 'Completed' &&
    plan.timeout !== false &&
    body !== undefined &&
    end.at > body.at + plan.timeout
  )
    stage.violated('time limits hold', `${plan.name} completed ${end.at - body.at} ms after it began`)
  const cancelling = history.find(({ to }) => to.name === 'Cancelling')
  if (cancelling !== undefined && end.at > cancelling.at + plan.grace)
    stage.violated('time limits hold', `${plan.name} was cancelled for ${end.at - cancelling.at} ms`)
  if (end.to.name === 'TimedOut') checkTimedOut(stage, plan, history, body)
}

/** A body times out at its limit, and a run that does not begin when it has waited as long as it may. */
function checkTimedOut(
  stage: Stage,
  plan: RunPlan,
  history: readonly Transition[],
  body: Begun | undefined,
): void {
  const [first, from, end] = [history[0], history.at(-2), history.at(-1)]
  if (first === undefined || from === undefined || end === undefined) return
  const isRunning = from.to.type === 'RUNNING'
  if (isRunning && body?.attempt === end.attempt) {
    // `retryOn` may take its time.
    if (plan.retryOn === undefined && end.at !== body.at + Number(plan.timeout))
      stage.violated('time limits hold', `${plan.name} timed out ${end.at - body.at} ms after it began`)
    return
  }
  // A pause makes it wait anew; and when it came back from a wait for its retry is not told.
  if (stage.paused.size > 0 || (body !== undefined && !isRunning)) return
  const since = body === undefined ? first : from
  if (end.at !== since.at + Number(plan.waitTimeout))
    stage.violated('time limits hold', `${plan.name} waited ${end.at - since.at} ms`)
}

/** A run ends after all that its body submitted. */
function checkEndsAbove(stage: Stage, { plan, handle, caller }: Called, end: Transition): void {
  if (caller === undefined) return
  const above = stage.live.findIndex(
    ({ runId, to, attempt }) =>
      runId === caller.runId &&
      (isTerminal(to) ||
        attempt > caller.attempt ||
        (attempt === caller.attempt && to.name === 'AwaitingRetry')),
  )
  if (above !== -1 && above < stage.live.indexOf(end))
    stage.violated('children end first', `${plan.name} (${handle.id}) ended after ${caller.plan.name}`)
}

/** Whoever waited heard of the end that there was. */
function checkWaits(stage: Stage, runs: ReadonlyMap<string, readonly Transition[]>): void {
  const told = (runId: string, what: string): void => {
    const name = callOf(stage, runId)?.plan.name
    stage.violated('observers agree', `${name} ended ${runs.get(runId)?.at(-1)?.to.name}, but ${what}`)
  }
  for (const { runId, state } of stage.waits)
    if (state.name !== runs.get(runId)?.at(-1)?.to.name) told(runId, `its wait() gave ${state.name}`)
  for (const result of stage.results) {
    const type = runs.get(result.runId)?.at(-1)?.to.type
    const { code } = (result.error ?? {}) as { code?: string }
    if ('value' in result !== (type === 'COMPLETED'))
      told(result.runId, `its result was ${String(result.error)}`)
    if (type === 'CANCELLED' && code !== 'RUN_CANCELLED')
      told(result.runId, `its result was ${String(result.error)}`)
  }
  const asked = new Set(stage.waits.map(({ runId }) => runId))
  for (const { plan, handle } of stage.called)
    if (!asked.has(handle.id)) stage.violated('observers agree', `wait() of ${plan.name} never resolved`)
}

/** No slot is held or waited for when all is over. */
function checkSlots(stage: Stage): void {
  for (const { held, waiting, ...limit } of stage.engine.limits.list())
    if (held !== 0 || waiting !== 0)
      stage.violated(
        'nothing is held in the end',
        `${JSON.stringify(limit)}: ${held} held, ${waiting} waiting`,
      )
  const { liveRuns, leftovers, stalled } = stage.engine.health()
  if (liveRuns > 0 || leftovers.length > 0 || stalled.length > 0)
    stage.violated('nothing is held in the end', JSON.stringify(stage.engine.health()))
}

/** In the order of one journal, runs hold a slot from their beginning to their end, or to their wait for a retry. */
function checkSlotsInOrder(stage: Stage): void {
  for (const [index, limit] of stage.plan.limits.entries()) {
    const slots = stage.slots[index] ?? 0
    const holders = new Map<string, Set<string>>()
    for (const { flowRunId, runId, runName, to, attempt } of stage.live) {
      const called = callOf(stage, runId)
      if (called === undefined || !isCounted(limit, { plan: called.plan, tags: tagsOf(called) })) continue
      const held = holders.get(flowRunId) ?? new Set()
      holders.set(flowRunId, held)
      if (isTerminal(to) || to.name === 'AwaitingRetry') held.delete(runId)
      // One that may not begin again passes through Retrying on its way to its end, without a slot and a body.
      else if (to.type === 'RUNNING' && hasBody(stage, runId, attempt)) held.add(runId)
      if (held.size > slots)
        stage.violated(
          'limits hold',
          `${runName} is number ${held.size} of ${slots} in the journal of ${flowRunId}`,
        )
    }
  }
}

function hasBody(stage: Stage, runId: string, attempt: number): boolean {
  return stage.bodies.some((body) => body.runId === runId && body.attempt === attempt)
}

function tagsOf({ plan, caller }: Called): readonly string[] {
  return caller === undefined ? plan.tags : [...plan.tags, ...caller.tags]
}

/** What each journal says of its runs is what the engine has of them. */
async function checkJournals(stage: Stage): Promise<void> {
  const recorded = new Map<
    string,
    { stateName: string; seq: number; attempt: number; tries: number; recoveries: number }
  >()
  for (const flowRunId of new Set(stage.live.map((transition) => transition.flowRunId))) {
    const entries = await stage.journal.read(flowRunId, 1, Number.POSITIVE_INFINITY)
    for (const run of foldJournal(flowRunId, entries).runs) recorded.set(run.submitted.runId, run)
    checkRetryTimes(stage, entries)
  }
  for (const { plan, handle } of stage.called) {
    const live = liveRun(handle)
    const { attempt, tries, recoveries } = live.context
    const words = `${live.stateName} ${live.seq} ${attempt} ${tries} ${recoveries}`
    const run = recorded.get(handle.id)
    const told = run && `${run.stateName} ${run.seq} ${run.attempt} ${run.tries} ${run.recoveries}`
    if (words !== told)
      stage.violated('the journal is the state', `${plan.name} is ${words}, its journal says ${told}`)
  }
}

/** No attempt begins, or asks for its slots, before its time. */
function checkRetryTimes(stage: Stage, entries: readonly Entry[]): void {
  const due = new Map<number, number>()
  for (const entry of entries) {
    if (entry.kind !== 'transition') continue
    const until = due.get(entry.run)
    due.set(entry.run, entry.until ?? 0)
    if (until !== undefined && entry.at < until && entry.to !== 'Cancelled')
      stage.violated(
        'time limits hold',
        `run ${entry.run} is ${entry.to} at ${entry.at}, and not at ${until}`,
      )
  }
}

function push<T>(lists: Map<string, T[]>, key: string, item: T): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [item])
  else list.push(item)
}
