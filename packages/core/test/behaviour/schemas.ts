import type { StandardSchemaV1 } from '@standard-schema/spec'

/** A schema by hand. */
export function schemaOf<T>(
  validate: (value: unknown) => StandardSchemaV1.Result<T> | Promise<StandardSchemaV1.Result<T>>,
): StandardSchemaV1<unknown, T> {
  return { '~standard': { version: 1, vendor: 'by hand', validate } }
}
