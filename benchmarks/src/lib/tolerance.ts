import { mean, probit, sampleStandardDeviation } from 'simple-statistics'

/**
 * Part of all fair measurements that may lie beyond a bound, and how sure it is that no more do.
 *
 * An alarm is three measurements beyond it, one after the other, each in a process of its own. If they had nothing to do with
 * each other, one comparison in a million would be a false alarm. What disturbs one may last, though: even if it disturbed the
 * second and the third with a chance of one in ten each, it would be one in ten thousand.
 */
const beyond = 0.01
const confidence = 0.95

/**
 * How many standard deviations beyond the mean a bound has to be, where both are known from `n` measurements only: the
 * one-sided tolerance factor for a normal distribution, by the approximation of Natrella. 3.9 for 10 measurements, 3.1 for
 * 30, 2.3 for very many.
 */
export function toleranceFactor(n: number): number {
  const z = probit(1 - beyond)
  const c = probit(confidence)
  const a = 1 - c ** 2 / (2 * (n - 1))
  const b = z ** 2 - c ** 2 / n
  // Too few to say anything of their spread.
  if (a <= 0) return Infinity
  return (z + Math.sqrt(z ** 2 - a * b)) / a
}

/** Counts hardly vary at all. Nobody is to be stopped by a change that nobody would notice. */
const leastFactor = 1.05

/** What a measured cost is compared with. */
export interface Bound {
  /** Geometric mean of the stored measurements. */
  readonly stored: number
  /** A cost up to this many times the stored one is noise. */
  readonly factor: number
}

/**
 * The bound that follows from stored measurements of a cost. Costs are ratios: what is taken as normally distributed are their
 * logarithms.
 */
export function boundOf(costs: readonly number[]): Bound {
  const logarithms = costs.map(Math.log)
  const stored = Math.exp(mean(logarithms))
  const deviations = costs.length > 1 ? toleranceFactor(costs.length) : Infinity
  if (deviations === Infinity) return { stored, factor: Infinity }
  return { stored, factor: Math.max(leastFactor, Math.exp(deviations * sampleStandardDeviation(logarithms))) }
}
