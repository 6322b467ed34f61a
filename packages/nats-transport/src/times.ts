/** How long things take, in milliseconds. Shorter only in tests. */
export interface Times {
  /** After how long a delivery that nobody prolongs goes to another taker. An election takes up to 9 s. */
  readonly ackWaitMs: number
  /** For how long an offer that was done is remembered. */
  readonly offerWindowMs: number
  /** For how long a pull waits, while work comes and while none does. */
  readonly pullMs: number
  readonly idlePullMs: number
  /** Silence of a queue that is taken from, until it is looked whether something waits in it all the same. */
  readonly stalledMs: number
  /** Life of a node's key, and how often it is written anew. */
  readonly keyLifeMs: number
  readonly refreshMs: number
  /** How often a node pings its neighbour, and one of the two behind it. */
  readonly pingMs: number
  /** For how long nobody may have answered to a node's name before it counts as gone. */
  readonly goneMs: number
  /** How long one ping waits for its answer. */
  readonly answerMs: number
  /** How often what came into a mailbox is compared with what was heard of it. */
  readonly mailCheckMs: number
}

export const usualTimes: Times = {
  ackWaitMs: 30_000,
  offerWindowMs: 120_000,
  pullMs: 1_000,
  idlePullMs: 5_000,
  stalledMs: 30_000,
  keyLifeMs: 15_000,
  refreshMs: 5_000,
  pingMs: 500,
  goneMs: 1_500,
  answerMs: 1_000,
  mailCheckMs: 15_000,
}
