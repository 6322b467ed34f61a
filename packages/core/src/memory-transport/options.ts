import { toMilliseconds, type Duration } from '../base/duration.ts'
import { UsageError } from '../base/errors.ts'
import { inWords } from '../base/words.ts'

/**
 * What goes wrong between the nodes, by chance: each a probability from 0 to 1, default 0. Journals, registers and caches, and
 * what a mailbox stores, are never wrong, as those of a server are not.
 *
 * @public
 */
export interface MemoryFaults {
  /** A listener of a mailbox hears of a message, and a taker of a delivery, only after the time of a lease; a question or an answer is lost. */
  readonly lose?: number
  /** A listener of a mailbox is told twice; a delivery goes to two takers, or twice to one; a lost node is told of twice. */
  readonly double?: number
  /** Any of these, and a notice of a lost node, comes later than it would, and so after others that came later. */
  readonly delay?: number
  /** How much later at most, in milliseconds; default 1,000. */
  readonly delayMs?: number
  /** An offer that was taken is forgotten, as by a server that was killed. */
  readonly forget?: number
  /** What was asked of the journal was done, and the answer is lost: the call rejects after a moment. */
  readonly unanswered?: number
}

/** @public */
export interface MemoryTransportOptions {
  /** Seed of the faults; default 1. */
  readonly seed?: number
  /** Default none. */
  readonly faults?: MemoryFaults
  /** After how long the others notice that a node is dead or cut off, default `'1.5s'`. */
  readonly lostAfter?: Duration
  /** After how long work goes to another whose taker is dead or cut off, default `'5s'`. */
  readonly lease?: Duration
  /** How many journals of finished runs are kept, the newest; default 1,000. */
  readonly keep?: number
  /** Whether transitions are published, for listeners that are no nodes: see {@link MemoryTransport.published}. Default false. */
  readonly publish?: boolean
}

/** Options with their defaults. */
export interface MemorySettings {
  readonly seed: number
  readonly faults: Required<MemoryFaults>
  readonly lostAfterMs: number
  readonly leaseMs: number
  readonly keep: number | undefined
  readonly publish: boolean
}

const optionNames = ['seed', 'faults', 'lostAfter', 'lease', 'keep', 'publish']
const noFaults = { lose: 0, double: 0, delay: 0, delayMs: 1_000, forget: 0, unanswered: 0 }

/** @throws UsageError `INVALID_OPTION`, `INVALID_DURATION` */
export function settingsOf(options: MemoryTransportOptions): MemorySettings {
  for (const name of Object.keys(options)) {
    if (!optionNames.includes(name))
      throw invalid(name, `memoryTransport has no option \`${name}\`; it takes ${optionNames.join(', ')}`)
  }
  const { seed = 1, faults = {}, lostAfter = '1.5s', lease = '5s', keep, publish = false } = options
  if (!Number.isInteger(seed))
    throw invalid('seed', `expected \`seed\` to be an integer, got ${inWords(seed)}`)
  if (typeof publish !== 'boolean')
    throw invalid('publish', `expected \`publish\` to be true or false, got ${inWords(publish)}`)
  for (const [name, rate] of Object.entries(faults)) {
    if (!(name in noFaults)) {
      const known = Object.keys(noFaults).join(', ')
      throw invalid('faults', `there is no fault \`${name}\`; there are ${known}`)
    }
    const most = name === 'delayMs' ? Number.MAX_SAFE_INTEGER : 1
    if (typeof rate === 'number' && rate >= 0 && rate <= most) continue
    throw invalid(
      'faults',
      `expected fault \`${name}\` to be a number from 0 to ${most}, got ${inWords(rate)}`,
    )
  }
  return {
    seed,
    faults: { ...noFaults, ...faults },
    lostAfterMs: toMilliseconds(lostAfter, 'lostAfter'),
    leaseMs: toMilliseconds(lease, 'lease'),
    keep,
    publish,
  }
}

function invalid(option: string, message: string): UsageError {
  return new UsageError('INVALID_OPTION', message, { details: { option } })
}
