import type { Assignment, BodyResult, TaskPool } from '../ports/task-runner.ts'
import type { BodyEvent, Parcel } from '../remote/protocol.ts'
import { copy, type CurrentBody, type Target } from '../runs/current-body.ts'
import { Future } from '../runs/future.ts'
import { runContext } from '../runs/run-context.ts'
import { AttemptContext } from './attempt-context.ts'
import { AttemptServer } from './attempt-server.ts'
import type { BodyArguments } from './concluder.ts'
import { RecordedBody } from './recorded-body.ts'
import type { HandedOver } from './handed-over.ts'
import type { Body, Run } from './run.ts'
import type { Traced } from './traced-run.ts'

/** A body as its task runner sees it, in this thread or in another one. */
export abstract class AssignedBody extends RecordedBody implements Body, Assignment, CurrentBody {
  readonly copy = copy
  abstract readonly lease: number
  abstract readonly order: number
  /** Where the body runs, and where the tasks that it calls do. */
  abstract readonly pool: TaskPool | undefined
  abstract readonly childPool: TaskPool
  abstract override readonly begun: boolean
  abstract readonly liveRuns: readonly Run[]
  abstract override readonly deadline: number | undefined
  /** Why the body was told to stop. */
  reason: unknown
  /** Where it runs, if not on this event loop. */
  place: string | undefined
  /** Where it runs already, as the journal tells: another engine handed it out. */
  runsOn: string | undefined
  /** The offer that it was part of. */
  offer: string | undefined
  /** Its arguments, encoded: where it is executed in another thread. */
  parcel: Parcel = noParcel
  /** There from its beginning to its end, where there is instrumentation. */
  traced: Traced | undefined
  /** Its arguments, or what makes them. */
  protected given: BodyArguments = []
  /** What to call when it is decided what comes of what the body found. */
  #undecided: (() => void)[] | undefined
  #context: AttemptContext | undefined
  #controller: AbortController | undefined
  #server: AttemptServer | undefined

  abstract readonly gated: boolean
  /** What the body found, once it has settled. */
  abstract readonly result: BodyResult | undefined
  abstract invoke(): unknown
  abstract rested(): void
  abstract awaits(target: Target): void
  abstract childEnded(child: Run): void
  abstract wake(go: () => void): void
  abstract beganElsewhere(): boolean
  abstract cancel(reason: unknown): void
  abstract finish(): void
  abstract letGo(reason: unknown): void
  abstract hold(): void
  abstract goOn(): void
  abstract override handOver(item: HandedOver): void
  abstract checkOpen(cleanup: boolean): void

  get arguments(): readonly unknown[] {
    if (typeof this.given === 'function') this.given = this.given()
    return this.given
  }

  get flowRunId(): string {
    return this.run.ledger.flowRunId
  }

  get epoch(): number {
    return this.run.ledger.epoch
  }

  get runId(): string {
    return this.run.id
  }

  get attempt(): number {
    return this.number
  }

  get task(): Assignment['task'] {
    return this.run.definition
  }

  get parentLease(): number | undefined {
    const { caller } = this.run
    return caller?.run.definition.kind === 'task' ? caller.lease : undefined
  }

  get priority(): number {
    return this.run.definition.settings.priority
  }

  get tags(): readonly string[] {
    return this.run.tags
  }

  get timeoutMs(): number | undefined {
    return this.run.definition.settings.timeoutMs
  }

  whenSafe(go: () => void): void {
    const { ledger } = this.run
    this.run.host.whenMailIsRead(ledger.flowRunId, () => ledger.whenSafe(go))
  }

  whenHeard(go: () => void): void {
    const { ledger, host } = this.run
    host.whenMailIsRead(ledger.flowRunId, go)
  }

  whenWriting(go: () => void): void {
    this.run.ledger.whenWriting(go)
  }

  /** Calls the body with the run as its context. */
  protected callBody(): unknown {
    const { instruments } = this.run.host
    const returned =
      instruments === undefined ? this.#calledBody() : instruments.call(this, () => this.#calledBody())
    // A future that was returned is awaited by the body, which may have to lend its slot for it.
    return returned instanceof Future ? runContext.run(this, adopt, returned) : returned
  }

  #calledBody(): unknown {
    return runContext.run(this, this.run.definition.fn, ...this.arguments)
  }

  get lends(): boolean {
    return this.pool?.lends === true
  }

  get context(): AttemptContext {
    return (this.#context ??= new AttemptContext(this))
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.reason !== undefined) this.#controller.abort(this.reason)
    }
    return this.#controller.signal
  }

  /** Tells the body to stop, wherever it is. */
  protected tellToStop(reason: unknown): void {
    this.#controller?.abort(reason)
    this.#server?.abort(reason)
  }

  /**
   * Calls `go` when it is recorded what comes of what the body found: at once where it has found nothing yet, or that is done; never where
   * the run leaves this engine before.
   */
  whenDecided(go: () => void): void {
    if (this.result === undefined || this.over) go()
    else (this.#undecided ??= []).push(go)
  }

  /** What the body found has come to something, or is for the engine that has the run next. @param failure - What it came to */
  protected finished(isGone: boolean, failure: unknown): void {
    if (this.traced !== undefined) this.host.instruments?.finished(this, isGone, failure)
    const waiting = this.#undecided
    this.#undecided = undefined
    if (waiting !== undefined && !isGone) for (const go of waiting) go()
  }

  serve(send: (event: BodyEvent) => void): AttemptServer {
    this.#server = new AttemptServer(this, send)
    return this.#server
  }

  protected endServing(): void {
    this.#server?.close()
    this.#server = undefined
  }
}

const adopt = (future: Future): Promise<unknown> => Promise.resolve(future)
/** Of bodies that are executed here. */
const noParcel: Parcel = { bytes: new Uint8Array() }
