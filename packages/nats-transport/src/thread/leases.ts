/**
 * What this process holds, in memory that two threads share: the one that takes and gives back writes it, the other one
 * prolongs. So taking wakes nobody, and a blocked event loop changes nothing.
 */

/** Slots of one table. */
const slotsPerTable = 256
/** Bytes of a slot: three words, then the subject that prolongs. */
const slotBytes = 512
const headWords = 3
const longestSubject = slotBytes - headWords * 4

/** Words of a slot: how often it was written, odd while it is; what it is; the length of its subject. */
const version = 0
const state = 1
const length = 2

const free = 0
const held = 1
/** The other thread has let go of it. */
const lost = 2

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** A right to work on a message, for as long as it is prolonged. */
export interface Lease {
  /** @returns Whether it was this process's until now */
  release(): boolean
}

/** @returns A new table, to be shared. */
function newTable(): SharedArrayBuffer {
  return new SharedArrayBuffer(slotsPerTable * slotBytes)
}

interface Slot {
  readonly words: Int32Array
  readonly bytes: Uint8Array
}

function slotsOf(table: SharedArrayBuffer): Slot[] {
  return Array.from({ length: slotsPerTable }, (_, index) => ({
    words: new Int32Array(table, index * slotBytes, headWords),
    bytes: new Uint8Array(table, index * slotBytes + headWords * 4, longestSubject),
  }))
}

/** The side of whoever takes. */
export class Leases {
  readonly tables: SharedArrayBuffer[] = []
  readonly #free: Slot[] = []
  readonly #share: (table: SharedArrayBuffer) => void

  /** @param share - Tells the other side of a new table. */
  constructor(share: (table: SharedArrayBuffer) => void) {
    this.#share = share
  }

  /** @param subject - On which it is prolonged, in ASCII. */
  hold(subject: string): Lease {
    const slot = this.#take()
    // One that is too long is not prolonged, and delivered again when its time is over.
    if (subject.length > longestSubject) return { release: () => this.#put(slot) }
    const scratch = encoder.encode(subject)
    Atomics.add(slot.words, version, 1)
    slot.bytes.set(scratch)
    Atomics.store(slot.words, length, scratch.length)
    Atomics.store(slot.words, state, held)
    Atomics.add(slot.words, version, 1)
    return { release: () => this.#release(slot) }
  }

  #take(): Slot {
    const slot = this.#free.pop()
    if (slot !== undefined) return slot
    const table = newTable()
    this.tables.push(table)
    this.#free.push(...slotsOf(table))
    this.#share(table)
    return this.#take()
  }

  #release(slot: Slot): boolean {
    const was = Atomics.exchange(slot.words, state, free)
    this.#free.push(slot)
    return was === held
  }

  #put(slot: Slot): boolean {
    this.#free.push(slot)
    return true
  }
}

interface Seen {
  readonly slot: Slot
  version: number
  /** Looks at which it was there. */
  looks: number
}

/** The side of whoever prolongs. */
export class LeaseKeeper {
  readonly #slots: Seen[] = []

  add(table: SharedArrayBuffer): void {
    for (const slot of slotsOf(table)) this.#slots.push({ slot, version: -1, looks: 0 })
  }

  /** Looks, to be called six times in the time of a lease. @returns What is to be prolonged: nothing that is new, and the rest every other time */
  due(): string[] {
    const subjects: string[] = []
    for (const seen of this.#slots) {
      const { words } = seen.slot
      const written = Atomics.load(words, version)
      if (written % 2 === 1 || Atomics.load(words, state) !== held) continue
      if (seen.version !== written) {
        seen.version = written
        seen.looks = 0
      }
      if (seen.looks++ % 2 === 1) this.#read(seen.slot, written, subjects)
    }
    return subjects
  }

  /** All that is held, new or not. */
  all(): string[] {
    const subjects: string[] = []
    for (const { slot } of this.#slots) {
      const written = Atomics.load(slot.words, version)
      if (written % 2 === 0 && Atomics.load(slot.words, state) === held) this.#read(slot, written, subjects)
    }
    return subjects
  }

  /** Lets go of all. */
  lose(): void {
    for (const { slot } of this.#slots) Atomics.compareExchange(slot.words, state, held, lost)
  }

  #read({ words, bytes }: Slot, written: number, subjects: string[]): void {
    // A copy: text decoders refuse shared memory.
    const subject = decoder.decode(bytes.slice(0, Atomics.load(words, length)))
    // It was given back and taken anew while it was read.
    if (Atomics.load(words, version) === written) subjects.push(subject)
  }
}
