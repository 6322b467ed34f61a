import { bareOwner, bareWorker } from './bare.ts'
import { bullOwner, bullWorker } from './bullmq.ts'
import { troupeOwner, troupeWorker } from './troupe.ts'
import type { StartOwner, StartWorker } from './loop.ts'

/** What is measured: both sides of each. */
export const kinds = {
  official: { owner: bareOwner('official'), worker: bareWorker('official') },
  light: { owner: bareOwner('light'), worker: bareWorker('light') },
  troupe: { owner: troupeOwner, worker: troupeWorker },
  bullmq: { owner: bullOwner, worker: bullWorker },
} satisfies Readonly<Record<string, { readonly owner: StartOwner; readonly worker: StartWorker }>>

/** Names one. */
export type Kind = keyof typeof kinds
