/** What a service is told, and what it says. */
export interface ServiceOrder {
  readonly journal: 'sqlite' | 'nats'
  readonly servers: string
  readonly namespace: string
  readonly stream: string
  /** Folder of the journal in SQLite. */
  readonly folder: string
  /** File of what was done. */
  readonly effects: string
}

export interface Order {
  readonly id: string
  readonly weight: number
  readonly note?: string
}

export type Heard =
  | { readonly said: 'error'; readonly error: string }
  | {
      readonly said: 'status'
      readonly received: number
      readonly started: number
      readonly duplicates: number
      readonly dead: number
      readonly bytes: number
    }
