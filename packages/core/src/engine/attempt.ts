import { RunError, TroupeError, UsageError } from '../base/errors.ts'
import type { BodyResult, TaskPool } from '../ports/task-runner.ts'
import type { Target } from '../runs/current-body.ts'
import { AssignedBody } from './assigned-body.ts'
import type { Dependency } from './dependencies.ts'
import { stalled } from './divergence.ts'
import { Handover } from './handover.ts'
import { LiveRuns } from './live-runs.ts'
import type { AttemptInit, Concluder, Cut } from './concluder.ts'
import { liveBelow, pausedAbove } from './run-tree.ts'
import { recordNote } from './notes.ts'
import { LentSlot } from './lent-slot.ts'
import type { Replay } from './replay.ts'
import { TimeLimit } from './time-limit.ts'
import { cancelRun } from './cancel-run.ts'
import {
  cancelledError,
  cancellingError,
  crashedError,
  endedError,
  noInputInTimeError,
  poisonedError,
  timedOutError,
} from './run-errors.ts'
import type { HandedOver } from './handed-over.ts'
import { Run, type RunHost } from './run.ts'

/**
 * One start of a body, and everything that belongs to it: the runs that it submitted, what it is handed and in which
 * order, its waits, its signal, its slot.
 */
export class Attempt extends AssignedBody {
  readonly host: RunHost
  readonly run: Run
  readonly number: number
  /** The attempt with which this try began: this one, or the one that a lost host ended. */
  readonly tryFrom: number
  readonly lease: number
  readonly order: number
  /** Where the body runs, and where the tasks that it calls do. */
  readonly pool: TaskPool | undefined
  readonly childPool: TaskPool
  /** What the body found, once it has settled. */
  result: BodyResult | undefined
  /** Runs submitted. */
  submitted = 0
  /** Runs that failed, in order of their ends. */
  failures: Run[] | undefined
  replay: Replay | undefined
  /** Subflows that it started by an id or a key: a second call with it gives the same run. */
  keyed: Map<string, Run> | undefined
  /** Whether all that it waits for has come but for room in its runner. */
  isAdmitted = false
  /** Whether the body has been let begin. */
  begun = false
  /** Whether the run goes on without this body: it ended, was tried again, or left this engine. */
  over = false
  /** What ended it in place of its body. */
  cut: Cut | undefined
  /** Whether it is being asked if another attempt is to follow. */
  isDeciding = false
  /** Wall time from which its time limit counts, where that is not its own beginning. */
  countsFrom: number | undefined
  readonly #life: Concluder<Attempt>
  readonly gated: boolean
  #live = noRuns
  #handover: Handover | undefined
  #isLeftover = false
  #settled = false
  #limit: TimeLimit | undefined
  #graceOver = false
  #isInputLate = false
  #gone = false
  #lentSlot: LentSlot | undefined
  #stopGrace: (() => void) | undefined
  /** Of a flow's body: attempts that may not begin while the flow run is paused. */
  #waitingToBegin: Set<Attempt> | undefined

  constructor(init: AttemptInit<Attempt>) {
    super()
    this.host = init.host
    this.run = init.run
    this.number = init.number
    this.tryFrom = init.tryFrom
    this.given = init.args
    this.order = init.order
    this.lease = init.host.next()
    this.gated = init.gated
    this.#life = init.life
    const { definition, caller } = init.run
    const inherited = caller?.childPool
    if (definition.kind === 'task') {
      this.pool = inherited ?? init.host.pool(definition.settings.taskRunner)
      this.childPool = this.pool
    } else {
      this.pool = undefined
      const own = definition.settings.taskRunner
      this.childPool = own === undefined && inherited !== undefined ? inherited : init.host.pool(own)
    }
  }

  get deadline(): number | undefined {
    return this.#limit?.deadline
  }

  get upstreams(): readonly Dependency[] {
    return this.#life.upstreams
  }

  /** What the body sees, in which order. */
  get handover(): Handover {
    return (this.#handover ??= new Handover(this.host, (expected) => this.#isStalled(expected)))
  }

  /** While its flow run is paused nothing is expected of a body. */
  #isStalled(expected: string): void {
    if (pausedAbove(this.run) === undefined) stalled(this, expected)
    else this.handover.begin()
  }

  // --- the body ---------------------------------------------------------------------------------------------------

