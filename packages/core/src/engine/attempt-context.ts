import { derivedId, uuidV4 } from '../base/ids.ts'
import { withFields } from '../base/logger.ts'
import type { Definition } from '../definitions/definition.ts'
import type { Awaited, BodyContext, Target } from '../runs/current-body.ts'
import { notInFlow } from '../runs/not-in-flow.ts'
import type { CurrentRun } from '../runs/types.ts'
import type { BodyDraws } from './body-draws.ts'
import type { BodyWaits } from './body-waits.ts'
import { Run, type Body, type RunHost } from './run.ts'

/** The attempt whose body acts. */
interface Acting extends Body {
  readonly host: RunHost
  readonly signal: AbortSignal
  ordinal(identity: string): number
  readonly draws: BodyDraws
  readonly waits: BodyWaits
  checkOpen(cleanup: boolean): void
}

/** The run context of a body whose engine is in this process. */
export class AttemptContext implements BodyContext {
  readonly #attempt: Acting

  constructor(attempt: Acting) {
    this.#attempt = attempt
  }

  get kind(): 'flow' | 'task' {
    return this.#attempt.run.kind
  }

  describe(): CurrentRun {
    const attempt = this.#attempt
    const { run, host, number } = attempt
    const { flowRunId } = run.ledger
    return {
      id: run.id,
      name: run.name,
      runName: run.runName,
      flowRunId,
      attempt: number,
      parameters: attempt.arguments,
      tags: run.tags,
      get signal() {
        return attempt.signal
      },
      get logger() {
        const fields = { flowRunId, runId: run.id, run: run.runName, attempt: number }
        return withFields(host.logger, fields, (error) => host.report(error, run))
      },
      progress: (fraction, message) => host.progressed(run, fraction, message),
    }
  }

  describeFlow(): CurrentRun | undefined {
    if (this.kind === 'flow') return this.describe()
    return this.#attempt.run.caller?.context.describeFlow()
  }

  call(definition: Definition, args: readonly unknown[]): Target {
    return this.#attempt.host.call(definition, args, this.#attempt)
  }

  checkActing(): void {
    this.#attempt.checkOpen(this.#attempt.run.definition.settings.cleanup)
  }

  now(): number {
    const { draws, host } = this.#attempt
    return draws.draw('now', () => host.clock.now())
  }

  random(): number {
    const { draws, host } = this.#attempt
    return draws.draw('random', () => host.random.number())
  }

  uuid(): string {
    const { draws, host } = this.#attempt
    return draws.draw('uuid', () => uuidV4(host.random))
  }

  sleep(ms: number): Promise<void> {
    const { waits, host } = this.#attempt
    return waits.until(host.clock.now() + ms).done
  }

  sleepUntil(time: number): Promise<void> {
    return this.#attempt.waits.until(time).done
  }

  message(awaited: Awaited, timeoutMs: number | undefined): Promise<unknown> {
    const { waits, host, run } = this.#attempt
    if (run.kind !== 'flow') throw notInFlow(awaited, run.name)
    return waits.message(awaited, timeoutMs === undefined ? undefined : host.clock.now() + timeoutMs)
  }

  messageId(target: Target, name: string): string {
    const attempt = this.#attempt
    const ordinal = attempt.ordinal(`message ${target.id} ${name}`)
    // The same in each try: what it was told in a failed one, the receiver has heard.
    return derivedId([attempt.run.id, 'message', target.id, name, ordinal])
  }

  isPartOf(run: Target): boolean {
    return run instanceof Run && this.#attempt.run.descendsFrom(run)
  }
}
