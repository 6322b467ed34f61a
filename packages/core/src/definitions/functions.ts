/**
 * Any function. Bodies are inferred as functions, not as a list of parameters and a result: only so does a parameter
 * with a default and no type of its own get the type of its default.
 *
 * @public
 */
export type AnyFunction = (...args: never) => unknown

/** What a body is to the engine: a function whose parameters it need not know. */
export type BodyFunction = (...args: unknown[]) => unknown