  /** The body is about to begin. @returns Whether it may. */
  begin(host?: string): boolean {
    const { run } = this
    // Reported again by the node where it runs.
    if (this.begun && host !== undefined && host === this.place) return !this.over && run.body === this
    if (
      this.over ||
      this.begun ||
      !this.isAdmitted ||
      run.body !== this ||
      run.caller?.over === true ||
      run.ledger.lost
    )
      return false
    // Where it has begun already, in another thread, it runs as others do that were running.
    if (host === undefined && this.isPostponed()) return false
    this.place = host
    // A first attempt of a try moves its run here; a retry at once was moved when the last attempt failed.
    if (run.stateName === 'Recovering') this.#recover()
    else if (run.stateName !== 'Retrying') run.move({ type: 'start' })
    this.begun = run.stateName === 'Running' || run.stateName === 'Retrying'
    if (this.begun) {
      run.held?.begun()
      this.host.instruments?.began(this)
      const { timeoutMs } = run.definition.settings
      if (timeoutMs !== undefined) this.#limitTo(timeoutMs)
    }
    return this.begun
  }

  /** The body runs on another node already, since `since`: it outlived the engine that had handed it out. */
  isRunningOn(host: string, since: number): void {
    this.runsOn = host
    this.place = host
    this.begun = true
    this.countsFrom = since
    this.host.instruments?.began(this, since)
    const { timeoutMs } = this.run.definition.settings
    if (timeoutMs !== undefined) this.#limitTo(timeoutMs)
  }

