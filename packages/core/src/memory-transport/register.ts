import type { Register, Registered } from '../ports/register.ts'
import type { Wire } from './wire.ts'

interface Listener {
  readonly prefix: string
  readonly told: (key: string) => void
}

/** What all nodes have registered. */
export class Registry {
  readonly #values = new Map<string, Registered>()
  readonly #listeners = new Set<Listener>()
  #revision = 0

  /** What one node has of it. */
  at(wire: Wire): Register {
    return {
      get: (key) => wire.call(() => copyOf(this.#values.get(key))),
      put: (key, given, expected) => {
        const value = given.slice()
        return wire.call(() => {
          if ((this.#values.get(key)?.revision ?? 0) !== expected) return undefined
          const revision = ++this.#revision
          this.#values.set(key, { value, revision, writtenAt: wire.world.now() })
          this.#tell(key)
          return revision
        })
      },
      delete: (key, expected) =>
        wire.call(() => {
          if ((this.#values.get(key)?.revision ?? 0) !== expected) return false
          if (this.#values.delete(key)) this.#tell(key)
          return true
        }),
      keys: (prefix) => wire.call(() => [...this.#values.keys()].filter((key) => key.startsWith(prefix))),
      subscribe: (prefix, listener) =>
        wire.listen(listener, (tell) => {
          const own: Listener = { prefix, told: (key) => wire.down(() => tell(key), 'waits') }
          this.#listeners.add(own)
          return () => void this.#listeners.delete(own)
        }),
    }
  }

  #tell(key: string): void {
    for (const { prefix, told } of this.#listeners) if (key.startsWith(prefix)) told(key)
  }
}

const copyOf = (found: Registered | undefined): Registered | undefined =>
  found === undefined ? undefined : { ...found, value: found.value.slice() }
