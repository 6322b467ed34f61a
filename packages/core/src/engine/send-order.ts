/** A flow run that is to be started by whichever node serves its flow. */
export interface SendOrder {
  readonly name: string
  /** Undefined where the caller does not know the flow's code: the newest that a node serves. */
  readonly version: string | undefined
  readonly args: readonly unknown[]
  readonly id: string | undefined
  readonly idempotencyKey: string | undefined
  readonly runName: string | undefined
  readonly tags: readonly string[] | undefined
  /** Options of the call, encoded. */
  readonly options: Uint8Array | undefined
}
