/**
 * Changes bytes on their way into a journal, and back: compression, encryption. Several are applied in the order in which
 * they are given, and undone in the reverse order.
 *
 * Every codec is held to `payloadCodecConformance` of `@troupe/core/testing`.
 *
 * @public
 */
export interface PayloadCodec {
  /** Tells it from others; stored with what it made, so that it is found again. 1 to 32 of `a`–`z`, `0`–`9` and `-`. */
  readonly name: string
  /** The bytes to store. The same bytes need not give the same result. What is given is neither changed nor kept. */
  encode(bytes: Uint8Array): Uint8Array
  /**
   * The bytes that were given to `encode`.
   *
   * @throws CodecError `DECRYPTION_FAILED` where the key is missing or another one; `MALFORMED_PAYLOAD` for damaged bytes;
   *   `UNSUPPORTED_FORMAT` for those of a newer version
   */
  decode(bytes: Uint8Array): Uint8Array
}
