/** Bodies that compute, on all cores: they run on worker threads. One that never ends is stopped by its time limit. */
import { createEngine, currentTaskRun, flow, isTaskThread, task } from '@troupe/core'
import { WorkerThreadsTaskRunner } from '@troupe/runners'

function isPrime(n: number): boolean {
  for (let d = 2; d * d <= n; d++) if (n % d === 0) return false
  return n > 1
}

// Threads load this module to find its tasks, so they are defined at its top level.
const countPrimes = task('count-primes', (from: number, to: number) => {
  const { progress } = currentTaskRun()
  let primes = 0
  for (let n = from; n < to; n++) {
    if (n % 25_000 === 0) progress((n - from) / (to - from))
    if (isPrime(n)) primes++
  }
  return primes
})

const spin = task({ name: 'spin', timeout: '100ms' }, () => {
  for (;;);
})

const taskRunner = new WorkerThreadsTaskRunner() // as many as there are cores
const primes = flow({ name: 'primes', taskRunner }, async (below: number, pieces: number) => {
  const stuck = spin()
  const size = below / pieces
  const counts = Array.from({ length: pieces }, (_, i) => countPrimes(i * size, (i + 1) * size))
  console.log((await stuck.wait()).message?.replace(/ \(.*\)/, ''))
  return (await Promise.all(counts)).reduce((sum, count) => sum + count)
})

// In a thread that loads the module this must not run.
if (!isTaskThread()) {
  const engine = createEngine()
  const heard = new Map<string, number[]>()
  engine.progress.subscribe(({ runName, fraction }) => {
    heard.set(runName, [...(heard.get(runName) ?? []), fraction])
  })
  const hosts = new Map<string, string>()
  engine.transitions.subscribe(({ runName, host }) => {
    if (host !== undefined) hosts.set(runName, host)
  })

  console.log(`${await primes(400_000, 4)} primes`)
  for (const name of [...heard.keys()].toSorted()) {
    console.log(`${name} on ${hosts.get(name)?.replace(/\d+/, 'n')}:`, heard.get(name))
  }
  await engine.close()
}

// Output:
// task run spin-1 exceeded its time limit of 100 ms
// 33860 primes
// count-primes-2 on thread-n: [ 0, 0.25, 0.5, 0.75 ]
// count-primes-3 on thread-n: [ 0, 0.25, 0.5, 0.75 ]
// count-primes-4 on thread-n: [ 0, 0.25, 0.5, 0.75 ]
// count-primes-5 on thread-n: [ 0, 0.25, 0.5, 0.75 ]
