import { compression } from '../codecs/compression.ts'
import { CodecError, TroupeError, UsageError } from '../base/errors.ts'
import { flowRunIdOf } from '../base/ids.ts'
import type { Entry, NoteEntry } from '../journal/entries.ts'
import { checkCodecs, seal, unseal } from '../journal/envelope.ts'
import { foldJournal } from '../journal/history.ts'
import { isTerminal } from '../machines/states.ts'
import { packEntries, unpackEntries } from '../journal/records.ts'
import type { PayloadCodec } from '../ports/payload-codec.ts'
import type { Target } from '../runs/current-body.ts'
import { decodeValue, encodeValue } from '../values/codec.ts'
import { identified } from './call-identities.ts'
import { exchanged } from './exchange.ts'
import { createJournals, epochOf, readTreeNow, rootEntryOf, type JournalTree } from './journal-tree.ts'
import { renamedTree } from './renamed-tree.ts'
import type { RunHost } from './run.ts'
import { encoded } from './value-store.ts'

/** How a run is made into a file. @public */
export interface ExportOptions {
  /**
   * Applied to the file, in this order; default `[compression()]`. The file holds all values of the run: with `encryption`,
   * nobody reads them without the key.
   */
  readonly codecs?: readonly PayloadCodec[]
}

/** How a run is taken from a file. @public */
export interface ImportOptions {
  /** Id of the run from now on: up to 64 letters, digits, `-` and `_`; default the one that it had. */
  readonly id?: string
  /** What the file was written with, in any order. `compression()` need not be given. */
  readonly codecs?: readonly PayloadCodec[]
}

/** An engine as far as runs are copied from and to it. */
export interface CopyHost extends RunHost {
  /** @throws UsageError `ENGINE_CLOSED` */
  checkOpen(): void
  get(id: string): Promise<Target | undefined>
}

/*
 * A file is this, and an envelope as of journal/envelope.ts. In that is a value (values/format.ts): an object of `run`, the id
 * of the run, and `journals`, pairs of an id and a record as of journal/records.ts; callers stand before what they called.
 */
const magic = Uint8Array.of(0x89, ...Buffer.from('troupe\n'))
const what = 'the file of a run'

/** All that the journals tell of a run, as one file. @throws JournalError `RUN_NOT_FOUND`; CodecError `NOT_ENCODABLE` */
export async function exportRun(host: CopyHost, id: string, options: ExportOptions): Promise<Uint8Array> {
  host.checkOpen()
  const { codecs = [compression()] } = options
  checkCodecs(codecs, 'codecs')
  const tree = exchanged(identified(await readTreeNow(host, flowRunIdOf(id))), encoded)
  const [run] = tree.keys()
  const plain = { codecs: [], largeValue: Number.POSITIVE_INFINITY }
  const journals = [...tree].map(([journal, entries]) => [journal, packEntries(entries, plain).bytes])
  const envelope = seal([encodeValue({ run, journals })], codecs)
  const file = new Uint8Array(magic.length + envelope.length)
  file.set(magic)
  file.set(envelope, magic.length)
  return file
}

/** Takes a run from a file. @throws CodecError, JournalError `RUN_EXISTS`, UsageError `INVALID_OPTION` */
export async function importRun(host: CopyHost, bytes: Uint8Array, options: ImportOptions): Promise<Target> {
  host.checkOpen()
  const { id, codecs = [] } = options
  checkCodecs(codecs, 'codecs')
  if (id !== undefined) checkId(id)
  const known = codecs.some(({ name }) => name === 'deflate') ? codecs : [...codecs, compression()]
  const read = readFile(bytes, known)
  const [from = ''] = read.keys()
  const root = id ?? from
  const tree = exchanged(asRoot(renamedTree(read, root, read)), host.values)
  const note = { note: 'imported', message: `imported from a file of ${from}` } as const
  await createJournals(host, ownedBy(host, tree, note))
  const found = await host.get(root)
  if (found !== undefined) return found
  throw new UsageError('ENGINE_CLOSED', `${root} was imported, and the engine was closed`)
}

/** @throws UsageError `INVALID_OPTION` */
export function checkId(id: unknown): asserts id is string {
  if (typeof id === 'string' && /^[A-Za-z0-9_-]{1,64}$/.test(id)) return
  const message = `expected \`id\` to be up to 64 letters, digits, - and _, got ${JSON.stringify(id)}`
  throw new UsageError('INVALID_OPTION', message, { details: { option: 'id' } })
}

/** The journals of a run that no other one has called: it may have been a subflow where it comes from. */
export function asRoot(tree: JournalTree): JournalTree {
  const [root = ''] = tree.keys()
  const entries = (tree.get(root) ?? []).map((entry): Entry => {
    if (entry.kind !== 'submitted' || entry.parentRunId === undefined) return entry
    const { parentRunId: _, ...own } = entry
    return own
  })
  return new Map(tree).set(root, entries)
}

/** A copy that belongs to this engine: whoever recovers runs would leave one alone that another engine seems to own. */
export function ownedBy(
  { clock, node }: Pick<CopyHost, 'clock' | 'node'>,
  tree: JournalTree,
  note: Pick<NoteEntry, 'note' | 'message'>,
): JournalTree {
  const [root = ''] = tree.keys()
  const entries = tree.get(root) ?? []
  const at = clock.now()
  const own: Entry[] = [{ kind: 'note', at, run: 0, ...note }]
  if (!isTerminal(foldJournal(root, entries).root.stateName))
    own.push({ kind: 'claimed', at, epoch: epochOf(entries) + 1, node })
  return new Map(tree).set(root, [...entries, ...own])
}

function readFile(bytes: Uint8Array, codecs: readonly PayloadCodec[]): JournalTree {
  if (!(bytes instanceof Uint8Array) || !magic.every((byte, at) => bytes[at] === byte)) {
    throw malformed('it does not begin as one; give what `engine.export` gave')
  }
  const payload = unseal(bytes.subarray(magic.length), codecs, what)
  try {
    return journalsOf(decodeValue(payload))
  } catch (error) {
    if (TroupeError.is(error) && error.code !== 'INTERNAL') throw error
    throw malformed('it was not written by Troupe', error)
  }
}

function journalsOf(content: unknown): JournalTree {
  const { run, journals } = content as { run: unknown; journals: readonly (readonly [unknown, unknown])[] }
  const tree = new Map<string, readonly Entry[]>()
  for (const [id, record] of journals) {
    if (typeof id !== 'string' || !(record instanceof Uint8Array)) throw malformed('it holds no journals')
    const entries = unpackEntries(record, { codecs: [], blob: () => undefined })
    // Throws where they can't be the journal of a run.
    foldJournal(id, entries)
    if (rootEntryOf(entries).runId !== id) throw malformed(`the journal of ${id} is another one's`)
    tree.set(id, entries)
  }
  const [root] = tree.keys()
  if (root === undefined || root !== run) throw malformed('it lacks the journal of its run')
  return tree
}

function malformed(why: string, cause?: unknown): CodecError {
  return new CodecError('MALFORMED_PAYLOAD', `can't read ${what}: ${why}`, { cause })
}
