/** Something that stands beside ours in a row. */
export interface Beside {
  /** For people. */
  readonly name: string
  /** Label of its case, what follows in brackets left out; where there are several, the figure says which counts, and they are shown in this order. */
  readonly cases: readonly string[]
  /** Label of the figure that is the ratio. */
  readonly figure: string
}

/** A row of the README's table: where in the results it is found. */
export interface Row {
  readonly what: string
  readonly benchmark: string
  readonly group: string
  /** Label of its case, what follows in brackets left out; where there are several, for each beside it the one that does as many. */
  readonly ours: string
  readonly reading: string
  readonly unit: string
  readonly beside: readonly Beside[]
  /** Label of a figure of ours alone that has a target. */
  readonly figure?: string
}

const troupe1 = 'troupe, async body, subscribers: 1'

const bareActors = (ours: string): Beside => ({
  name: 'bare XState actors',
  cases: ['bare'],
  figure: `${ours} / bare`,
})

const [postgres, openworkflow] = ['DBOS on PostgreSQL, a server', 'openworkflow on SQLite (Node 24)']
const inEach = (name: string): string => `${name}, one after the other in each`

const empty = 'empty flow / bare, an actor each'
const p50 = 'submit → value p50 µs'

const fanOut = 'fan-out: task runs/s'
const inSequence = 'sequence: task runs/s'

const peer = (reading: string, name: string, label: string): Beside => ({
  name,
  cases: [label],
  figure: `${reading.replace(/:.*/, '')}: troupe / ${label}`,
})

const [developmentServer, toldLater] = ['its development server, SQLite', 'told of task runs later']

const temporal = (reading: string): readonly Beside[] => [
  peer(reading, `Temporal (${developmentServer}), activities`, 'Temporal, activities'),
  peer(
    reading,
    `Temporal (${developmentServer}), local activities, recorded together at the end`,
    'Temporal, local activities',
  ),
]

/** What task runs over NATS stand beside: at the same durability first. */
const loopsBeside = (reading: string): readonly Beside[] =>
  [
    ['BullMQ on Redis, its log synced every second', 'BullMQ, Redis with AOF'],
    ['BullMQ on Redis without persistence', 'BullMQ, Redis in memory'],
    ['a bare JetStream loop, the official client', 'bare loop'],
    ['a bare JetStream loop on the connection itself', 'light bare loop'],
  ].map(([name = '', label = '']) => ({ name, cases: [label], figure: `troupe / ${label}, ${reading}` }))

/** Other engines, which have a benchmark of their own. */
const engines: readonly Row[] = [
  {
    what: 'a fan-out of trivial tasks in one process, values awaited',
    benchmark: 'peers',
    group: 'memory: one process',
    ours: 'troupe',
    reading: fanOut,
    unit: '/s',
    beside: [peer(fanOut, 'Effect Workflow, its in-memory engine', 'Effect Workflow')],
  },
  {
    what: 'the same, recorded on the disk, not synced',
    benchmark: 'peers',
    group: 'process: SQLite; Prefect has a server, which is told of task runs later',
    ours: 'troupe',
    reading: fanOut,
    unit: '/s',
    beside: [
      peer(fanOut, `Prefect and its server (${toldLater})`, 'Prefect, server'),
      peer(
        fanOut,
        `the same, submitted to its task runner on threads (${toldLater})`,
        'Prefect, server and threads, its default task runner',
      ),
      peer(fanOut, `awaited, its server on PostgreSQL (${toldLater})`, 'Prefect on PostgreSQL'),
      peer(
        fanOut,
        `Prefect, its server and Dask (${toldLater})`,
        'Prefect, server and Dask, a process for each core',
      ),
    ],
  },
  {
    what: 'the same, beside Temporal',
    benchmark: 'peers',
    group: 'process: Temporal, its development server on SQLite',
    ours: 'troupe',
    reading: fanOut,
    unit: '/s',
    beside: temporal(fanOut),
  },
  {
    what: 'trivial tasks one after the other, synced to the disk',
    benchmark: 'peers',
    group: 'power: Temporal, its development server on SQLite',
    ours: 'troupe',
    reading: inSequence,
    unit: '/s',
    beside: temporal(inSequence),
  },
]

