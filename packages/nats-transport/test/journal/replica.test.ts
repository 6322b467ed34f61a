import { beforeEach, describe, expect, it, vi } from 'vitest'
import type * as messages from '../../src/connection/messages.ts'
import { useServer, versions } from '../servers/index.ts'
import { append, create, nodeAt, note, wordsOf } from '../support.ts'

/** What a replica leaves out that has not caught up after it was killed: of the records asked for at once, the first. */
const lagging = vi.hoisted(() => ({ answers: 0 }))

vi.mock(import('../../src/connection/messages.ts'), async (importOriginal) => {
  const original = await importOriginal()
  const messagesFrom: typeof messages.messagesFrom = async (connected, stream, range) => {
    const found = await original.messagesFrom(connected, stream, range)
    if (range.count <= 1) return found
    lagging.answers++
    return found.slice(1)
  }
  return { ...original, messagesFrom }
})

describe.each(versions)('a journal on the %s server', (version) => {
  const server = useServer({ version })
  beforeEach(() => {
    lagging.answers = 0
  })

  it('is read from the leader where a replica misses a record of it, before it is called damaged', async () => {
    const writer = nodeAt({ servers: server().url })
    await create(writer.journal, 'run')
    const words = Array.from({ length: 20 }, (_, index) => `word ${index}`)
    for (const [index, word] of words.entries())
      expect(await append(writer.journal, 'run', 2 + index, [note(word)])).toBeUndefined()
    const reader = nodeAt({ servers: server().url, namespace: writer.namespace })
    expect(wordsOf(await reader.journal.read('run', 1, 100))).toEqual(words)
    expect(lagging.answers).toBeGreaterThan(0)
    await reader.close()
    await writer.close()
  })
})
