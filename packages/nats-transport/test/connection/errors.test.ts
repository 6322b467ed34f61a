import { JetStreamApiError, JetStreamError } from '@nats-io/jetstream'
import { describe, expect, it } from 'vitest'
import { isPassing } from '../../src/connection/errors.ts'

const refusal = (code: number, err_code: number, description: string): Error =>
  new JetStreamApiError({ code, err_code, description })

describe('what a server refuses', () => {
  // Seen of a cluster that has just begun, whose leader had not heard of a server yet.
  it('is tried again where a server of the cluster is away, and not where none has what is asked for', () => {
    expect(isPassing(refusal(400, 10_005, 'no suitable peers for placement, peer offline'))).toBe(true)
    expect(isPassing(refusal(400, 10_005, 'no suitable peers for placement, tags not matched'))).toBe(false)
  })

  it('is tried again where it has no leader for the moment, and not where it is full', () => {
    expect(isPassing(refusal(503, 10_008, 'JetStream system temporarily unavailable'))).toBe(true)
    expect(isPassing(refusal(503, 10_077, 'maximum messages exceeded'))).toBe(false)
  })

  // Seen of a cluster of three under load, at the first pull of a consumer that had just been made.
  it('is tried again where the consumer that is read is gone, and not where the server refuses to be asked so', () => {
    const answer = (code: number, message: string): Error =>
      Object.assign(new JetStreamError(message), { name: 'JetStreamStatusError', code })
    expect(isPassing(answer(503, 'no responders'))).toBe(true)
    expect(isPassing(answer(409, 'consumer deleted'))).toBe(true)
    expect(isPassing(answer(409, 'leadership change'))).toBe(true)
    expect(isPassing(answer(409, 'server shutdown'))).toBe(true)
    expect(isPassing(new JetStreamError('heartbeats missed'))).toBe(true)
    expect(isPassing(answer(409, 'exceeded maxrequestbatch of 10'))).toBe(false)
    expect(isPassing(answer(400, 'bad request'))).toBe(false)
  })
})
