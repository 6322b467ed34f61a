import { CodecError, UsageError } from '../base/errors.ts'
import type { Clock } from '../ports/clock.ts'
import type { Random } from '../ports/random.ts'
import type { Register, Registered } from '../ports/register.ts'
import { Pauses } from './pauses.ts'
import type { Peers } from './peers.ts'
import { keyPart } from './register-keys.ts'
import { keptMs } from './shared-limit.ts'

/** What locks are built on. */
export interface LocksHost {
  readonly register: Register
  readonly peers: Peers
  readonly clock: Clock
  readonly random: Random
  report(error: unknown): void
}

/** Who has a lock. */
export interface LockHolder {
  readonly node: string
  /** What it said of itself. */
  readonly detail: string
}

/** How to take a lock. */
export interface TakeOptions {
  /** What others are told who find it taken; default nothing. */
  readonly detail?: string
  /** Whether it is taken from a holder that is there; default not. */
  readonly takesFrom?: (holder: LockHolder) => boolean
}

/** As it stands in the register. */
interface Written extends LockHolder {
  readonly format: 1
  readonly owner: string
  /** Tells this taking from all others. */
  readonly token: string
}

/** How often whoever waits for a lock looks whether it missed something. */
const lookAgainMs = 5_000

/**
 * Locks of the cluster: one engine at most has each. A lock has no time: it is its holder's until that gives it back, or is
 * gone; then the next takes it over. A holder that was cut off may not know that yet: what it does must bear that, or ask
 * `renew` before.
 */
export class Locks {
  readonly #host: LocksHost
  readonly #prefix: string
  readonly #pauses: Pauses
  readonly #watchers = new Map<string, Set<Watcher>>()
  readonly #ends: (() => void)[] = []
  #unsubscribe: (() => void) | undefined
  #counter = 0
  #willSweep = false
  /** Locks that this version can't read: told of once. */
  readonly #unreadable = new Set<string>()

  /** @param prefix - What the keys of these locks begin with in the register, such as `locks.` */
  constructor(prefix: string, host: LocksHost) {
    this.#prefix = prefix
    this.#host = host
    this.#pauses = new Pauses(host.clock, host.random)
  }

