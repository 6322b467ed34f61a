import { CodecError } from '@troupe/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  packFlow,
  packOffer,
  unpackFlow,
  unpackOffer,
  type OfferedBody,
  type RemoteOffer,
} from '../../src/remote/offers.ts'

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

const plain: OfferedBody = {
  task: { name: 'read', version: '1' },
  start: {
    runId: 'flow.one',
    flowRunId: 'flow',
    name: 'read',
    runName: 'read-1',
    attempt: 1,
    tags: [],
    args: { bytes: bytes(1, 2, 3) },
  },
  facts: { cleanup: false, draws: [], ids: [], tryFrom: 1 },
  timeoutMs: undefined,
}

const rare: OfferedBody = {
  task: { name: 'write', version: '2' },
  start: {
    // A task run outside any flow is its own root.
    runId: 'flow',
    flowRunId: 'flow',
    name: 'write, renamed',
    runName: 'write ☃',
    attempt: 3,
    tags: ['a', 'b'],
    args: { bytes: bytes() },
  },
  facts: {
    cleanup: true,
    draws: [
      ['now', 17],
      ['uuid', 'u'],
    ],
    ids: [['task\u0000read\u00001\u0000hash', 'flow.two']],
    tryFrom: 2,
  },
  timeoutMs: 1_500,
}

const flow = {
  id: 'flow',
  name: 'f',
  runName: 'f',
  flowRunId: 'flow',
  attempt: 1,
  parameters: { value: ['file', new Date(0)] },
  tags: ['t'],
}

const offer: RemoteOffer = {
  flowRunId: 'flow',
  owner: { node: 'owner', topic: 'tasks x', epoch: 7 },
  strict: true,
  flow: packFlow(flow),
  bodies: [plain, rare, { ...plain, start: { ...plain.start, runId: 'flow.three' } }],
}

describe('an offer', () => {
  it('comes back as it was', () => {
    expect(unpackOffer(packOffer(offer))).toEqual(offer)
    const alone = { ...offer, strict: false, flow: undefined, bodies: [rare] }
    expect(unpackOffer(packOffer(alone))).toEqual(alone)
  })

  it('says why the parameters of its flow run are not there where they are large', () => {
    expect(unpackFlow(packFlow(flow))).toEqual(flow)
    const packed = packFlow({ ...flow, parameters: { value: ['x'.repeat(20_000)] } })
    expect(packed.length).toBeLessThan(2_000)
    expect(unpackFlow(packed).parameters).toMatchObject({ error: { code: 'PAYLOAD_TOO_LARGE' } })
  })

  it('of sixteen small task runs takes less than 60 bytes for each', () => {
    const bodies = Array.from({ length: 16 }, (_, n) => ({
      ...plain,
      start: { ...plain.start, runId: `flow.abcdefghijklmnop${n}` },
    }))
    expect(packOffer({ ...offer, flow: undefined, bodies }).length).toBeLessThan(16 * 60)
  })

  it('that is cut off, longer than it says, or not one at all is refused', () => {
    const whole = packOffer(offer)
    for (let length = 0; length < whole.length; length++)
      expect(() => unpackOffer(whole.subarray(0, length))).toThrow(CodecError)
    expect(() => unpackOffer(Uint8Array.from([...whole, 0]))).toThrow(/longer/)
    expect(() => unpackOffer(bytes(0, 0, 0, 1, 5))).toThrow(/not written by Troupe/)
  })

  it('that is damaged anywhere is refused with an error of its class, or is another one', () => {
    const whole = packOffer(offer)
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const damaged = whole.slice()
        damaged[at] = (damaged[at] ?? 0) ^ change
        const error = thrownBy(() => unpackOffer(damaged))
        expect(error === undefined || error instanceof CodecError).toBe(true)
      }),
    )
  })

  it('of a newer format is told from a damaged one', () => {
    const whole = packOffer(offer)
    // The format stands behind the length of the tree and the head of the list.
    const newer = whole.slice()
    newer[5] = 2
    expect(() => unpackOffer(newer)).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_FORMAT' }) as Error)
  })
})

function thrownBy(fn: () => unknown): unknown {
  try {
    fn()
    return undefined
  } catch (error) {
    return error
  }
}
