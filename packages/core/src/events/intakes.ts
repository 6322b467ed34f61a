import { UsageError } from '../base/errors.ts'
import type { AnyFlow } from '../definitions/flow.ts'
import type { NamedFlow } from '../engine/named-flow.ts'
import { intakeSettings, type IntakeOptions } from './intake-options.ts'
import { EventIntake, type IntakeHost } from './intake.ts'
import type { Intake, IntakeStatus } from './intake-types.ts'
import { sourceOf, type EventsOf } from './sources.ts'
import { starterOf } from './start-event.ts'

interface Host extends IntakeHost {
  /** @throws UsageError `ENGINE_CLOSED` */
  checkOpen(): void
}

/** An intake, as the engine that closes sees it. */
interface Closing extends Intake {
  untilRecorded(): Promise<void>
}

/** The intakes of an engine. */
export class Intakes {
  readonly #host: Host
  readonly #open = new Map<string, Closing>()

  constructor(host: Host) {
    this.#host = host
  }

  /** Starts a flow run for each event. @throws UsageError `INVALID_OPTION`, `INVALID_DURATION`, `NO_TRANSPORT`, `ENGINE_CLOSED` */
  open<E>(
    events: EventsOf<E>,
    flow: AnyFlow | NamedFlow | string,
    options: IntakeOptions<E, readonly unknown[]>,
  ): Intake {
    const host = this.#host
    host.checkOpen()
    const source = sourceOf(events)
    const starter = starterOf(host, flow)
    const settings = intakeSettings(options, starter.flow, source)
    const { name } = settings
    if (this.#open.has(name)) {
      const message = `there is an intake ${name} on this engine, and the keys of its events are not those of another one; give this one a \`name\``
      throw new UsageError('INVALID_OPTION', message, { details: { option: 'name' } })
    }
    const ended = (): void => void this.#open.delete(name)
    const intake = new EventIntake<E>({ host, source, starter, settings, ended })
    this.#open.set(name, intake)
    intake.open()
    return intake
  }

  get isAnyOpen(): boolean {
    return this.#open.size > 0
  }

  get statuses(): readonly IntakeStatus[] {
    return [...this.#open.values()].map(({ status }) => status)
  }

  /** Takes nothing new. Resolves when the flow runs of all that was taken are in the journal. */
  async drain(): Promise<void> {
    const open = [...this.#open.values()]
    for (const intake of open) void intake.drain()
    await Promise.all(open.map((intake) => intake.untilRecorded()))
  }

  /** What is not acknowledged goes back. Resolves when nothing that was taken can be lost. */
  async stop(): Promise<void> {
    // Those who waited for ends that have come go on first.
    await new Promise<void>((resolve) => this.#host.clock.turn(resolve))
    await Promise.all([...this.#open.values()].map((intake) => intake.stop()))
  }
}