  /** Whoever uses locks gives back what nodes had that are gone, soon and whenever one is lost. */
  #begin(): void {
    if (this.#ends.length > 0) return
    this.#ends.push(
      this.#host.peers.lost(() => {
        for (const watchers of this.#watchers.values()) for (const watcher of watchers) watcher.wake()
        this.#sweepLater()
      }),
    )
    this.#sweepLater()
  }

  /** Takes a lock, or tells who has it. @throws UsageError `ENGINE_CLOSED` */
  async tryTake(name: string, options: TakeOptions = {}): Promise<Lock | LockHolder> {
    const { register, peers } = this.#host
    const { detail = '', takesFrom = () => false } = options
    const key = this.#keyOf(name)
    const token = `${++this.#counter} of ${peers.owner}`
    const written: Written = { format: 1, owner: peers.owner, node: peers.node, token, detail }
    await peers.ready
    this.#begin()
    let isUncertain = false
    return this.#insist(async () => {
      const found = await register.get(key)
      const holder = found === undefined ? undefined : read(found)
      // It was stored, and the answer was lost.
      if (holder?.token === token && found !== undefined) return new Lock(this, name, { token, written })
      if (found !== undefined && holder !== undefined && !takesFrom(holder)) {
        const gone = await peers.gone([holder.owner])
        if (!gone.has(holder.owner)) {
          if (!isUncertain) return holder
          // A write that was not answered may still come, when this one has been given back: not after one that is answered.
          await register.put(key, found.value, found.revision)
          isUncertain = false
          return undefined
        }
      }
      isUncertain = true
      const revision = await register.put(key, write(written), found?.revision ?? 0)
      isUncertain = false
      return revision === undefined ? undefined : new Lock(this, name, { token, written })
    })
  }

  /** Waits for a lock. @throws UsageError `ENGINE_CLOSED`; the reason of the signal */
  async take(name: string, options: TakeOptions & { readonly signal?: AbortSignal } = {}): Promise<Lock> {
    const watch = this.watch(name)
    const { signal } = options
    const aborted = (): void => watch.wake()
    signal?.addEventListener('abort', aborted)
    try {
      for (;;) {
        signal?.throwIfAborted()
        const taken = await this.tryTake(name, options)
        if (taken instanceof Lock) return taken
        await watch.next()
      }
    } finally {
      signal?.removeEventListener('abort', aborted)
      watch.end()
    }
  }

  /** Tells when it may be worth to try again. Begin before the first try: nothing is missed then. */
  watch(name: string): Watcher {
    const key = this.#keyOf(name)
    const watcher = new Watcher(this.#pauses, () => {
      const watchers = this.#watchers.get(key)
      watchers?.delete(watcher)
      if (watchers?.size === 0) this.#watchers.delete(key)
      if (this.#watchers.size > 0) return
      this.#unsubscribe?.()
      this.#unsubscribe = undefined
    })
    const watchers = this.#watchers.get(key) ?? new Set()
    this.#watchers.set(key, watchers.add(watcher))
    this.#unsubscribe ??= this.#host.register.subscribe(this.#prefix, (changed) => {
      for (const each of this.#watchers.get(changed) ?? []) each.wake()
    })
    return watcher
  }

  /** Whether the register has a lock under a token. @param again - Whether it is written once more, too. */
  async holds(name: string, token: string, again?: Written): Promise<boolean> {
    const { register } = this.#host
    const key = this.#keyOf(name)
    return this.#insist(async () => {
      const found = await register.get(key)
      if (found === undefined || read(found).token !== token) return false
      if (again === undefined) return true
      return (await register.put(key, write(again), found.revision)) === undefined ? undefined : true
    })
  }

  /** Forgets a lock, if it has this token. */
  async giveBack(name: string, token: string): Promise<void> {
    const { register } = this.#host
    const key = this.#keyOf(name)
    await this.#insist(async () => {
      const found = await register.get(key)
      if (found === undefined || read(found).token !== token) return true
      return (await register.delete(key, found.revision)) ? true : undefined
    })
  }

  #keyOf(name: string): string {
    return this.#prefix + keyPart(name)
  }

  /** Tries until the register has answered, and nothing else came first. */
  async #insist<T>(attempt: () => Promise<T | undefined>): Promise<T> {
    const pauses = this.#pauses.another()
    for (;;) {
      if (this.#pauses.isStopped)
        throw new UsageError('ENGINE_CLOSED', 'the engine was closed before it had the lock')
      try {
        const done = await attempt()
        if (done !== undefined) return done
        await pauses.refused()
      } catch (error) {
        await pauses.failed(error, (what) => this.#host.report(what))
      }
    }
  }

  /** Whoever goes on with what the node did has a while to take its locks over; of those who are there, one is enough. */
  #sweepLater(): void {
    if (this.#willSweep) return
    this.#willSweep = true
    void this.#pauses.wait(keptMs * (1 + this.#host.random.number())).then(() => {
      this.#willSweep = false
      return this.sweep()
    })
  }

  /** Forgets the locks of nodes that are gone. */
  async sweep(): Promise<void> {
    const { register, peers } = this.#host
    if (this.#pauses.isStopped) return
    try {
      for (const key of await register.keys(this.#prefix)) {
        const found = await register.get(key)
        const owner = found === undefined ? undefined : this.#ownerOf(key, found)
        if (found === undefined || owner === undefined) continue
        if ((await peers.gone([owner])).has(owner)) await register.delete(key, found.revision)
      }
    } catch (error) {
      if (this.#pauses.isStopped) return
      this.#host.report(error)
      this.#sweepLater()
    }
  }

  /** Whose a lock is. One that can't be read is left to those who can, and keeps no other from being swept. */
  #ownerOf(key: string, found: Registered): string | undefined {
    try {
      return read(found).owner
    } catch (error) {
      if (!this.#unreadable.has(key)) this.#host.report(error)
      this.#unreadable.add(key)
      return undefined
    }
  }

  /** Nobody waits any more; what is held stays, until others see that this node is gone. */
  stop(): void {
    this.#pauses.stop()
    for (const end of this.#ends) end()
    this.#unsubscribe?.()
  }
}

/** A lock that was taken. */
export class Lock {
  readonly name: string
  readonly #locks: Locks
  readonly #token: string
  readonly #written: Written

  constructor(locks: Locks, name: string, taken: { readonly token: string; readonly written: Written }) {
    this.#locks = locks
    this.name = name
    this.#token = taken.token
    this.#written = taken.written
  }

  /** Whether it has not been taken over. */
  isHeld(): Promise<boolean> {
    return this.#locks.holds(this.name, this.#token)
  }

  /** Writes it once more: whoever was about to take it over must look again. @returns False where it has been taken over */
  renew(): Promise<boolean> {
    return this.#locks.holds(this.name, this.#token, this.#written)
  }

  /** Gives it back; does nothing where it has been taken over. Resolves when that is stored. */
  release(): Promise<void> {
    return this.#locks.giveBack(this.name, this.#token)
  }
}

/** Tells when it may be worth to look again. */
export class Watcher {
  readonly #pauses: Pauses
  readonly #end: () => void
  #isDue = false
  #resolve: (() => void) | undefined

  constructor(pauses: Pauses, end: () => void) {
    this.#pauses = pauses
    this.#end = end
  }

  wake(): void {
    this.#isDue = true
    this.#resolve?.()
  }

  /** Resolves when something changed since the last time, and after a while in any case. */
  async next(): Promise<void> {
    if (!this.#isDue) {
      const pause = this.#pauses.begin(this.#pauses.jittered(lookAgainMs))
      this.#resolve = pause.wake
      await pause.done
      this.#resolve = undefined
    }
    this.#isDue = false
  }

  end(): void {
    this.wake()
    this.#end()
  }
}

function write(written: Written): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(written))
}

/** @throws CodecError `MALFORMED_PAYLOAD`, `UNSUPPORTED_FORMAT` */
function read({ value }: Registered): Written {
  let written: Written
  try {
    written = JSON.parse(new TextDecoder().decode(value)) as Written
  } catch (cause) {
    throw new CodecError('MALFORMED_PAYLOAD', 'a lock in the register is no JSON', { cause })
  }
  if (written.format === 1) return written
  const message = `a lock was written in format ${String(written.format)}, and this version knows format 1`
  throw new CodecError('UNSUPPORTED_FORMAT', message)
}
