import { mean, probit, sampleStandardDeviation } from 'simple-statistics'

/** Part of all fair measurements that may lie beyond a bound, and how sure it is that no more do. */
const beyond = 1e-4
const confidence = 0.95

/**
 * How many standard deviations beyond the mean a bound has to be, where both are known from `n` measurements only: the
 * one-sided tolerance factor for a normal distribution, by the approximation of Natrella. 4.8 for 30 measurements, 3.7 for
 * very many.
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
