/** Futures as arguments: a task run starts when the runs that it depends on have completed, and is given their values. */
import { flow, task } from '@troupe/core'

const prices: Record<string, number> = { tea: 4, cups: 12, pot: 20 }

const priceOf = task('price-of', async (item: string) => prices[item] ?? 0)
const sum = task('sum', (numbers: number[]) => numbers.reduce((a, b) => a + b, 0))
const charge = task('charge', (amount: number) => console.log(`charged ${amount}`))
const receipt = task(
  'receipt',
  (lines: { items: number; total: number }) => `${lines.items} items, ${lines.total} in all`,
)

export const checkout = flow('checkout', (items: string[]) => {
  // Nothing here is awaited: each call returns a future at once.
  const found = items.map((item) => priceOf(item))
  // A list of futures where the task takes a list of numbers.
  const total = sum(found)
  const charged = charge(total)
  // A future in an object. `charged` gives no value that is needed, but must come first.
  return receipt.with({ waitFor: charged })({ items: items.length, total })
})

console.log(await checkout(['tea', 'cups', 'pot']))

// Output:
// charged 36
// 3 items, 36 in all
