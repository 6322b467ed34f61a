import type { RootChange, RootFacts, SummaryOnWire } from '../wires.ts'
import { checksumOf } from './checksums.ts'
import type { Session } from './connection.ts'
import type { SqlValue } from './driver.ts'
import { Refusal } from './failures.ts'

/** A row of `runs`. */
export interface RunRow {
  id: number
  readonly flow_run_id: string
  position: number
  epoch: number
  last: string
  name: string | null
  version: string | null
  kind: string | null
  run_name: string | null
  state: string | null
  tags: string | null
  started_at: number | null
  changed_at: number | null
  ended: number
  parent: string | null
  /** Flow run in whose journal the parent is. */
  parent_flow: string | null
  node: string | null
  node_epoch: number | null
}

const columns = [
  'flow_run_id',
  'position',
  'epoch',
  'last',
  'name',
  'version',
  'kind',
  'run_name',
  'state',
  'tags',
  'started_at',
  'changed_at',
  'ended',
  'parent',
  'parent_flow',
  'node',
  'node_epoch',
] as const

const insertion = `insert into runs(${columns.join(', ')}, crc) values (${columns.map(() => '?').join(', ')}, ?) returning id`
const advance = 'update runs set position = ?, epoch = ?, last = ?, crc = ? where id = ?'
const change = `update runs set position = ?, epoch = ?, last = ?, name = ?, version = ?, kind = ?, run_name = ?, state = ?,
  tags = ?, started_at = ?, changed_at = ?, ended = ?, parent = ?, parent_flow = ?, node = ?, node_epoch = ?, crc = ? where id = ?`

/** How many rows are kept in memory while no other process writes. */
const kept = 20_000

function valuesOf(run: RunRow): SqlValue[] {
  return columns.map((column) => run[column])
}

function checksum(run: RunRow): number {
  return checksumOf(valuesOf(run))
}

export function checked(row: unknown, folder: string): RunRow | undefined {
  if (row === undefined || row === null) return undefined
  const run = row as RunRow & { readonly crc: number }
  if (checksum(run) === run.crc) return run
  throw new Refusal(
    'JOURNAL_DAMAGED',
    `the journal in ${folder} is damaged: the record of flow run ${run.flow_run_id} is not what was written`,
    { folder, flowRunId: run.flow_run_id, reason: 'checksum' },
  )
}

/** The table of runs. Rows are remembered as long as nobody else writes. */
export class Runs {
  readonly #session: Session
  readonly #known = new Map<string, RunRow>()
  /** Whether a run that is not found is not there. */
  readonly #complete: boolean

  constructor(session: Session, complete: boolean) {
    this.#session = session
    this.#complete = complete
  }

  /** Others have written, or what was written was taken back. */
  forget(): void {
    this.#known.clear()
  }

  find(flowRunId: string): RunRow | undefined {
    const known = this.#known.get(flowRunId)
    if (known !== undefined) return known
    const row = this.#session.sql('select * from runs where flow_run_id = ?').get(flowRunId)
    const run = checked(row, this.#session.folder)
    if (run === undefined) this.assertComplete()
    else this.#remember(run)
    return run
  }

  /** Refuses to say of any run that it is not there, or that these are all, where that can't be known. */
  assertComplete(): void {
    if (this.#complete) return
    const { folder } = this.#session
    throw new Refusal(
      'JOURNAL_DAMAGED',
      `the journal in ${folder} is damaged: some flow runs can't be found; those that can be are still read`,
      { folder, reason: 'runs' },
    )
  }

  create(flowRunId: string, token: string): RunRow {
    const run: RunRow = {
      id: 0,
      flow_run_id: flowRunId,
      position: 0,
      epoch: 0,
      last: token,
      name: null,
      version: null,
      kind: null,
      run_name: null,
      state: null,
      tags: null,
      started_at: null,
      changed_at: null,
      ended: 0,
      parent: null,
      parent_flow: null,
      node: null,
      node_epoch: null,
    }
    return run
  }

  /** Stores a row that is new or has changed. `root`: whether more than where it stands has changed. */
  store(run: RunRow, root: boolean): void {
    if (run.id === 0) {
      const { id } = this.#session.sql(insertion).get(...valuesOf(run), checksum(run)) as { id: number }
      run.id = id
      for (const tag of new Set(tagsOf(run)))
        this.#session.sql('insert into tags(tag, run) values (?, ?)').run(tag, id)
    } else if (root) {
      const { flow_run_id: _, ...rest } = run
      const values = columns.filter((column) => column !== 'flow_run_id').map((column) => rest[column])
      this.#session.sql(change).run(...values, checksum(run), run.id)
    } else {
      this.#session.sql(advance).run(run.position, run.epoch, run.last, checksum(run), run.id)
    }
    this.#remember(run)
  }

  drop(flowRunId: string): void {
    this.#known.delete(flowRunId)
  }

  #remember(run: RunRow): void {
    if (this.#known.size >= kept) this.#known.clear()
    this.#known.set(run.flow_run_id, run)
  }
}

function tagsOf(run: RunRow): string[] {
  return run.tags === null ? [] : (JSON.parse(run.tags) as string[])
}

/** Adds to a row what an append says of the root. @returns Whether it says anything. */
export function applyChange(
  run: RunRow,
  root: RootFacts | undefined,
  { state, changedAt, node, epoch, runName }: RootChange,
): boolean {
  let changed = false
  if (root !== undefined && run.name === null) {
    run.name = root.name
    run.version = root.version
    run.kind = root.kind
    run.run_name = root.runName ?? null
    run.state = root.state
    run.tags = root.tags.length === 0 ? null : JSON.stringify(root.tags)
    run.started_at = root.startedAt
    run.changed_at = root.startedAt
    run.parent = root.parentRunId ?? null
    run.parent_flow = root.parentFlowRunId ?? null
    changed = true
  }
  if (state !== undefined) {
    run.state = state
    run.changed_at = changedAt ?? null
    changed = true
  }
  if (runName !== undefined) {
    run.run_name = runName
    changed = true
  }
  if (node !== undefined) {
    run.node = node
    run.node_epoch = epoch ?? null
    changed = true
  }
  return changed
}

export function summaryOf(run: RunRow, folder: string): SummaryOnWire {
  const { name, version, kind, state, started_at: startedAt, changed_at: changedAt } = run
  if (name === null || version === null || state === null || startedAt === null || changedAt === null) {
    throw new Refusal('INTERNAL', `the journal of ${run.flow_run_id} in ${folder} has no root`)
  }
  return {
    flowRunId: run.flow_run_id,
    name,
    version,
    kind: kind === 'task' ? 'task' : 'flow',
    runName: run.run_name ?? undefined,
    state,
    tags: tagsOf(run),
    startedAt,
    changedAt,
    position: run.position,
    ended: run.ended === 1,
    parentRunId: run.parent ?? undefined,
    node: run.node ?? '',
    epoch: run.node_epoch ?? 0,
    order: run.id,
  }
}
