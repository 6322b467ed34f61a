import { copyOf } from '../base/bytes.ts'
import { CodecError } from '../base/errors.ts'
import { pack, unpack } from '../values/msgpack.ts'
import { decodeValue, encodeValue } from '../values/codec.ts'
import type { Owner } from './node-talk.ts'
import type { BodyFacts, BodyStart, FlowFacts } from './protocol.ts'

/** One assignment in an offer: all that a worker needs to execute it. */
export interface OfferedBody {
  /** How its task is found: as it was defined, before any `with`. */
  readonly task: { readonly name: string; readonly version: string }
  readonly start: BodyStart
  readonly facts: BodyFacts
  /** How long the body may take, in milliseconds. */
  readonly timeoutMs: number | undefined
}

/** Assignments of one flow run that go to a queue together. */
export interface RemoteOffer {
  readonly flowRunId: string
  /** Where its owner listened when it was made. */
  readonly owner: Owner
  /** Whether a worker is to ask the owner before it begins a body: it may have begun elsewhere. */
  readonly strict: boolean
  /** What bodies may know of the flow run, as `packFlow` makes it: few ask. */
  readonly flow: Uint8Array | undefined
  readonly bodies: readonly OfferedBody[]
}

const format = 1
const headBytes = 4

/** Bits of a body. */
const bit = { cleanup: 1, whole: 2 } as const

/** Facts of the flow run are left out above this size, in bytes: they go with every offer. */
const mostFlowBytes = 16_384

type Task = readonly [string, string]
/**
 * Its number among the tasks, run id without that of its flow run, attempt, bits, length of the arguments, what only few have, and
 * where it belongs, where instrumentation says so: readers of earlier versions leave that out.
 */
type Row = readonly [
  number,
  string,
  number,
  number,
  number,
  readonly [string, string],
  Rest | null,
  (readonly string[])?,
]
/** Tags, time limit, attempt with which the try began, length of what it drew and called before. */
type Rest = readonly [readonly string[], number | null, number, number]
type Tree = readonly [
  typeof format,
  string,
  readonly [string, string, number],
  0 | 1,
  number | null,
  readonly Task[],
  readonly Row[],
]

/** The body of an offer: length of the tree, the tree, and the values one after the other. */
export function packOffer({ flowRunId, owner, strict, flow, bodies }: RemoteOffer): Uint8Array {
  const tail: Uint8Array[] = []
  const add = (bytes: Uint8Array): number => {
    tail.push(bytes)
    return bytes.length
  }
  const tasks: [string, string][] = []
  const numberOf = ({ name, version }: OfferedBody['task']): number => {
    const known = tasks.findIndex(([a, b]) => a === name && b === version)
    return known === -1 ? tasks.push([name, version]) - 1 : known
  }
  const flowLength = flow === undefined ? null : add(flow)
  const rows = bodies.map(({ task, start, facts, timeoutMs }): Row => {
    const { runId, attempt, name, runName, tags, args, trace } = start
    const { cleanup, draws, ids, tryFrom } = facts
    const isWhole = !runId.startsWith(`${flowRunId}.`)
    const bits = (cleanup ? bit.cleanup : 0) | (isWhole ? bit.whole : 0)
    const length = add(args.bytes)
    const isPlain =
      tags.length === 0 &&
      timeoutMs === undefined &&
      tryFrom === attempt &&
      draws.length === 0 &&
      ids.length === 0
    const before = draws.length + ids.length === 0 ? 0 : add(encodeValue([draws, ids]))
    const id = isWhole ? runId : runId.slice(flowRunId.length + 1)
    const rest: Rest | null = isPlain ? null : [tags, timeoutMs ?? null, tryFrom, before]
    const row = [numberOf(task), id, attempt, bits, length, [name, runName], rest] as const
    if (trace === undefined) return row
    const { traceparent, tracestate } = trace
    return [...row, tracestate === undefined ? [traceparent] : [traceparent, tracestate]]
  })
  const tree: Tree = [
    format,
    flowRunId,
    [owner.node, owner.topic, owner.epoch],
    strict ? 1 : 0,
    flowLength,
    tasks,
    rows,
  ]
  const packed = pack(tree as Parameters<typeof pack>[0])
  const bytes = new Uint8Array(headBytes + packed.length + tail.reduce((sum, { length }) => sum + length, 0))
  new DataView(bytes.buffer).setUint32(0, packed.length)
  bytes.set(packed, headBytes)
  let at = headBytes + packed.length
  for (const part of tail) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** Parameters that are too large to go with every offer are left out, with the reason. */
export function packFlow(flow: FlowFacts): Uint8Array {
  const bytes = encodeValue(flow)
  if (bytes.length <= mostFlowBytes) return bytes
  const message =
    `the parameters of flow run ${flow.runName} (${flow.id}) are too large (${bytes.length} bytes) to be known to ` +
    'task runs on other nodes; give the task what it needs of them as an argument'
  return encodeValue({ ...flow, parameters: { error: new CodecError('PAYLOAD_TOO_LARGE', message) } })
}

/** @throws CodecError `MALFORMED_PAYLOAD` */
export function unpackFlow(bytes: Uint8Array): FlowFacts {
  return decodeValue(bytes) as FlowFacts
}

/** @throws CodecError `MALFORMED_PAYLOAD`, `UNSUPPORTED_FORMAT` */
export function unpackOffer(bytes: Uint8Array): RemoteOffer {
  if (bytes.length < headBytes) throw malformed('it is cut off')
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)
  let at = headBytes + length
  if (at > bytes.length) throw malformed('it is cut off')
  const [, flowRunId, [node, topic, epoch], strict, flowLength, tasks, rows] = readTree(bytes, at)
  const take = (count: number): Uint8Array => {
    const from = at
    at += count
    if (at > bytes.length) throw malformed('it is cut off')
    // A copy: what was received may be part of something larger.
    return copyOf(bytes, from, at)
  }
  const flow = flowLength === null ? undefined : take(flowLength)
  const bodies = rows.map((row): OfferedBody => {
    const [number, id, attempt, bits, argsLength, [name, runName], rest, belongs] = row
    const task = tasks[number]
    if (task === undefined) throw malformed('it names a task that is not in it')
    const args = { bytes: take(argsLength) }
    const [tags, timeoutMs, tryFrom, before] = rest ?? [[], null, attempt, 0]
    const [draws, ids] = before === 0 ? [[], []] : (decodeValue(take(before)) as Before)
    const runId = (bits & bit.whole) === 0 ? `${flowRunId}.${id}` : id
    return {
      task: { name: task[0], version: task[1] },
      start: { runId, flowRunId, name, runName, attempt, tags, args, ...traceIn(belongs) },
      facts: { cleanup: (bits & bit.cleanup) !== 0, draws, ids, tryFrom },
      timeoutMs: timeoutMs ?? undefined,
    }
  })
  if (at !== bytes.length) throw malformed('it is longer than it says')
  return { flowRunId, owner: { node, topic, epoch }, strict: strict === 1, flow, bodies }
}

