/** How long things take in tests, in milliseconds: much shorter than in production, and still above what a busy machine delays. */
export const shortTimes = {
  ackWaitMs: 5_000,
  keyLifeMs: 4_000,
  refreshMs: 1_000,
  stalledMs: 4_000,
  mailCheckMs: 3_000,
} as const

/** An election takes up to 9 s: what is shorter takes every node for dead meanwhile. */
export const clusterTimes = { ...shortTimes, ackWaitMs: 12_000, keyLifeMs: 12_000, refreshMs: 3_000 } as const