/** What people ask first, in the order in which they ask. */
export const rows: readonly Row[] = [
  {
    what: 'task runs in one process, one after the other, one subscriber',
    benchmark: 'overhead',
    group: 'chain of 10000',
    ours: troupe1,
    reading: 'runs/s',
    unit: '/s',
    beside: [bareActors(troupe1)],
  },
  {
    what: 'the same, 10,000 at once',
    benchmark: 'overhead',
    group: 'fan-out of 10000',
    ours: troupe1,
    reading: 'runs/s',
    unit: '/s',
    beside: [bareActors(troupe1)],
  },
  {
    what: 'flow runs in one process, 1,000 at once',
    benchmark: 'flows',
    group: 'flow runs, 1000 at once',
    ours: 'empty flow',
    reading: 'runs/s',
    unit: '/s',
    beside: [{ name: 'bare XState actors', cases: ['bare'], figure: empty }],
  },
  {
    what: 'a task run among a million, one after the other; the ratio is what its cost grows by from a thousand on, over what that of the other does',
    benchmark: 'scale',
    group: 'chain',
    ours: 'chain, many',
    reading: 'µs/run',
    unit: ' µs',
    beside: [
      {
        name: 'bare XState actors',
        cases: ['bare, many'],
        figure: "chain: growth of µs/run, over the bare loop's",
      },
    ],
  },
  {
    what: 'the same, 10,000 alive at a time',
    benchmark: 'scale',
    group: 'at most 10,000 alive, and map',
    ours: 'fan-out-capped, many',
    reading: 'µs/run',
    unit: ' µs',
    beside: [
      {
        name: 'bare XState actors',
        cases: ['bare, many'],
        figure: "fan-out-capped: growth of µs/run, over the bare loop's",
      },
    ],
  },
  {
    what: 'from the call of a task to Running at a subscriber of the same process, p99',
    benchmark: 'latency',
    group: 'latency',
    ours: 'paced',
    reading: 'call → Running p99 µs',
    unit: ' µs',
    beside: [],
    figure: 'paced: call → Running, p99 µs',
  },
  {
    what: 'tasks that compute for 50 ms, on two threads',
    benchmark: 'threads',
    group: 'long bodies that compute, 50 ms',
    ours: '2 threads',
    reading: 'runs/s',
    unit: '/s',
    beside: [
      {
        name: 'a bare loop over two threads',
        cases: ['bare loop, 2 threads'],
        figure: 'speed-up over one bare thread / that of the bare loop',
      },
    ],
  },
  {
    what: 'small tasks on two threads, 10,000 at once',
    benchmark: 'threads',
    group: 'small bodies, 10000 at once',
    ours: '2 threads',
    reading: 'runs/s',
    unit: '/s',
    beside: [
      {
        name: 'a bare loop over two threads, in batches',
        cases: ['bare loop, 2 threads'],
        figure: '2 threads / bare loop, 2 threads',
      },
      {
        name: 'piscina, as it is by default',
        cases: ['piscina, 2 threads'],
        figure: '2 threads / piscina, 2 threads',
      },
      {
        name: 'piscina, 32 jobs a thread',
        cases: ['piscina, 32 jobs a thread'],
        figure: '2 threads / piscina, 32 jobs a thread',
      },
    ],
  },
  {
    what: 'durable task runs in SQLite, one after the other',
    benchmark: 'durable',
    group: 'sequential: one flow run, one task run after the other',
    ours: 'troupe',
    reading: 'runs/s',
    unit: '/s',
    beside: [
      { name: postgres, cases: ['DBOS'], figure: 'troupe / DBOS' },
      { name: openworkflow, cases: ['openworkflow'], figure: 'troupe / openworkflow' },
      {
        name: 'bare SQLite commits',
        cases: ['bare SQLite, 1 row a commit'],
        figure: 'troupe / bare SQLite',
      },
    ],
  },
  {
    what: "the same, commits on the engine's own thread, which stands still meanwhile (openworkflow's does, too)",
    benchmark: 'durable',
    group: 'sequential: one flow run, one task run after the other',
    ours: 'troupe, no thread',
    reading: 'runs/s',
    unit: '/s',
    beside: [
      { name: postgres, cases: ['DBOS'], figure: 'troupe, no thread / DBOS' },
      {
        name: openworkflow,
        cases: ['openworkflow'],
        figure: 'troupe, no thread / openworkflow',
      },
    ],
  },
  {
    what: 'durable task runs in SQLite, 100 flow runs at once, 50 at once in each',
    benchmark: 'durable',
    group: 'parallel: 100 flow runs at once, 50 task runs each',
    ours: 'troupe',
    reading: 'runs/s',
    unit: '/s',
    beside: [
      { name: postgres, cases: ['DBOS'], figure: 'troupe / DBOS' },
      {
        name: 'the better of that and the next row',
        cases: ['DBOS', inEach('DBOS')],
        figure: 'troupe / the better of DBOS',
      },
      {
        name: 'rows of bare SQLite, 1,000 to a commit',
        cases: ['bare SQLite, 1000 rows a commit'],
        figure: 'troupe / bare SQLite, 1000 rows a commit',
      },
    ],
  },
  {
    what: 'the same, one after the other in each',
    benchmark: 'durable',
    group: 'parallel: 100 flow runs at once, 50 task runs each',
    ours: inEach('troupe'),
    reading: 'runs/s',
    unit: '/s',
    beside: [
      {
        name: postgres,
        cases: [inEach('DBOS')],
        figure: 'one after the other in each: troupe / DBOS',
      },
      {
        name: openworkflow,
        cases: [inEach('openworkflow')],
        figure: 'one after the other in each: troupe / openworkflow',
      },
    ],
  },
  {
    what: 'awaited task runs over NATS, 200 in flight, one worker',
    benchmark: 'nats',
    group: 'loop: 200 in flight',
    ours: 'troupe',
    reading: 'runs/s',
    unit: '/s',
    beside: loopsBeside('runs/s'),
  },
  ...[20, 1_000].map((inFlight) => ({
    what: `the same, ${inFlight.toLocaleString('en')} in flight`,
    benchmark: 'nats',
    group: `loop: ${inFlight} in flight`,
    ours: 'troupe',
    reading: 'runs/s',
    unit: '/s',
    beside: loopsBeside('runs/s'),
  })),
  {
    what: 'the same, one in flight: from the call to the value',
    benchmark: 'nats',
    group: 'loop: 1 in flight',
    ours: 'troupe',
    reading: p50,
    unit: ' µs',
    beside: loopsBeside(p50),
  },
  {
    what: 'messages that the server takes and gives for one of 200 in flight',
    benchmark: 'nats',
    group: 'loop: 200 in flight',
    ours: 'troupe',
    reading: 'messages/run',
    unit: '',
    beside: [],
    figure: 'messages per task run',
  },
  {
    what: 'from the return of a body to Completed at a subscriber on another node, p99',
    benchmark: 'nats',
    group: 'transitions: to a subscriber on another process',
    ours: 'troupe',
    reading: 'return → Completed p99 µs',
    unit: ' µs',
    beside: [],
    figure: 'return → Completed, p99 µs',
  },
  ...engines,
  {
    what: 'memory of a finished task run, history kept',
    benchmark: 'memory',
    group: 'memory',
    ours: 'finished task run',
    reading: 'B/run',
    unit: ' B',
    beside: [],
    figure: 'finished task run',
  },
  {
    what: 'memory of a waiting task run, which has no actor yet',
    benchmark: 'memory',
    group: 'memory',
    ours: 'waiting task run',
    reading: 'B/run',
    unit: ' B',
    beside: [],
    figure: 'waiting task run',
  },
  {
    what: 'memory of a task run whose body runs: it has an actor',
    benchmark: 'memory',
    group: 'memory',
    ours: 'running task run',
    reading: 'B/run',
    unit: ' B',
    beside: [
      {
        name: 'a bare XState actor, started',
        cases: ['bare actor in Pending'],
        figure: 'running task run / bare actor',
      },
    ],
  },
  {
    what: 'from `node` to the value of the first flow run',
    benchmark: 'start-up',
    group: 'start-up',
    ours: 'troupe: first flow run',
    reading: 'ms',
    unit: ' ms',
    beside: [{ name: 'node alone', cases: ['node alone'], figure: 'troupe: first flow run / node alone' }],
  },
]
