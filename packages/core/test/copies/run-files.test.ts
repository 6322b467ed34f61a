/** A run as one file: what is exported here is imported there. */
import { CodecError, encryption, flow, memoryJournal, sleep, task, type Journal } from '@troupe/core'
import { crashingJournal, type TestEngine } from '@troupe/core/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import { code, errorOf } from '../behaviour/support.ts'
import { rest } from '../replay/lives.ts'
import type { Entry } from '../../src/journal/entries.ts'
import { seal } from '../../src/journal/envelope.ts'
import { packEntries } from '../../src/journal/records.ts'
import { encodeValue } from '../../src/values/codec.ts'
import {
  effects,
  endOf,
  engineOn,
  entriesOf,
  faults,
  journalsOf,
  recordingJournal,
  report,
  transitionsOf,
  wholeReport,
} from './support.ts'

beforeEach(() => {
  faults.broken = false
  effects.take()
})

type Make = () => TestEngine
const engines: readonly [string, Make][] = [
  ['that keeps values by reference', () => engineOn(memoryJournal(), { strictValues: false })],
  ['that encodes values', () => engineOn(memoryJournal())],
  ['over a journal of bytes', () => engineOn(recordingJournal())],
]
const pairs = engines.flatMap(([from, makeFrom]) =>
  engines.map(([to, makeTo]) => [from, to, makeFrom, makeTo] as const),
)
const whole = `Completed: ${JSON.stringify(wholeReport)}`

describe.each(pairs)('a file of an engine %s, for one %s', (_from, _to, makeFrom, makeTo) => {
  it('brings a run that has ended, with its subflows, its values and its errors', async () => {
    const here = makeFrom()
    const good = here.run(report, 'a')
    expect(await endOf(here, good)).toBe(whole)
    faults.broken = true
    const bad = here.run(report, 'a')
    expect(await endOf(here, bad)).toBe('Failed: the store is down')
    effects.take()
    const there = makeTo()
    for (const { id } of [good, bad]) {
      const run = await there.import(await here.export(id))
      expect(run.id).toBe(id)
      const original = await here.get(id)
      expect(run.state).toEqual(original?.state)
      expect(await transitionsOf(there, { flowRunId: id })).toEqual(
        await transitionsOf(here, { flowRunId: id }),
      )
    }
    expect(await endOf(there, (await there.get(good.id)) ?? good)).toBe(whole)
    expect(await errorOf(((await there.get(bad.id)) ?? bad).result())).toBeInstanceOf(TypeError)
    const ids = async (engine: TestEngine): Promise<readonly string[]> =>
      (await journalsOf(engine.journal)).map(({ flowRunId }) => flowRunId).toSorted()
    expect(await ids(there)).toEqual(await ids(here))
    expect(effects.take()).toEqual({})
    await here.close()
    await there.close()
  })

  it('brings one that has not ended: it rests until it is recovered, and goes on where it was', async () => {
    const here = makeFrom()
    const run = here.run(report, 'a')
    await here.settle(new Promise<void>((resolve) => here.clock.at(here.clock.now() + 12, resolve)))
    await rest()
    const file = await here.export(run.id)
    await endOf(here, run)
    effects.take()
    const there = makeTo()
    const imported = await there.import(file)
    const renamed = await there.import(file, { id: 'another' })
    await rest()
    expect(effects.take()).toEqual({})
    expect([imported.state.name, renamed.state.name]).toEqual(['Running', 'Running'])
    const recovered = await there.recover()
    expect(recovered.map(({ id }) => id)).toEqual([run.id, 'another'])
    for (const one of recovered) expect(await endOf(there, one)).toBe(whole)
    expect(effects.take()).toEqual({
      merge: 2,
      store: 2,
      // Their bodies were running.
      'count a': 2,
      audit: 2,
      'count a-inner': 2,
    })
    await here.close()
    await there.close()
  })

  it('brings one that can be forked there, and keeps what completed', async () => {
    const here = makeFrom()
    faults.broken = true
    const run = here.run(report, 'a')
    await endOf(here, run)
    const there = makeTo()
    const imported = await there.import(await here.export(run.id), { id: 'imported' })
    faults.broken = false
    effects.take()
    const fork = await there.fork(imported.id)
    expect(await endOf(there, fork)).toBe(whole)
    expect(effects.take()).toEqual({ store: 1, audit: 1, 'count a-inner': 1, 'load a-inner-0': 1 })
    await here.close()
    await there.close()
  })
})

