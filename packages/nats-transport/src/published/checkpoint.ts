import { JournalError, type Clock, type Register } from '@troupe/core'

const key = 'publish.v1'
/** Without a sign of life for so long the node that publishes is taken to be gone. */
const goneAfterMs = 15_000

/** What stands in the register: which node publishes, and up to where in the stream of journals that is done. */
interface Document {
  readonly node: string
  /** Tells two lives of one node apart. */
  readonly token: string
  readonly seq: number
}

export interface CheckpointParts {
  readonly register: Register
  readonly node: string
  readonly token: string
  readonly clock: Clock
  /** Of these nodes, those that are gone for sure. */
  readonly gone: (nodes: readonly string[]) => Promise<readonly string[]>
}

/**
 * Up to where transitions were published, and who goes on from there. It is changed by compare-and-set, so that a node that was taken for
 * gone notices it, and can't take the mark back.
 */
export class Checkpoint {
  readonly #parts: CheckpointParts
  /** Revision that this node wrote; 0 where it does not publish. */
  #held = 0
  #seen: { readonly revision: number; readonly since: number } | undefined

  constructor(parts: CheckpointParts) {
    this.#parts = parts
  }

  /** Takes the work where nobody does it. @returns Up to where it is done; undefined where another node does it. */
  async take(): Promise<number | undefined> {
    const { register, node, token } = this.#parts
    const found = await register.get(key)
    const before = found === undefined ? undefined : documentOf(found.value)
    if (found !== undefined && before !== undefined && !(await this.#isFree(before, found.revision)))
      return undefined
    const seq = before?.seq ?? 0
    const revision = await register.put(key, bytesOf({ node, token, seq }), found?.revision ?? 0)
    this.#held = revision ?? 0
    return revision === undefined ? undefined : seq
  }

  /** Marks how far it is. @returns Whether this node still is the one that publishes. */
  async mark(seq: number): Promise<boolean> {
    const { register, node, token } = this.#parts
    if (this.#held === 0) return false
    const revision = await register.put(key, bytesOf({ node, token, seq }), this.#held)
    this.#held = revision ?? 0
    return revision !== undefined
  }

  /** Lets another one go on at once. */
  async release(seq: number): Promise<void> {
    if (this.#held === 0) return
    await this.#parts.register.put(key, bytesOf({ node: '', token: '', seq }), this.#held)
    this.#held = 0
  }

  async #isFree(document: Document, revision: number): Promise<boolean> {
    const { node, clock, gone } = this.#parts
    // Of two engines of one name only one is there.
    if (document.node === '' || document.node === node) return true
    const now = clock.monotonic()
    if (this.#seen?.revision !== revision) this.#seen = { revision, since: now }
    if (now - this.#seen.since >= goneAfterMs) return true
    return (await gone([document.node])).length > 0
  }
}

function bytesOf(document: Document): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(document))
}

/** @throws JournalError `JOURNAL_DAMAGED` */
function documentOf(bytes: Uint8Array): Document {
  let found: unknown
  try {
    found = JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    found = undefined
  }
  const { node, token, seq } = (found ?? {}) as Partial<Document>
  if (typeof node === 'string' && typeof token === 'string' && Number.isSafeInteger(seq))
    return found as Document
  const message = `the register has something else under ${key} than up to where transitions were published`
  throw new JournalError('JOURNAL_DAMAGED', message, { details: { key } })
}
