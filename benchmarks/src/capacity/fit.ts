import { simulate, type Cost, type Load, type Outcome, type Service } from './path.ts'

const processes = ['owner', 'worker', 'server'] as const
type Process = (typeof processes)[number]

/** CPU time of one task run, in microseconds, at one load. */
export interface CpuPoint {
  readonly load: Load
  readonly cpu: Readonly<Record<Process, number>>
}

/** What was measured, of which the costs of the path are made. */
export interface FitPoints {
  readonly cpu: readonly CpuPoint[]
  /** One task run after the other: microseconds from one to the next. */
  readonly alone: { readonly load: Load; readonly wall: number }
  /** As many in flight as keep the owner busy all the time: the number of that CPU point, and microseconds from one to the next. */
  readonly saturated: { readonly point: number; readonly wall: number }
  /** How much of its CPU time the worker's event loop spends. */
  readonly workerShare: number
}

const rounds = 6
const halvings = 16

/**
 * Finds costs with which the simulation spends the CPU time that was measured, and takes as long for one task run alone. How often
 * processes begin when nothing was to be done depends on what it costs, so it is found in rounds.
 */
export function fit({ cpu, alone, saturated, workerShare }: FitPoints): Service {
  let service: Service = {
    owner: guess,
    worker: { ...guess, share: workerShare },
    server: guess,
    hop: 0,
  }
  for (let i = 0; i < rounds; i++) {
    const outcomes = cpu.map(({ load }) => simulate(service, load))
    const { perSecond = NaN } = outcomes[saturated.point] ?? {}
    const share = Math.min(1, (service.owner.share * saturated.wall * perSecond) / 1e6)
    service = { ...service, owner: { ...service.owner, share } }
    const next = (of: Process): Cost => solve(of, service[of], { points: cpu, outcomes })
    service = { ...service, owner: next('owner'), worker: next('worker'), server: next('server') }
    service = { ...service, ...way(service, alone) }
  }
  return service
}

const guess: Cost = { run: 20, message: 5, wake: 30, share: 1 }

/**
 * Where one task run alone takes longer than what is computed on its way, the rest is what hops from process to process take; where it
 * takes less, the server spends some of its time beside the way.
 */
function way(service: Service, { load, wall }: FitPoints['alone']): Pick<Service, 'server' | 'hop'> {
  const { server } = service
  const besides = (share: number): Pick<Service, 'server' | 'hop'> => ({
    server: { ...server, share },
    hop: 0,
  })
  const apart = (hop: number): Pick<Service, 'server' | 'hop'> => ({ server: { ...server, share: 1 }, hop })
  const takes = (one: Pick<Service, 'server' | 'hop'>): number =>
    1e6 / simulate({ ...service, ...one }, load).perSecond
  const [make, most] = takes(apart(0)) > wall ? [besides, 1] : [apart, wall]
  let [low, high] = [0, most]
  for (let i = 0; i < halvings; i++) {
    const middle = (low + high) / 2
    if (takes(make(middle)) > wall) high = middle
    else low = middle
  }
  return make(high)
}

/** The costs, none below 0, with which the relative errors at the points are least: all that could be zero are tried. */
function solve(
  of: Process,
  before: Cost,
  { points, outcomes }: { readonly points: readonly CpuPoint[]; readonly outcomes: readonly Outcome[] },
): Cost {
  const rows = points.map(({ cpu }, i) => {
    const { messages = NaN, wakes = NaN } = outcomes[i]?.[of] ?? {}
    return { row: [1 / cpu[of], messages / cpu[of], wakes / cpu[of]], value: 1 }
  })
  let best = [before.run, before.message, before.wake]
  let least = Infinity
  for (let used = 1; used < 8; used++) {
    const columns = [0, 1, 2].filter((column) => (used >> column) & 1)
    if (columns.length > points.length) continue
    const found = leastSquares(rows, columns)
    if (found.some((cost) => !(cost >= 0))) continue
    const costs = [0, 1, 2].map((column) => found[columns.indexOf(column)] ?? 0)
    const error = rows.reduce((sum, { row, value }) => sum + (value - dot(row, costs)) ** 2, 0)
    if (error < least - 1e-9) {
      least = error
      best = costs
    }
  }
  const [run = 0, message = 0, wake = 0] = best
  return { ...before, run, message, wake }
}

interface Row {
  readonly row: readonly number[]
  readonly value: number
}

const dot = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, one, i) => sum + one * (b[i] ?? 0), 0)

/** By the normal equations, which are three at most. */
function leastSquares(rows: readonly Row[], columns: readonly number[]): readonly number[] {
  const column = (at: number): readonly number[] => rows.map(({ row }) => row[at] ?? 0)
  const values = rows.map(({ value }) => value)
  const matrix = columns.map((a) => [
    ...columns.map((b) => dot(column(a), column(b))),
    dot(column(a), values),
  ])
  return gauss(matrix)
}

/** Solves a small system of equations; NaN where it has no one solution. */
function gauss(matrix: readonly (readonly number[])[]): readonly number[] {
  const rows = matrix.map((row) => [...row])
  const size = rows.length
  for (let at = 0; at < size; at++) {
    const pivot = rows.slice(at).reduce((a, b) => (Math.abs(b[at] ?? 0) > Math.abs(a[at] ?? 0) ? b : a))
    rows.splice(rows.indexOf(pivot), 1)
    rows.splice(at, 0, pivot)
    if (Math.abs(pivot[at] ?? 0) < 1e-12) return columnsOf(NaN, size)
    for (const [i, row] of rows.entries()) {
      if (i === at) continue
      const factor = (row[at] ?? 0) / (pivot[at] ?? NaN)
      for (let j = at; j <= size; j++) row[j] = (row[j] ?? 0) - factor * (pivot[j] ?? 0)
    }
  }
  return rows.map((row, i) => (row[size] ?? NaN) / (row[i] ?? NaN))
}

const columnsOf = (value: number, size: number): readonly number[] =>
  Array.from({ length: size }, () => value)
