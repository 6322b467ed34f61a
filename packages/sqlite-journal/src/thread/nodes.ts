import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import type { Session } from './connection.ts'
import { Refusal } from './failures.ts'

/** Who a process is, as far as it can be told from another that has its number. */
interface Identity {
  readonly host: string
  /** Which start of the machine; empty where it can't be known. */
  readonly boot: string
  /** Within which its number counts. */
  readonly space: string
  readonly pid: number
  /** When it was started, in ticks since the machine was; empty where it can't be known. */
  readonly started: string
}

interface NodeRow extends Identity {
  readonly name: string
  readonly beat: number
}

/** A node of another machine or container counts as gone when its beat has not moved for so long. */
const silenceMs = 30_000
export const beatMs = 10_000

/** What the system says, or nothing where it has no such file. */
function told(read: () => string): string {
  try {
    return read().trim()
  } catch {
    return ''
  }
}

/** Field 22 of `/proc/<pid>/stat`; the name before it may hold anything, so fields count from its last bracket. */
function startOf(pid: number): string {
  const stat = told(() => readFileSync(`/proc/${pid}/stat`, 'latin1'))
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
}

function identity(): Identity {
  return {
    host: hostname(),
    boot: told(() => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1')),
    space: told(() => readlinkSync('/proc/self/ns/pid')),
    pid: process.pid,
    started: startOf(process.pid),
  }
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // It is there, and somebody else's.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** The table of engines. */
export class NodeTable {
  readonly #session: Session
  readonly #self = identity()
  /** Engines of this journal. */
  readonly #own: Set<string>
  /** When the beat of an engine elsewhere was last seen to move. */
  readonly #heard = new Map<string, { readonly beat: number; readonly at: number }>()

  constructor(session: Session, own: Set<string>) {
    this.#session = session
    this.#own = own
  }

  /** In a transaction. */
  announce(node: string, monotonic: number): void {
    const row = this.#find(node)
    if (row !== undefined && !this.#isGone(row, monotonic)) {
      const { folder } = this.#session
      throw new Refusal(
        'NODE_IN_USE',
        `the journal in ${folder} has a living engine named ${node}; give this one another name`,
        {
          folder,
          node,
          pid: row.pid,
          host: row.host,
        },
      )
    }
    const { host, boot, space, pid, started } = this.#self
    this.#session
      .sql(
        'insert or replace into nodes(name, host, boot, space, pid, started, beat) values (?, ?, ?, ?, ?, ?, 0)',
      )
      .run(node, host, boot, space, pid, started)
    this.#own.add(node)
  }

  /** In a transaction. Does nothing where the name is another's. */
  withdraw(node: string): void {
    if (this.#own.delete(node)) this.#remove(node)
  }

  gone(nodes: readonly string[], monotonic: number): string[] {
    return nodes.filter((node) => {
      const row = this.#find(node)
      return row === undefined || this.#isGone(row, monotonic)
    })
  }

  /** Whether there is an engine whose beat others may wait for. */
  get beats(): boolean {
    return this.#own.size > 0
  }

  /** In a transaction. */
  beat(): void {
    for (const node of this.#own)
      this.#session.sql('update nodes set beat = beat + 1 where name = ?').run(node)
  }

  /** In a transaction: the journal is closed. */
  withdrawAll(): void {
    for (const node of this.#own) this.withdraw(node)
  }

  /** In a transaction: those that are gone are as good as not there. */
  forgetGone(monotonic: number): void {
    const rows = this.#session.sql('select * from nodes').all() as NodeRow[]
    for (const row of rows) if (this.#isGone(row, monotonic)) this.#remove(row.name)
  }

  #remove(node: string): void {
    this.#session.sql('delete from nodes where name = ?').run(node)
  }

  #find(node: string): NodeRow | undefined {
    return (
      (this.#session.sql('select * from nodes where name = ?').get(node) as NodeRow | undefined) ?? undefined
    )
  }

  #isGone(row: NodeRow, monotonic: number): boolean {
    const { host, boot, space } = this.#self
    if (row.host === host && row.boot === boot && row.space === space) return this.#hasEnded(row)
    // The machine was started again. Of machines that say no such thing, the beat has to tell.
    if (row.host === host && row.boot !== '' && boot !== '' && row.boot !== boot) return true
    const heard = this.#heard.get(row.name)
    if (heard?.beat === row.beat) return monotonic - heard.at >= silenceMs
    this.#heard.set(row.name, { beat: row.beat, at: monotonic })
    return false
  }

  #hasEnded({ pid, started }: NodeRow): boolean {
    if (pid === this.#self.pid && started === this.#self.started) return false
    if (!isThere(pid)) return true
    return started !== '' && startOf(pid) !== started
  }
}
