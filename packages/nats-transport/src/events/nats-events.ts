import type { EventSource, EventTaker, EventTap } from '@troupe/core'
import { eventsSettingsOf, type EventsSettings, type NatsEventsOptions } from './options.ts'
import { JetStreamTap } from './tap.ts'
import { usualEventTimes, type EventTimes } from './times.ts'

/**
 * The messages of a durable consumer of NATS JetStream as events, for `engine.on`. Each is acknowledged when its flow run is
 * recorded, and what can't become a flow run is kept as a dead letter. Constructing it connects to nothing; an intake has a
 * connection of its own.
 *
 * @throws {@link UsageError} `INVALID_OPTION`, `INVALID_DURATION`
 * @public
 */
export function natsEvents<E = unknown>(options: NatsEventsOptions<E>): EventSource<E> {
  return new NatsEvents(eventsSettingsOf(options), usualEventTimes)
}

/** With other times, for tests. */
export function natsEventsWith<E = unknown>(
  options: NatsEventsOptions<E>,
  times: Partial<EventTimes>,
): EventSource<E> {
  return new NatsEvents(eventsSettingsOf(options), { ...usualEventTimes, ...times })
}

class NatsEvents<E> implements EventSource<E> {
  readonly name: string
  readonly redelivers = true
  readonly keepsDeadLetters = true
  readonly #settings: EventsSettings<E>
  readonly #times: EventTimes

  constructor(settings: EventsSettings<E>, times: EventTimes) {
    this.#settings = settings
    this.#times = times
    this.name = `consumer ${settings.consumer} of stream ${settings.stream}`
  }

  open(taker: EventTaker<E>): EventTap {
    return new JetStreamTap(this.#settings, taker, this.#times)
  }
}
