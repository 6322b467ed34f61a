import { encryption, type Station } from '@troupe/core'
import { afterEach, describe, expect, it } from 'vitest'
import { natsTransport, type NatsTransportOptions } from '../../src/index.ts'
import { until } from '../faults/harness/until.ts'
import { useServer, versions } from '../servers/index.ts'
import { freshNamespace, hostOf } from '../support.ts'

const queue = { of: 'task', name: 'q' } as const
const [oldKey, newKey] = [1, 2].map((byte) => encryption({ key: new Uint8Array(32).fill(byte) }))
const body = new TextEncoder().encode('body')

describe.each(versions)('what a node can not open, on the %s server', (version) => {
  const server = useServer({ version })
  const ends: (() => Promise<void>)[] = []
  let namespace = ''

  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end()
    namespace = ''
  })

  function open(options: NatsTransportOptions, reports: unknown[] = []): Station {
    namespace ||= freshNamespace()
    const station = natsTransport({ servers: server().url, namespace, ...options }).open(hostOf(reports))
    ends.push(() => station.close())
    return station
  }

  it('does not count among what was asked of its queue', async () => {
    const old = open({ codecs: [oldKey!] })
    const reports: unknown[] = []
    const station = open({ codecs: [newKey!] }, reports)
    await old.queue.offer({ queue, priority: 'normal', id: 'run.1.1', body })
    const taken: string[] = []
    const taking = station.queue.take(queue, (delivery) => {
      taken.push(delivery.id)
      delivery.done()
    })
    taking.want(1)
    await until('it is told of', () => reports.length > 0)
    expect(reports[0]).toMatchObject({ code: 'DECRYPTION_FAILED' })
    await station.queue.offer({ queue, priority: 'normal', id: 'run.2.1', body })
    await until('the other is taken', () => taken.length > 0)
    expect(taken).toEqual(['run.2.1'])
  })

  it('does not keep other messages to a flow run from being read', async () => {
    const old = open({ codecs: [oldKey!] })
    const reports: unknown[] = []
    const station = open({ codecs: [newKey!] }, reports)
    await old.mailbox.send({ flowRunId: 'run', id: 'a', body })
    await station.mailbox.send({ flowRunId: 'run', id: 'b', body })
    expect((await station.mailbox.pending('run')).map(({ id }) => id)).toEqual(['b'])
    expect(reports).toMatchObject([{ code: 'DECRYPTION_FAILED' }])
  })
})