function traceIn([traceparent, tracestate]: readonly string[] = []): Pick<BodyStart, 'trace'> {
  if (traceparent === undefined) return {}
  return { trace: tracestate === undefined ? { traceparent } : { traceparent, tracestate } }
}

type Before = [BodyFacts['draws'], BodyFacts['ids']]

function readTree(bytes: Uint8Array, end: number): Tree {
  let read: unknown
  try {
    read = unpack(bytes, headBytes, end)
  } catch (cause) {
    throw malformed('it is damaged', cause)
  }
  if (!Array.isArray(read)) throw malformed('it was not written by Troupe')
  const [found, flowRunId, owner, , , tasks, rows] = read as unknown[]
  if (typeof found === 'number' && found > format) {
    const message = `can't read assignments: they have format ${found}, and this version of Troupe reads ${format}`
    throw new CodecError('UNSUPPORTED_FORMAT', message)
  }
  const isTree =
    found === format &&
    typeof flowRunId === 'string' &&
    Array.isArray(owner) &&
    areTexts(owner.slice(0, 2), 2) &&
    Number.isInteger(owner[2]) &&
    Array.isArray(tasks) &&
    tasks.every((task) => areTexts(task, 2)) &&
    Array.isArray(rows) &&
    rows.every(isRow)
  if (!isTree) throw malformed('it was not written by Troupe')
  return read as unknown as Tree
}

function isRow(row: unknown): boolean {
  if (!Array.isArray(row)) return false
  const [task, id, attempt, bits, length, names, rest, belongs = []] = row as unknown[]
  const areNumbers = [task, attempt, bits, length].every((one) => Number.isInteger(one) && Number(one) >= 0)
  const areRight = typeof id === 'string' && areTexts(names, 2) && areTexts(belongs)
  return areNumbers && areRight && (rest === null || isRest(rest))
}

function isRest(rest: unknown): boolean {
  if (!Array.isArray(rest)) return false
  const [tags, timeoutMs, tryFrom, before] = rest as unknown[]
  const isTime = timeoutMs === null || typeof timeoutMs === 'number'
  return areTexts(tags) && isTime && Number.isInteger(tryFrom) && Number.isInteger(before)
}

function areTexts(list: unknown, count?: number): boolean {
  if (!Array.isArray(list) || (count !== undefined && list.length !== count)) return false
  return list.every((item) => typeof item === 'string')
}

function malformed(why: string, cause?: unknown): CodecError {
  return new CodecError('MALFORMED_PAYLOAD', `can't read assignments from a queue: ${why}`, { cause })
}
