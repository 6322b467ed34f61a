import { sqliteJournal } from '@troupe/sqlite-journal'
import { afterEach, describe, expect, it } from 'vitest'
import { all, create, folder, opened, Program, wordsOf, append, note } from '../support.ts'

const { path, remove } = folder()
const programs: Program[] = []
afterEach(async () => {
  for (const program of programs.splice(0)) await program.kill()
})

const racer = `
  const me = await hear()
  let position = Number(await hear())
  const end = Number(await hear())
  let won = 0
  while (position < end) {
    const answer = await append('race', position, [note(me + ' ' + (position + 1))])
    if (answer === undefined) { won++; position++ } else position = answer.position
  }
  await say(String(won))
  await journal.close()
`

describe('several processes', () => {
  it.each(['power', 'process'] as const)(
    'that race for positions win each position once, durability %s',
    async (durability) => {
      const { journal, path: own, close } = await opened({ durability })
      try {
        await create(journal, 'race')
        for (const name of ['a', 'b', 'c']) {
          const program = new Program(racer, own, { durability })
          programs.push(program)
          program.tell(name)
          program.tell('2')
          program.tell('302')
        }
        const wins = await Promise.all(programs.map(async (program) => Number(await program.hears())))
        expect(wins.reduce((sum, won) => sum + won)).toBe(300)
        const entries = await all(journal, 'race', 70)
        expect(entries).toHaveLength(302)
        expect(wordsOf(entries).map((word) => word.split(' ')[1])).toEqual(
          Array.from({ length: 300 }, (_, index) => `${index + 3}`),
        )
      } finally {
        await close()
      }
    },
  )

  it('that come to an empty folder at once make one journal', async () => {
    const fresh = `${path}/fresh/deep`
    const ids = ['a', 'b', 'c']
    for (const id of ids) {
      const program = new Program(
        `await hear(); await append('${id}', 0, [{ kind: 'claimed', at, epoch: 1, node: 'n' }, note('${id}')]); await journal.close(); await say('done')`,
        fresh,
      )
      programs.push(program)
    }
    for (const program of programs) program.tell('go')
    for (const program of programs) expect(await program.hears()).toBe('done')
    const journal = sqliteJournal(fresh)
    try {
      for (const id of ids) expect(wordsOf(await all(journal, id))).toEqual([id])
    } finally {
      await journal.close()
      remove()
    }
  })

  it('see at once what another has stored, and refuse the writer of an older epoch', async () => {
    const { journal, path: own, close } = await opened()
    try {
      await create(journal, 'run')
      await append(journal, 'run', 2, [note('mine')])
      const program = new Program(
        `await append('run', 3, [{ kind: 'claimed', at, epoch: 2, node: 'other' }, note('theirs')], 2); await say('claimed'); await hear(); await journal.close()`,
        own,
      )
      programs.push(program)
      expect(await program.hears()).toBe('claimed')
      expect(await append(journal, 'run', 3, [note('late')])).toEqual({ refused: true, position: 5 })
      expect(await append(journal, 'run', 5, [note('late')])).toEqual({ refused: true, position: 5 })
      expect((await journal.summary('run'))?.node).toBe('other')
      expect(wordsOf(await all(journal, 'run'))).toEqual(['mine', 'theirs'])
    } finally {
      await close()
    }
  })

  it('lose nothing that was answered where one is killed', async () => {
    const { journal, path: own, close } = await opened({ durability: 'process' })
    try {
      await journal.open()
      const program = new Program(
        `
        await append('run', 0, [{ kind: 'claimed', at, epoch: 1, node: 'n' }])
        for (let position = 1; ; position++) {
          await append('run', position, [note(String(position))])
          await say(String(position))
        }`,
        own,
        { durability: 'process' },
      )
      programs.push(program)
      let answered = 0
      while (answered < 200) answered = Number(await program.hears())
      await program.kill()
      for (const line of program.rest()) answered = Number(line)
      const words = wordsOf(await all(journal, 'run'))
      expect(words.length).toBeGreaterThanOrEqual(answered)
      expect(words).toEqual(words.map((_, index) => `${index + 1}`))
    } finally {
      await close()
    }
  })
})