/** A report that has ended, as a file. */
async function fileOf(engine: TestEngine): Promise<{ id: string; file: Uint8Array }> {
  const run = engine.run(report, 'a')
  await endOf(engine, run)
  return { id: run.id, file: await engine.export(run.id) }
}

describe('a file', () => {
  it('brings every entry as it was, and a note that says where it comes from', async () => {
    const here = engineOn(memoryJournal())
    const { id, file } = await fileOf(here)
    const there = engineOn(memoryJournal())
    await there.import(file)
    for (const { flowRunId } of await journalsOf(here.journal)) {
      const entries = [...(await entriesOf(there.journal, flowRunId))]
      const note = flowRunId === id ? entries.pop() : undefined
      expect(entries).toEqual(await entriesOf(here.journal, flowRunId))
      if (flowRunId !== id) continue
      const message = expect.stringMatching(id) as string
      expect([note]).toMatchObject([{ kind: 'note', note: 'imported', run: 0, message }])
    }
    await here.close()
    await there.close()
  })

  it('gives all runs other ids where another id is asked for, and no run the id of one that is there', async () => {
    const engine = engineOn(memoryJournal())
    const { id, file } = await fileOf(engine)
    const before = (await journalsOf(engine.journal)).map(({ flowRunId }) => flowRunId)
    const copy = await engine.import(file, { id: 'copy' })
    const after = await journalsOf(engine.journal)
    const added = after.filter(({ flowRunId }) => !before.includes(flowRunId))
    expect(added).toHaveLength(before.length)
    expect(added.filter(({ parentRunId }) => parentRunId?.startsWith('copy') === true)).toHaveLength(2)
    const text = JSON.stringify(
      await Promise.all(added.map(({ flowRunId }) => entriesOf(engine.journal, flowRunId))),
      (key, value: unknown) => (key === 'message' ? undefined : value),
    )
    for (const old of before) expect(text).not.toContain(old)
    expect(await endOf(engine, copy)).toBe(whole)
    expect(id).not.toBe('copy')
    await engine.close()
  })

  it('is that of the flow run for the id of a task run, and that of a task run outside any flow', async () => {
    const engine = engineOn(memoryJournal())
    const { id } = await fileOf(engine)
    const taskRun = (await entriesOf(engine.journal, id)).find(
      (entry) => entry.kind === 'submitted' && entry.parent === 0,
    )
    const file = await engine.export(taskRun?.kind === 'submitted' ? taskRun.runId : '')
    const there = engineOn(memoryJournal())
    expect((await there.import(file)).id).toBe(id)
    await there.close()
    await engine.close()
    const alone = engineOn(memoryJournal())
    const single = task('single', (n: number) => n + 1)(4)
    await alone.settle(single.wait())
    const other = engineOn(memoryJournal())
    const imported = await other.import(await alone.export(single.id), { id: 'single' })
    expect(await endOf(other, imported)).toBe('Completed: 5')
    await alone.close()
    await other.close()
  })

  it('of a subflow is a run of its own, which is recovered like any other', async () => {
    const here = engineOn(memoryJournal())
    const run = here.run(report, 'a')
    await here.settle(new Promise<void>((resolve) => here.clock.at(here.clock.now() + 5, resolve)))
    const [child] = await here.journal.list({ name: 'audit', limit: 1 })
    const file = await here.export(child?.flowRunId ?? '')
    await endOf(here, run)
    const there = engineOn(memoryJournal())
    await there.import(file)
    const [recovered] = await there.recover()
    expect(recovered?.id).toBe(child?.flowRunId)
    expect(await endOf(there, recovered ?? run)).toBe('Completed: "a-inner x 1 audited"')
    await here.close()
    await there.close()
  })

  it('is smaller with compression, which is the default, and needs no option to be read', async () => {
    const engine = engineOn(memoryJournal())
    const { id, file } = await fileOf(engine)
    const plain = await engine.export(id, { codecs: [] })
    expect(file.length).toBeLessThan(plain.length / 2)
    for (const [name, bytes] of [['one', file] as const, ['two', plain] as const]) {
      expect(await endOf(engine, await engine.import(bytes, { id: name }))).toBe(whole)
    }
    await engine.close()
  })

  it('is read only with the key that it was encrypted with', async () => {
    const engine = engineOn(memoryJournal())
    const { id } = await fileOf(engine)
    const file = await engine.export(id, { codecs: [encryption({ key: '0a'.repeat(32) })] })
    expect(Buffer.from(file).includes('report')).toBe(false)
    const there = engineOn(memoryJournal())
    expect(await errorOf(there.import(file))).toEqual(code('UNSUPPORTED_FORMAT', /"aes-256-gcm"/))
    const other = [encryption({ key: '0b'.repeat(32) })]
    expect(await errorOf(there.import(file, { codecs: other }))).toEqual(code('DECRYPTION_FAILED'))
    const run = await there.import(file, { codecs: [encryption({ key: '0a'.repeat(32) })] })
    expect(await endOf(there, run)).toBe(whole)
    await engine.close()
    await there.close()
  })

  it('holds nothing that can not be encoded', async () => {
    const engine = engineOn(memoryJournal(), { strictValues: false })
    const odd = flow('odd', () => ({ open: () => 1 }))
    const run = engine.run(odd)
    await engine.settle(run.wait())
    expect(await errorOf(engine.export(run.id))).toEqual(code('NOT_ENCODABLE', /result\.open/))
    await engine.close()
  })
})

