/** What somebody else has written into the stream of the journals. */
import { describe, expect, it } from 'vitest'
import { useServer, versions } from '../servers/index.ts'
import { create, nodeAt } from '../support.ts'

describe.each(versions)('a message without headers among the journals, on the %s server', (version) => {
  const server = useServer({ version })

  it('damages the journal that it stands in, and no other', async () => {
    const writer = nodeAt({ servers: server().url })
    await create(writer.journal, 'before')
    const { nc } = await writer.link.control()
    nc.publish(`${writer.namespace}.ev.foreign`, 'by hand')
    await nc.flush()
    await create(writer.journal, 'after')
    const node = nodeAt({ servers: server().url, namespace: writer.namespace })
    const listed = await node.journal.list({ limit: 10 })
    expect(listed.map(({ flowRunId }) => flowRunId)).toEqual(expect.arrayContaining(['before', 'after']))
    expect(await node.journal.read('after', 1, 10)).toHaveLength(2)
    await expect(node.journal.read('foreign', 1, 10)).rejects.toMatchObject({ code: 'JOURNAL_DAMAGED' })
    await node.close()
    await writer.close()
  })
})
