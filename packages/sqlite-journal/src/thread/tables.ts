import type { ThreadData } from '../wires.ts'
import { Blobs } from './blobs.ts'
import { CacheTable } from './cache.ts'
import type { Session } from './connection.ts'
import { Entries } from './entries.ts'
import { Mail } from './mail.ts'
import { NodeTable } from './nodes.ts'
import { Runs } from './runs.ts'
import { checkRuns } from './soundness.ts'

/** An open journal, table by table. */
export interface Tables {
  readonly session: Session
  readonly runs: Runs
  readonly entries: Entries
  readonly blobs: Blobs
  readonly mail: Mail
  readonly cache: CacheTable
  readonly nodes: NodeTable
}

export function tablesOf(session: Session, data: ThreadData): Tables {
  const runs = new Runs(session, checkRuns(session))
  const blobs = new Blobs(session)
  return {
    session,
    runs,
    blobs,
    entries: new Entries(session, runs, blobs),
    mail: new Mail(session),
    cache: new CacheTable(session),
    nodes: new NodeTable(session, new Set(data.nodes)),
  }
}
