import { memoryJournal } from '@troupe/core'
import { crashingJournal, journalConformance } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { recordingJournal } from '../copies/support.ts'

describe('memoryJournal', () => {
  const open = async () => ({ journal: memoryJournal() })
  it.each(journalConformance(open).map(({ name, run }) => [name, run] as const))('%s', async (_, run) => {
    await expect(run()).resolves.toBeUndefined()
  })
})

describe('a journal that holds entries as bytes', () => {
  const open = async () => ({ journal: recordingJournal() })
  it.each(journalConformance(open).map(({ name, run }) => [name, run] as const))('%s', async (_, run) => {
    await expect(run()).resolves.toBeUndefined()
  })
})

describe('crashingJournal that does not crash', () => {
  const open = async () => ({
    journal: crashingJournal(memoryJournal(), { afterEntries: Number.POSITIVE_INFINITY }),
  })
  it.each(journalConformance(open).map(({ name, run }) => [name, run] as const))('%s', async (_, run) => {
    await expect(run()).resolves.toBeUndefined()
  })
})

describe('crashingJournal', () => {
  const at = 0
  const note = (message: string) => ({ kind: 'note', at, run: 0, note: 'leftover', message }) as const
  const claimed = { kind: 'claimed', at, epoch: 1, node: 'a' } as const

  it('stores the entries before the crash, answers nothing after it, and tells nobody', async () => {
    const beneath = memoryJournal()
    const journal = crashingJournal(beneath, { afterEntries: 3 })
    const told: number[] = []
    journal.subscribe((_, first) => told.push(first))
    await journal.append({ flowRunId: 'a', expected: 0, epoch: 1, entries: [claimed] })
    let answered = false
    const answer = async (): Promise<void> => {
      await journal.append({
        flowRunId: 'a',
        expected: 1,
        epoch: 1,
        entries: [note('1'), note('2'), note('3')],
      })
      answered = true
    }
    void answer()
    await journal.death
    void journal.read('a', 1, 10).then(() => (answered = true))
    await new Promise((resolve) => setImmediate(resolve))
    expect(answered).toBe(false)
    expect(journal.crashed).toBe(true)
    expect(journal.stored).toBe(3)
    expect(await beneath.read('a', 1, 10)).toEqual([claimed, note('1'), note('2')])
    await beneath.append({ flowRunId: 'a', expected: 3, epoch: 2, entries: [note('by the next process')] })
    expect(told.at(-1)).not.toBe(4)
  })

  it('does not count what was refused', async () => {
    const journal = crashingJournal(memoryJournal(), { afterEntries: 2 })
    await journal.append({ flowRunId: 'a', expected: 0, epoch: 1, entries: [claimed] })
    await journal.append({ flowRunId: 'a', expected: 5, epoch: 1, entries: [note('refused')] })
    expect(journal.stored).toBe(1)
    expect(journal.crashed).toBe(false)
  })

  it('leaves the journal beneath open when it is closed', async () => {
    const beneath = memoryJournal()
    const journal = crashingJournal(beneath, { afterEntries: 9 })
    await journal.close()
    expect(await beneath.read('a', 1, 1)).toEqual([])
  })
})

describe('the journal of a test', () => {
  it.each([-1, 1.5, Number.NaN])('refuses to keep %s journals', (keep) => {
    expect(() => memoryJournal({ keep })).toThrow(/expected `keep`/)
  })
})
