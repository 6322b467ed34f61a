import type { Params, Readings } from './measure.ts'

/** What a child is asked. */
export interface Asked {
  readonly measure: string
  readonly params: Params
}

/** What a child answers. */
export type Answered = Readings | { readonly absent: string }

/** Asked at the end. */
export const enough = 'enough'