  /** Whether it may not begin because its flow run is paused. What others wait for is theirs meanwhile; it asks again later. */
  isPostponed(): boolean {
    const paused = pausedAbove(this.run)?.body as Attempt | undefined
    if (paused === undefined) return false
    this.run.standBack()
    this.isAdmitted = false
    ;(paused.#waitingToBegin ??= new Set()).add(this)
    this.pool?.stop(this)
    return true
  }

  /** The body can't begin where its task runner would execute it. */
  refuse(error: TroupeError): void {
    if (!this.begun && !this.over && this.run.body === this) this.#life.refused(this, error)
  }

  #limitTo(ms: number): void {
    const { clock } = this.host
    this.#limit = new TimeLimit(clock, (this.countsFrom ?? clock.now()) + ms, () =>
      this.#endLate(timedOutError(this.run, ms)),
    )
  }

  /** The time of the attempt is up: the body is told, what it submitted is cancelled, and what it makes of it is dropped. */
  #endLate(error: RunError): void {
    if (this.over || this.run.stateName === 'Cancelling') return
    // One that crashed or was lost stays so: the cause that came first decides.
    if (this.cut === undefined) this.cutShort('timeOut', error)
    this.#cancelChildren('its caller ran out of time', true)
    this.tryEnd()
  }

  inputTimedOut(): void {
    this.#isInputLate = true
    this.#endLate(noInputInTimeError(this.run))
  }

  /** The attempt ends whatever its body does. */
  cutShort(cut: Cut, reason: RunError): void {
    const unsettled = this.result === undefined
    this.cut = cut
    this.reason = reason
    this.result = { error: reason }
    this.tellToStop(reason)
    this.endWaits(reason)
    this.#handover?.resume()
    if (unsettled && cut === 'timeOut') this.pool?.stop(this)
  }

  #isLeftBehind(after: string): void {
    this.#isLeftover = true
    this.host.leftover(this.run, true, after)
  }

  /** The body runs again after its host was lost, or has been lost too often. */
  #recover(): void {
    const { run } = this
    const { maxRecoveries } = run.definition.settings
    const poisoned = poisonedError(run)
    const message = run.context.recoveries > maxRecoveries ? `Poisoned: ${poisoned.message}` : undefined
    run.move({ type: 'start', maxRecoveries }, message, { failure: run.host.values.saveError(poisoned) })
    if (run.ended) this.finish()
  }

  invoke(): unknown {
    if (!this.gated) return this.#call()
    return new Promise<void>((resolve) => this.run.ledger.whenSafe(resolve)).then(() => {
      // Cancelled while the journal was asked: the body has not begun, and does not.
      if (this.over || this.run.stateName === 'Cancelling') throw this.reason
      return this.#call()
    })
  }

  #call(): unknown {
    if (this.replay !== undefined) this.handover.begin()
    return this.callBody()
  }

  #isSettled(): void {
    this.#settled = true
    this.endServing()
    if (this.#isLeftover) this.host.leftover(this.run, false, '')
    this.#isLeftover = false
  }

  /** The body has settled; what it found counts unless the run has gone on without it. */
  settle(result: BodyResult): void {
    this.#isSettled()
    if (this.result !== undefined) return
    this.result = result
    if (this.over) return
    if ('error' in result && this.run.definition.settings.onBodyError === 'cancel') {
      this.#cancelChildren('the body of its caller threw', true)
    }
    this.tryEnd()
  }

  // --- the runs that it submitted ---------------------------------------------------------------------------------

  /** Whether the body may submit a run now. @throws UsageError `RUN_ENDED`, `RUN_CANCELLING` */
  checkOpen(cleanup: boolean): void {
    const { run } = this
    const isCut = this.cut !== undefined
    if (isCut || this.over || run.ended) throw endedError(run, isCut ? this.reason : undefined)
    if (run.stateName === 'Cancelling' && !(cleanup && !this.#graceOver)) throw cancellingError(run)
  }

  childStarted(child: Run): void {
    this.submitted++
    if (!child.ended) this.#live = this.#live === noRuns ? new LiveRuns().add(child) : this.#live.add(child)
  }

  childEnded(child: Run): void {
    this.#live.delete(child)
    if (!child.completed && child.stateName !== 'Cancelled') (this.failures ??= []).push(child)
    if (this.result !== undefined) this.tryEnd()
  }

  get liveRuns(): readonly Run[] {
    return this.#live.inOrder()
  }

  /** How many runs that it submitted are live. */
  get liveChildren(): number {
    return this.#live.size
  }

  /** Ends the run, or its attempt, when the body and all that it submitted have ended. */
  tryEnd(): void {
    if (this.over || this.result === undefined) return
    if (this.#live.size > 0) return
    if (this.run.stateName === 'Paused' && !this.#isInputLate) return
    if (this.run.stateName !== 'Cancelling') {
      this.#life.conclude(this)
      return
    }
    if (this.#life.endUncalled(this) && this.#live.size > 0) return
    this.endCancelled(this.reason)
  }

  /** The last step of a cancellation. */
  endCancelled(reason: unknown): void {
    const { run } = this
    const error =
      TroupeError.is(reason, 'RUN_CANCELLED') && reason.details['runId'] === run.id
        ? reason
        : cancelledError(run, reason)
    run.move({ type: 'cancelled' }, error.message, { failure: run.host.values.saveError(error) })
    this.finish(error)
  }

  // --- what it is handed ------------------------------------------------------------------------------------------

  handOver(item: HandedOver): void {
    // After the body has ended, somebody else may still hold the future.
    if (!this.over) this.handover.push(item)
    else if (!this.#gone) item.deliver(() => undefined)
  }

  awaits(run: Target): void {
    if (!(run instanceof Run)) return
    if (this.run.descendsFrom(run)) {
      const whose = run === this.run ? 'its own run' : 'a run that it is part of'
      throw new UsageError(
        'DEADLOCK',
        `the body of ${this.run.runName} awaits ${whose}, which can't end before it`,
        {
          details: { runId: this.run.id, awaited: run.id },
        },
      )
    }
    if (run.shownTo(this) || !this.lends || this.isOver) return
    run.audience(this).lent(this)
    this.#slot.lend()
  }

  wake(go: () => void): void {
    if (this.pool === undefined || this.over) go()
    else this.#slot.reclaim(go)
  }

  rested(): void {
    this.#lentSlot?.rested()
  }

  get #slot(): LentSlot {
    return (this.#lentSlot ??= new LentSlot(this))
  }

  /** Whether the body has ended, or its run goes on without it. */
  get isOver(): boolean {
    return this.over || this.result !== undefined
  }

  // --- its end ----------------------------------------------------------------------------------------------------

  /** The run is being cancelled: tells the body and the runs that it submitted, and waits for them within the grace. */
  cancel(reason: unknown): void {
    const { run, host } = this
    this.reason = cancelledError(run, reason)
    this.#limit?.stop()
    this.tellToStop(this.reason)
    this.endWaits(this.reason)
    // A paused body is handed how its runs end after all.
    this.#handover?.resume()
    this.#cancelChildren(reason, false)
    if (!this.begun) {
      this.pool?.stop(this)
      this.result = { error: this.reason }
    }
    // What waited for the end of a pause, and is not cancelled, begins now.
    this.#launchWaiting()
    if (this.result === undefined || this.#live.size > 0) {
      this.#stopGrace = host.clock.at(host.clock.now() + run.definition.settings.graceMs, () =>
        this.#graceIsOver(reason),
      )
    }
    this.tryEnd()
  }

  #graceIsOver(reason: unknown): void {
    if (this.over) return
    this.#graceOver = true
    // Where its thread can be ended, the run is cancelled when it has.
    if (this.result === undefined && this.pool?.stops === true) this.pool.stop(this)
    else if (this.result === undefined) this.#leaveBehind()
    this.#cancelChildren(reason, true)
    this.tryEnd()
  }

  /** The body goes on though its run ends. */
  #leaveBehind(): void {
    recordNote(
      this.run,
      'leftover',
      `the body of ${this.run.runName} did not settle within its grace, and may still be running`,
    )
    this.#isLeftBehind('its grace')
    this.result = { error: this.reason }
  }

  /** @param all - Whether cleanup runs are cancelled, too. */
  #cancelChildren(reason: unknown, all: boolean): void {
    for (const child of this.#live.inOrder()) {
      if (all || !child.definition.settings.cleanup) cancelRun(child, reason)
    }
  }

  /** The run goes on without this body. @param failure - With what it ended */
  finish(failure?: unknown): void {
    const wasOver = this.over
    this.over = true
    this.finished(this.#gone, failure)
    this.#limit?.stop()
    this.#stopGrace?.()
    this.endWaits(this.#gone ? undefined : this.reason)
    if (this.#gone) this.#handover?.stop()
    else this.#handover?.flush()
    this.replay = undefined
    // One that heeds its signal, or is handed the end of what it waits for, settles before the next turn.
    if (this.cut === 'timeOut' && !this.#settled && !wasOver && this.pool?.stops !== true)
      this.host.clock.turn(() => {
        if (!this.#settled) this.#isLeftBehind('its time limit')
      })
    if (this.result !== undefined) return
    // It goes on where it is, for the engine that has the run next; or else is withdrawn where it has not begun, and stopped
    // where it has not settled, if the runner can.
    if (this.#gone && this.pool?.outlives === true) this.pool.leave?.(this)
    else this.pool?.stop(this)
  }

  /**
   * The run leaves this engine: the body is told to stop, and what it waits for stays pending for ever, so that it does
   * not compensate for what another node, or a later replay, goes on with.
   */
  letGo(reason: unknown): void {
    if (this.over) return
    for (const child of this.#live.inOrder()) child.letGo(reason)
    this.reason ??= reason
    this.#gone = true
    this.finish()
    if (!this.begun || this.result !== undefined || this.pool?.outlives === true) return
    // It may wait for ever for something of this engine: its slot goes to others.
    if (this.lends) this.pool?.lend(this)
    this.tellToStop(reason)
  }

  /** The run is paused: nothing is handed to the body. */
  hold(): void {
    if (this.over) return
    this.handover.hold()
    this.#limit?.hold()
    this.rests()
    // Where bodies begin without asking, those that have not yet are taken back.
    if (this.childPool.withdraw === undefined) return
    for (const { body } of liveBelow(this.run))
      if (body instanceof Attempt && body.isAdmitted && !body.begun && !body.beganElsewhere())
        body.isPostponed()
  }

  /** The run goes on: what waited for that begins, and the body is handed what came meanwhile. */
  goOn(): void {
    if (this.over) return
    this.handover.resume()
    this.#limit?.goOn()
    this.#launchWaiting()
    this.tryEnd()
  }

  beganElsewhere(): boolean {
    return !this.begun && this.pool?.withdraw?.(this) === false
  }

  #launchWaiting(): void {
    const waiting = this.#waitingToBegin ?? new Set()
    this.#waitingToBegin = undefined
    for (const attempt of waiting) attempt.#life.launch(attempt)
  }

  /** The place where the body ran is gone: the body brought it down, or it was lost with whatever else was there. */
  lost({ crashed, error }: { readonly crashed: boolean; readonly error: unknown }): void {
    const { run } = this
    if (!this.begun) {
      // It was withdrawn, or nothing of it ran: it is assigned again.
      if (!this.isOver) this.#life.launch(this)
      return
    }
    this.#isSettled()
    if (this.isOver || run.body !== this) return
    if (run.stateName === 'Cancelling') {
      this.result = { error: this.reason }
      this.tryEnd()
      return
    }
    run.rarely.lastLoss = error
    const what = crashed ? 'brought its host down' : 'lost its host'
    this.cutShort(crashed ? 'crash' : 'hostLost', crashedError(run, what, error))
    if (crashed && run.definition.settings.onBodyError === 'cancel')
      this.#cancelChildren('the body of its caller crashed', true)
    this.tryEnd()
  }

  /** What is decided on the attempt now is not changed by its time limit. */
  isJudged(): void {
    this.#limit?.stop()
  }
}

/** What most bodies have submitted; never added to. */
const noRuns = new LiveRuns()
