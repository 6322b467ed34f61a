import {
  flow,
  memoryJournal,
  sleep,
  task,
  type RunHandle,
  type Journal,
  type JournalSummary,
  type Transition,
} from '@troupe/core'
import { createTestEngine, virtualClock, type TestEngine, type TestEngineOptions } from '@troupe/core/testing'
import { all } from '../behaviour/support.ts'
import { packEntries, unpackEntries } from '../../src/journal/records.ts'
import type { Entry } from '../../src/journal/entries.ts'

/** How often each effect was had, since it was asked for last. */
class Effects {
  #counts: Record<string, number> = {}

  had(what: string): void {
    this.#counts[what] = (this.#counts[what] ?? 0) + 1
  }

  take(): Record<string, number> {
    const counts = this.#counts
    this.#counts = {}
    return counts
  }
}

/** A journal that holds entries as bytes, as those on disk do. */
export function recordingJournal(): Journal {
  const beneath = memoryJournal()
  const stored = new WeakMap<readonly Entry[], readonly Entry[]>()
  return Object.assign(Object.create(beneath) as Journal, {
    encodes: true,
    mailbox: beneath.mailbox,
    append: ((append) => {
      const entries = stored.get(append.entries) ?? throughBytes(append.entries)
      stored.set(append.entries, entries)
      return beneath.append({ ...append, entries })
    }) satisfies Journal['append'],
    read: beneath.read.bind(beneath),
    summary: beneath.summary.bind(beneath),
    list: beneath.list.bind(beneath),
    delete: beneath.delete.bind(beneath),
    subscribe: beneath.subscribe.bind(beneath),
    close: beneath.close.bind(beneath),
  })
}

function throughBytes(entries: readonly Entry[]): readonly Entry[] {
  const { bytes, blobs } = packEntries(entries, { codecs: [], largeValue: 50 })
  const blob = (name: string): Uint8Array | undefined => blobs.find((one) => one.name === name)?.bytes
  return unpackEntries(bytes, { codecs: [], blob })
}

const clock = virtualClock()

/** An engine on the one clock of these tests. */
export function engineOn(journal: Journal, options: TestEngineOptions = {}): TestEngine {
  return createTestEngine({ journal, clock, ...options })
}

/** All entries of a journal. */
export async function entriesOf(journal: Journal, id: string): Promise<readonly Entry[]> {
  return journal.read(id, 1, 100_000)
}

/** All journals, in the order of creation. */
export function journalsOf(journal: Journal): Promise<readonly JournalSummary[]> {
  return journal.list({ limit: 10_000 })
}

/** All transitions of a run that has ended. */
export function transitionsOf(
  engine: TestEngine,
  filter: { readonly flowRunId: string } | { readonly runId: string },
): Promise<readonly Transition[]> {
  return engine.settle(all(engine.watch(filter)))
}

/** How a run ended. */
export async function endOf(engine: TestEngine, run: RunHandle<unknown>): Promise<string> {
  const { name } = await engine.settle(run.wait())
  const end = await run.result().then(
    (value) => JSON.stringify(value),
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  )
  return `${name}: ${end}`
}

export const effects = new Effects()

/** What breaks, and is mended between a run and its fork. */
export const faults = { broken: true }

const load = task('load', async (name: string) => {
  effects.had(`load ${name}`)
  await sleep(10)
  return `${name}'s rows`
})

const merge = task('merge', async (parts: readonly string[], more: string) => {
  effects.had('merge')
  await sleep(5)
  return [...parts, more].join(' + ')
})

const store = task('store', async (text: string) => {
  effects.had('store')
  await sleep(5)
  if (faults.broken) throw new TypeError('the store is down')
  return `stored ${text}`
})

const count = flow('count', async (name: string, of: number) => {
  effects.had(`count ${name}`)
  const parts = Array.from({ length: of }, (_, i) => load.with({ key: `${name}-${i}` })(`${name}-${i}`))
  const loaded = await Promise.all(parts)
  await sleep(5)
  return `${name} x ${loaded.length}`
})

const audit = flow('audit', async (name: string) => {
  effects.had('audit')
  const inner = await count(`${name}-inner`, 1)
  if (faults.broken) throw new RangeError('no auditor')
  return `${inner} audited`
})

/** Tasks, subflows in subflows, and futures of both in arguments; two of its runs fail while something is broken. */
export const report = flow('report', async (name: string) => {
  const parts = [load(name), load('others')]
  const counted = count(name, 2)
  const merged = merge(parts, counted)
  const audited = audit(name)
  await sleep(50)
  const text = await store(merged)
  return `${text}; ${await audited}`
})

/** What it gives when nothing is broken. */
export const wholeReport = "stored a's rows + others's rows + a x 2; a-inner x 1 audited"
