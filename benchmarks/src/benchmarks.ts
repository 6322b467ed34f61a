import { bareLoops } from './bare-loops.ts'
import { commits } from './commits.ts'
import { counts } from './counts.ts'
import { featureCosts } from './features.ts'
import { latency } from './latency.ts'
import { durable } from './durable.ts'
import { flows } from './flows.ts'
import { install } from './install.ts'
import type { Benchmark } from './lib/benchmark.ts'
import { memory } from './memory.ts'
import { nats } from './nats.ts'
import { nodes } from './nodes.ts'
import { overhead } from './overhead.ts'
import { peers } from './peers.ts'
import { ratios } from './ratios.ts'
import { scale } from './scale.ts'
import { sizes } from './sizes.ts'
import { startUp } from './start-up.ts'
import { threads } from './threads.ts'
import { web } from './web.ts'

/** All of them, in the order in which they run. */
export const benchmarks: readonly Benchmark[] = [
  bareLoops,
  overhead,
  flows,
  sizes,
  scale,
  memory,
  latency,
  featureCosts,
  threads,
  durable,
  nats,
  nodes,
  counts,
  peers,
  web,
  startUp,
  install,
  commits,
  ratios,
]
