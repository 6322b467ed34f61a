import { JetStreamApiError } from '@nats-io/jetstream'
import { describe, expect, it, vi } from 'vitest'
import { codes } from '../../src/connection/errors.ts'
import { scan, type StreamMessage } from '../../src/connection/messages.ts'
import { useServer, versions } from '../servers/index.ts'
import { append, create, nodeAt, note, type TestNode } from '../support.ts'

describe.each(versions)('a scan on the %s server', (version) => {
  const server = useServer({ version })

  const journalOf = async (entries: number): Promise<TestNode> => {
    const node = nodeAt({ servers: server().url })
    await create(node.journal, 'run')
    for (let index = 0; index < entries; index++)
      expect(await append(node.journal, 'run', 2 + index, [note(`${index}`)])).toBeUndefined()
    return node
  }

  const scanned = async ({ link, namespace }: TestNode): Promise<readonly StreamMessage[]> => {
    const messages: StreamMessage[] = []
    const tell = (message: StreamMessage): void => void messages.push(message)
    await scan(await link.bulk(), `${namespace}_EV`, { subject: `${namespace}.ev.>`, seq: 1, tell })
    return messages
  }

  it('begins again with another consumer where its own is gone before it was asked', async () => {
    const node = await journalOf(5)
    const { js, jsm } = await node.link.bulk()
    const all = await scanned(node)
    const getConsumer = js.consumers.getConsumerFromInfo.bind(js.consumers)
    const spy = vi.spyOn(js.consumers, 'getConsumerFromInfo').mockImplementationOnce((info) => {
      const consumer = getConsumer(info)
      const fetch = consumer.fetch.bind(consumer)
      vi.spyOn(consumer, 'fetch').mockImplementationOnce(async (options) => {
        expect(await jsm.consumers.delete(info.stream_name, info.name)).toBe(true)
        return fetch(options)
      })
      return consumer
    })
    expect(await scanned(node)).toEqual(all)
    expect(spy).toHaveBeenCalledTimes(2)
    await node.close()
  })

  it('begins again where the server does not know its consumer any more', async () => {
    const node = await journalOf(5)
    const { js } = await node.link.bulk()
    const all = await scanned(node)
    const spy = vi.spyOn(js.consumers, 'getConsumerFromInfo').mockImplementationOnce(() => {
      throw new JetStreamApiError({
        code: 404,
        err_code: codes.consumerNotFound,
        description: 'consumer not found',
      })
    })
    expect(await scanned(node)).toEqual(all)
    expect(spy).toHaveBeenCalledTimes(2)
    await node.close()
  })
})
