/** No nats-server could be had, or one did not start. The message says what to do. */
export class NatsServerError extends Error {
  override readonly name = 'NatsServerError'
}
