import { readFile } from 'node:fs/promises'
import { Refusal } from './failures.ts'

/** @see https://www.sqlite.org/fileformat2.html#the_write_ahead_log */
const headerBytes = 32
const frameHeaderBytes = 24
const magic = 0x377f0682

/** Another process may write while this one reads: what looks damaged is looked at again. */
const looks = 5
const betweenLooksMs = 20

/**
 * Refuses a log of commits that is damaged in the middle. SQLite takes its first damaged frame for the end and forgets all
 * commits after it, which is right for a tail that a power cut left half written. But no commit begins before the one before
 * it is on the disk: where commits follow, what is damaged was acknowledged.
 */
export async function checkLog(path: string, folder: string): Promise<void> {
  for (let look = 1; ; look++) {
    let bytes: Buffer
    try {
      bytes = await readFile(path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
      throw error
    }
    const damaged = damagedFrame(bytes)
    if (damaged === undefined) return
    if (look === looks) {
      throw new Refusal(
        'JOURNAL_DAMAGED',
        `the journal in ${folder} is damaged: commits follow a damaged part of ${path} at byte ${damaged}, and would be lost; ` +
          'restore a backup, or remove that file to go on without the newest commits',
        { folder, reason: 'log', byte: damaged },
      )
    }
    await new Promise((resolve) => setTimeout(resolve, betweenLooksMs))
  }
}

/** Where a frame is damaged that others follow of the same log, after a commit; undefined where there is none. */
function damagedFrame(bytes: Buffer): number | undefined {
  if (bytes.length < headerBytes) return undefined
  const kind = bytes.readUInt32BE(0)
  const pageSize = bytes.readUInt32BE(8)
  const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const littleEndian = kind === magic
  let sums: Sums = [0, 0]
  const sound =
    (kind === magic || kind === magic + 1) &&
    pageSize >= 512 &&
    matches((sums = summed(words, sums, { from: 0, to: 24, littleEndian })), bytes, 24)
  // SQLite would ignore the whole log.
  if (!sound) return bytes.length > headerBytes + frameHeaderBytes + 512 ? 0 : undefined
  const salts = bytes.subarray(16, 24)
  const frame = frameHeaderBytes + pageSize
  const ofThisLog = (at: number): boolean => bytes.subarray(at + 8, at + 16).equals(salts)
  let damaged: number | undefined
  let committed = false
  for (let at = headerBytes; at + frame <= bytes.length; at += frame) {
    if (damaged !== undefined) {
      if (!ofThisLog(at)) continue
      if (committed) return damaged
      committed = bytes.readUInt32BE(at + 4) !== 0
      continue
    }
    const head = summed(words, sums, { from: at, to: at + 8, littleEndian })
    sums = summed(words, head, { from: at + frameHeaderBytes, to: at + frame, littleEndian })
    if (ofThisLog(at) && matches(sums, bytes, at + 16)) continue
    damaged = at
    // The frame itself may be the end of a commit.
    committed = bytes.readUInt32BE(at + 4) !== 0
  }
  return undefined
}

type Sums = readonly [number, number]

function summed(
  words: DataView,
  [first, second]: Sums,
  { from, to, littleEndian }: { from: number; to: number; littleEndian: boolean },
): Sums {
  let a = first
  let b = second
  for (let at = from; at < to; at += 8) {
    a = (a + words.getUint32(at, littleEndian) + b) >>> 0
    b = (b + words.getUint32(at + 4, littleEndian) + a) >>> 0
  }
  return [a, b]
}

function matches([a, b]: Sums, bytes: Buffer, at: number): boolean {
  return bytes.readUInt32BE(at) === a && bytes.readUInt32BE(at + 4) === b
}
