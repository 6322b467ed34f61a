/** Flow runs that are alive at once in what is measured in parallel. */
export const flowsAtOnce = 100