describe('what can not be imported', () => {
  const isEmpty = async (journal: Journal): Promise<boolean> => (await journalsOf(journal)).length === 0

  it('is refused where any byte was changed, at each length, and leaves nothing behind', async () => {
    const here = engineOn(memoryJournal())
    const short = flow('short', async (name: string) => {
      await sleep(1)
      return name
    })
    const run = here.run(short, 'a')
    await endOf(here, run)
    const file = await here.export(run.id)
    const there = engineOn(memoryJournal())
    for (let at = 0; at < file.length; at++) {
      for (const bits of [1, 0xff]) {
        const damaged = file.slice()
        damaged[at] = (damaged[at] ?? 0) ^ bits
        const error = await errorOf(there.import(damaged))
        expect(error).toBeInstanceOf(CodecError)
      }
      expect(await errorOf(there.import(file.slice(0, at)))).toEqual(code('MALFORMED_PAYLOAD'))
    }
    expect(await errorOf(there.import(Buffer.concat([file, Buffer.of(0)])))).toEqual(
      code('MALFORMED_PAYLOAD'),
    )
    const newer = file.slice()
    newer[8] = 3
    expect(await errorOf(there.import(newer))).toEqual(code('UNSUPPORTED_FORMAT', /format 3.*upgrade/))
    for (const other of ['a text', undefined, new Uint8Array(), Buffer.from('%PDF-1.7 and more')]) {
      const error = await errorOf(there.import(other as Uint8Array))
      expect(error).toEqual(code('MALFORMED_PAYLOAD', /engine\.export/))
    }
    expect(await isEmpty(there.journal)).toBe(true)
    await here.close()
    await there.close()
  })

  it('is refused where it is a whole file, but not of a run', async () => {
    const here = engineOn(memoryJournal())
    const { id } = await fileOf(here)
    const pack = (entries: readonly Entry[]): Uint8Array =>
      packEntries(entries, { codecs: [], largeValue: Number.POSITIVE_INFINITY }).bytes
    const record = pack(await entriesOf(here.journal, id))
    const rootless = pack((await entriesOf(here.journal, id)).filter(({ kind }) => kind !== 'submitted'))
    for (const content of [
      5,
      null,
      {},
      { run: id, journals: [] },
      { run: id, journals: [[id]] },
      { run: id, journals: [[id, Uint8Array.of(1, 2, 3)]] },
      { run: id, journals: [[id, rootless]] },
      { run: 'another', journals: [[id, record]] },
      { run: 'another', journals: [['another', record]] },
    ]) {
      const file = Buffer.concat([Buffer.from('\x89troupe\n', 'latin1'), seal([encodeValue(content)], [])])
      expect(await errorOf(here.import(file, { id: 'copy' }))).toEqual(code('MALFORMED_PAYLOAD'))
    }
    const whole = { run: id, journals: [[id, record]] }
    const file = Buffer.concat([Buffer.from('\x89troupe\n', 'latin1'), seal([encodeValue(whole)], [])])
    expect((await here.import(file, { id: 'copy' })).id).toBe('copy')
    await here.close()
  })

  it('is refused where its run is there, and leaves that as it is', async () => {
    const engine = engineOn(memoryJournal())
    const { id, file } = await fileOf(engine)
    const before = await entriesOf(engine.journal, id)
    const count = (await journalsOf(engine.journal)).length
    expect(await errorOf(engine.import(file))).toEqual(code('RUN_EXISTS', new RegExp(id)))
    await engine.import(file, { id: 'copy' })
    expect(await errorOf(engine.import(file, { id: 'copy' }))).toEqual(code('RUN_EXISTS', /copy/))
    expect(await entriesOf(engine.journal, id)).toEqual(before)
    expect(await journalsOf(engine.journal)).toHaveLength(2 * count)
    await engine.close()
  })

  it('is refused where the id of one of its subflows is taken, and leaves nothing behind', async () => {
    const here = engineOn(memoryJournal())
    const { file } = await fileOf(here)
    const [, first] = await journalsOf(here.journal)
    const there = engineOn(memoryJournal())
    const taken = flow('taken', () => 'something else').with({ id: first?.flowRunId ?? '', engine: there })
    await there.settle(taken().wait())
    expect(await errorOf(there.import(file))).toEqual(code('RUN_EXISTS', new RegExp(first?.flowRunId ?? '')))
    expect((await journalsOf(there.journal)).map(({ name }) => name)).toEqual(['taken'])
    await here.close()
    await there.close()
  })

  it('can be imported again where the process died in the middle of it, wherever that was', async () => {
    const here = engineOn(memoryJournal())
    const { id, file } = await fileOf(here)
    const length = (await entriesOf(here.journal, id)).length + 1
    let afterEntries = 1
    for (; ; afterEntries++) {
      const journal = memoryJournal()
      const dying = crashingJournal(journal, { afterEntries })
      const first = engineOn(dying)
      const imported = first.import(file)
      await first.settle(Promise.race([imported, dying.death]))
      await rest()
      void first.close()
      if (!dying.crashed) break
      // The run's own journal is one append: no journal stores half of that.
      const { position = 0 } = (await journal.summary(id)) ?? {}
      const second = engineOn(journal)
      expect(await second.recover()).toHaveLength(position > 0 && position < length - 1 ? 1 : 0)
      const ends = position === 0 ? await endOf(second, await second.import(file)) : whole
      expect(ends).toBe(whole)
      for (const { flowRunId } of await journalsOf(here.journal)) {
        if (flowRunId === id) continue
        expect(await entriesOf(journal, flowRunId)).toEqual(await entriesOf(here.journal, flowRunId))
      }
      await second.close()
    }
    expect(afterEntries).toBeGreaterThan(length)
    await here.close()
  })

  it.each([
    [{ id: '' }, /`id`/],
    [{ id: 'a.b' }, /`id`/],
    [{ id: 5 }, /`id`/],
    [{ id: 'x'.repeat(65) }, /`id`/],
    [{ codecs: [encryption({ key: '0a'.repeat(32) }), encryption({ key: '0a'.repeat(32) })] }, /`codecs`/],
  ])('is refused with options that can not be: %#', async (options, message) => {
    const here = engineOn(memoryJournal())
    const { file } = await fileOf(here)
    expect(await errorOf(here.import(file, options as object))).toEqual(code('INVALID_OPTION', message))
    await here.close()
  })

  it('or exported, because there is no such run or the engine is closed, is told', async () => {
    const engine = engineOn(memoryJournal())
    const { id, file } = await fileOf(engine)
    expect(await errorOf(engine.export('nobody'))).toEqual(code('RUN_NOT_FOUND', /nobody/))
    await engine.close()
    expect(await errorOf(engine.export(id))).toEqual(code('ENGINE_CLOSED'))
    expect(await errorOf(engine.import(file))).toEqual(code('ENGINE_CLOSED'))
  })
})

describe('renamed journals', () => {
  it('tell of the same runs: only ids differ', async () => {
    const engine = engineOn(memoryJournal())
    const { id, file } = await fileOf(engine)
    await engine.import(file, { id: 'copy' })
    const shape = ({ kind, at, ...entry }: Entry): unknown => ({
      kind,
      at,
      ...('run' in entry ? { run: entry.run } : {}),
    })
    const copied = await entriesOf(engine.journal, 'copy')
    expect(copied.slice(0, -1).map(shape)).toEqual((await entriesOf(engine.journal, id)).map(shape))
    await engine.close()
  })
})
