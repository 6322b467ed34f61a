import type { StandardSchemaV1 } from '@standard-schema/spec'

/** A schema that takes every list of arguments, when what it waits for has come. */
export function asyncSchema(wait: () => Promise<unknown>): StandardSchemaV1<unknown[], unknown[]> {
  return {
    '~standard': {
      version: 1,
      vendor: 'by hand',
      validate: async (value) => {
        await wait()
        return { value: value as unknown[] }
      },
    },
  }
}
