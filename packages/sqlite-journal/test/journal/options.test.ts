import { sqliteJournal, type SqliteJournalOptions } from '@troupe/sqlite-journal'
import { describe, expect, it } from 'vitest'

describe('options', () => {
  it.each<[string, unknown, string]>([
    ['durability', { durability: 'disk' }, 'INVALID_OPTION'],
    ['codecs', { codecs: 'gzip' }, 'INVALID_OPTION'],
    ['codecs', { codecs: [{ name: 'NOT A NAME', encode: () => 0, decode: () => 0 }] }, 'INVALID_OPTION'],
    ['largeValue', { largeValue: -1 }, 'INVALID_OPTION'],
    ['largeValue', { largeValue: 1.5 }, 'INVALID_OPTION'],
    ['keep', { keep: 5 }, 'INVALID_OPTION'],
    ['keep.count', { keep: { count: -1 } }, 'INVALID_OPTION'],
    ['keep.age', { keep: { age: 'a week' } }, 'INVALID_DURATION'],
    ['keep.days', { keep: { days: 7 } }, 'INVALID_OPTION'],
    ['keep.states', { keep: { states: { Failed: {} } } }, 'INVALID_OPTION'],
    ['keep.states.FAILED.count', { keep: { states: { FAILED: { count: 0.5 } } } }, 'INVALID_OPTION'],
    ['readOnly', { readOnly: 'yes' }, 'INVALID_OPTION'],
    ['poll', { poll: 0 }, 'INVALID_OPTION'],
    ['poll', { poll: 'often' }, 'INVALID_DURATION'],
    ['driver', { driver: 'better-sqlite3' }, 'INVALID_OPTION'],
    ['mode', { mode: 'fast' }, 'INVALID_OPTION'],
  ])('that can never work are refused at once: %s in %j', (option, options, code) => {
    expect(() => sqliteJournal('./never', options as SqliteJournalOptions)).toThrow(
      expect.objectContaining({ name: 'UsageError', code, details: { option } }),
    )
  })

  it('need a folder', () => {
    for (const folder of ['', undefined, 5])
      expect(() => sqliteJournal(folder as string)).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION', details: { option: 'folder' } }),
      )
  })
})
