import type { Times } from '../../src/times.ts'

/** What a holder is started with. */
export interface HolderOrder {
  readonly servers: string
  readonly namespace: string
  readonly node: string
  readonly maxBlocked: number
  readonly times: Partial<Times>
  /** Blocks for so long when it gets its first delivery. */
  readonly blockOnFirstMs?: number
}

export type HolderQuestion =
  | { readonly do: 'want'; readonly count: number }
  | { readonly do: 'block'; readonly ms: number }
  | { readonly do: 'done' }

export type HolderSaid =
  | { readonly said: 'ready' | 'cutOff' }
  | { readonly said: 'answer'; readonly to: HolderQuestion['do'] }
  | { readonly said: 'delivered'; readonly id: string; readonly repeated: boolean }
  | { readonly said: 'report'; readonly error: string }
