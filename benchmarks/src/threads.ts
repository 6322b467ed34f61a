import type { Benchmark, Case } from './lib/benchmark.ts'
import type { MeasureName } from './lib/catalogue.ts'
import type { Options } from './lib/options.ts'

const measured = (label: string, measure: MeasureName, n: number, options: Options): Case => ({
  label,
  measure,
  // Several repetitions: the code of a new thread is compiled anew.
  params: { n, subscribers: 0, warmupMs: options.warmupMs, windowMs: 4 * options.windowMs },
})

/** What the worker-threads runner gives and costs, beside a bare loop, piscina, and one event loop. */
export const threads: Benchmark = {
  name: 'threads',
  durability: 'memory',
  about:
    'tasks on worker threads, beside a bare loop of batched messages, piscina, one thread and the event loop',
  groups: (options) => [
    {
      title: 'long bodies that compute, 50 ms',
      cases: [
        measured('bare loop, 1 thread', 'threads/long-bare-1', 20, options),
        measured('bare loop, 2 threads', 'threads/long-bare-2', 20, options),
        measured('2 threads', 'threads/long-threads-2', 20, options),
      ],
      shown: ['runs/s', 'cpu µs/run'],
      figures: [
        {
          label: 'speed-up of the bare loop: 2 threads / 1 thread',
          formula: (read) => read('bare loop, 2 threads', 'runs/s') / read('bare loop, 1 thread', 'runs/s'),
        },
        {
          label: 'speed-up over one bare thread / that of the bare loop',
          formula: (read) => read('2 threads', 'runs/s') / read('bare loop, 2 threads', 'runs/s'),
          target: { atLeast: 0.95 },
        },
      ],
    },
    {
      title: 'bodies of 5 ms that compute',
      cases: [
        measured('bare loop, 1 thread', 'threads/compute-bare-1', 100, options),
        measured('bare loop, 2 threads', 'threads/compute-bare-2', 100, options),
        measured('1 thread', 'threads/compute-threads-1', 100, options),
        measured('2 threads', 'threads/compute-threads-2', 100, options),
        measured('concurrent', 'threads/compute-concurrent', 100, options),
        measured('piscina, 2 threads', 'threads/compute-piscina-2', 100, options),
      ],
      shown: ['runs/s', 'cpu µs/run'],
      figures: [
        {
          label: 'speed-up of the bare loop: 2 threads / 1 thread',
          formula: (read) => read('bare loop, 2 threads', 'runs/s') / read('bare loop, 1 thread', 'runs/s'),
        },
        {
          label: 'speed-up over one bare thread / that of the bare loop',
          formula: (read) => read('2 threads', 'runs/s') / read('bare loop, 2 threads', 'runs/s'),
        },
        {
          label: '2 threads / concurrent',
          formula: (read) => read('2 threads', 'runs/s') / read('concurrent', 'runs/s'),
        },
      ],
    },
    {
      title: 'small bodies, 10000 at once',
      cases: [
        measured('bare loop, 2 threads', 'threads/small-bare-2', 10_000, options),
        measured('1 thread', 'threads/small-threads-1', 10_000, options),
        measured('2 threads', 'threads/small-threads-2', 10_000, options),
        measured('concurrent', 'threads/small-concurrent', 10_000, options),
        measured('piscina, 2 threads', 'threads/small-piscina-2', 10_000, options),
        measured('piscina, 32 jobs a thread', 'threads/small-piscina-2-tuned', 10_000, options),
      ],
      shown: ['runs/s', 'cpu µs/run'],
      figures: [
        {
          label: '2 threads / concurrent',
          formula: (read) => read('2 threads', 'runs/s') / read('concurrent', 'runs/s'),
          target: { atLeast: 0.7 },
        },
        {
          label: '2 threads / bare loop, 2 threads',
          formula: (read) => read('2 threads', 'runs/s') / read('bare loop, 2 threads', 'runs/s'),
        },
        {
          label: '2 threads / piscina, 2 threads',
          formula: (read) => read('2 threads', 'runs/s') / read('piscina, 2 threads', 'runs/s'),
          target: { atLeast: 1 },
        },
        {
          label: '2 threads / piscina, 32 jobs a thread',
          formula: (read) => read('2 threads', 'runs/s') / read('piscina, 32 jobs a thread', 'runs/s'),
        },
      ],
    },
    {
      title: 'a buffer of 64 MiB, there and back',
      cases: [
        measured('bare, moved', 'threads/buffer-bare', 1, options),
        measured('moved', 'threads/buffer-moved', 1, options),
        measured('copied', 'threads/buffer-copied', 1, options),
      ],
      shown: ['ms'],
      figures: [{ label: 'copied / moved', formula: (read) => read('copied', 'ms') / read('moved', 'ms') }],
    },
    {
      title: 'first result of a cold pool',
      cases: [
        measured('bare thread', 'threads/cold-bare', 1, options),
        measured('worker threads', 'threads/cold-threads', 1, options),
      ],
      shown: ['ms'],
      figures: [],
    },
  ],
}
