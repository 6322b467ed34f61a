import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { append, create, folder, note, opened, Program, wordsOf } from '../support.ts'

const programs: Program[] = []
afterEach(async () => {
  for (const program of programs.splice(0)) await program.kill()
})

function started(source: string, path: string, options?: ConstructorParameters<typeof Program>[2]): Program {
  const program = new Program(source, path, options)
  programs.push(program)
  return program
}

/** Resolves when `told` has so many. */
function counter(): {
  readonly told: string[]
  readonly add: (line: string) => void
  readonly reached: (count: number) => Promise<void>
} {
  const told: string[] = []
  const waits: { readonly count: number; readonly go: () => void }[] = []
  return {
    told,
    add(line) {
      told.push(line)
      for (const wait of waits) if (told.length >= wait.count) wait.go()
    },
    reached: (count) =>
      new Promise((go) => {
        if (told.length >= count) go()
        else waits.push({ count, go })
      }),
  }
}

const writer = `
  const id = await hear()
  let position = 0
  const count = Number(await hear())
  for (let n = 0; n < count; n++) {
    const size = 1 + (n % 3)
    await append(id, position, Array.from({ length: size }, (_, i) => note(id + ' ' + (position + i + 1))))
    position += size
  }
  await say('done')
  await hear()
  await journal.close()
`

describe('what another process commits', () => {
  // The poll is so slow that only an event of the file system can tell in time.
  it.each([true, false])(
    'is told each once and in order, among the own commits (thread: %s)',
    async (thread) => {
      const { journal, path, close } = await opened({ poll: '1h', thread })
      try {
        const { told, add, reached } = counter()
        journal.subscribe((flowRunId, first, entries) => {
          for (const [index, word] of wordsOf(entries).entries()) add(`${flowRunId}@${first + index}=${word}`)
        })
        await journal.list({ limit: 1 })
        const [a, b] = [started(writer, path), started(writer, path)]
        for (const [name, program] of [
          ['a', a],
          ['b', b],
        ] as const) {
          program.tell(name)
          program.tell('90')
        }
        for (let n = 0; n < 60; n++) await append(journal, 'own', n, [note(`own ${n + 1}`)])
        expect([await a.hears(), await b.hears()]).toEqual(['done', 'done'])
        await reached(180 + 180 + 60)
        for (const [id, count] of [
          ['a', 180],
          ['b', 180],
          ['own', 60],
        ] as const) {
          expect(told.filter((line) => line.startsWith(`${id}@`))).toEqual(
            Array.from({ length: count }, (_, n) => `${id}@${n + 1}=${id} ${n + 1}`),
          )
        }
        expect(told).toHaveLength(420)
      } finally {
        await close()
      }
    },
  )

  it('is told in the order in which it was committed, whichever process committed it', async () => {
    const { journal, path, close } = await opened({ poll: '1h' })
    try {
      const { told, add, reached } = counter()
      journal.subscribe((flowRunId, first) => add(`${flowRunId}@${first}`))
      await create(journal, 'own')
      const other = started(
        `for (let position = 0; ; position++) { await hear(); await append('other', position, [note('x')]); await say('done') }`,
        path,
      )
      const expected = ['own@1']
      for (let n = 0; n < 20; n++) {
        other.tell('go')
        await other.hears()
        await append(journal, 'own', n + 2, [note('x')])
        expected.push(`other@${n + 1}`, `own@${n + 3}`)
      }
      await reached(expected.length)
      expect(told).toEqual(expected)
    } finally {
      await close()
    }
  })

  it('is not told any more when the last listener has left', async () => {
    const { journal, path, close } = await opened({ poll: '5ms' })
    try {
      const told: string[] = []
      const end = journal.subscribe((flowRunId) => told.push(flowRunId))
      await create(journal, 'own')
      end()
      const other = started(writer, path)
      other.tell('other')
      other.tell('10')
      await other.hears()
      await create(journal, 'own too')
      expect(told).toEqual(['own'])
    } finally {
      await close()
    }
  })

  it('is a message: told once, though the process that sends it tries again', async () => {
    const { journal, path, close } = await opened({ poll: '1h' })
    try {
      const { told, add, reached } = counter()
      journal.mailbox.subscribe(({ flowRunId, id, body }) =>
        add(`${flowRunId}/${id}=${Buffer.from(body).toString()}`),
      )
      await journal.mailbox.pending('run')
      const other = started(
        `
        const send = (id) => journal.mailbox.send({ flowRunId: 'run', id, body: Buffer.from('body of ' + id) })
        for (const id of ['z', 'a', 'z', 'm']) await send(id)
        await say('sent')
        await hear()
        await journal.close()`,
        path,
      )
      expect(await other.hears()).toBe('sent')
      await journal.mailbox.send({ flowRunId: 'run', id: 'own', body: Buffer.from('mine') })
      await reached(4)
      expect(told).toEqual(['run/z=body of z', 'run/a=body of a', 'run/m=body of m', 'run/own=mine'])
      expect((await journal.mailbox.pending('run')).map(({ id }) => id)).toEqual(['z', 'a', 'm', 'own'])
    } finally {
      await close()
    }
  })

  it('is found by looking now and then where no event of the file system tells of it', async () => {
    const { journal, path, close } = await opened()
    const { path: place, remove } = folder()
    const preload = join(place, 'no-events.cjs')
    writeFileSync(
      preload,
      `require('node:fs').watch = () => { throw new Error('no events') }; require('node:module').syncBuiltinESMExports()`,
    )
    try {
      const listener = started(
        `
        journal.subscribe((flowRunId, first) => void say(flowRunId + '@' + first))
        await journal.list({ limit: 1 })
        await say('listens')
        await hear()
        await journal.close()`,
        path,
        { poll: '5ms', preload },
      )
      expect(await listener.hears()).toBe('listens')
      for (let n = 0; n < 3; n++) {
        await append(journal, 'run', n, [note('x')])
        expect(await listener.hears()).toBe(`run@${n + 1}`)
      }
    } finally {
      await close()
      remove()
    }
  })
})
