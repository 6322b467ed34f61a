/** Numbers, dates and hours the way people read them. */

const whole = new Intl.NumberFormat('en-US')
const oneDecimal = new Intl.NumberFormat('en-US', { minimumFractionDigits: 1, maximumFractionDigits: 1 })
// The file's times are local ones, kept as if they were UTC.
const day = new Intl.DateTimeFormat('en-US', {
  weekday: 'long',
  month: 'long',
  day: 'numeric',
  timeZone: 'UTC',
})
const shortDate = new Intl.DateTimeFormat('en-US', {
  month: 'long',
  day: 'numeric',
  year: 'numeric',
  timeZone: 'UTC',
})
const month = new Intl.DateTimeFormat('en-US', { month: 'long', timeZone: 'UTC' })

export const WEEKDAYS = [
  'Monday',
  'Tuesday',
  'Wednesday',
  'Thursday',
  'Friday',
  'Saturday',
  'Sunday',
] as const

/** `3,000,000` */
export const exact = (value: number): string => whole.format(value)

/** `20.9 %` */
export const percent = (share: number): string => `${oneDecimal.format(share * 100)}%`

/** `6.7 min`, with a true minus sign. */
export const minutes = (value: number): string => `${signed(value, oneDecimal)} min`

/** `−9`, for delays that are whole minutes. */
export const minute = (value: number): string => signed(value, whole)

/** `Sunday, February 25` */
export const dayName = (date: string | number): string => day.format(new Date(date))

/** `January 1 – July 1, 2001` */
export const period = (from: number, to: number): string => shortDate.formatRange(from, to)

/** `February`, of `2001-02`. */
export const monthName = (yearAndMonth: string): string => month.format(new Date(`${yearAndMonth}-01`))

/** `5 am`, `noon`; never broken between two lines. */
export function hourName(hour: number): string {
  if (hour === 0) return 'midnight'
  if (hour === 12) return 'noon'
  return hour < 12 ? `${hour}\u00a0am` : `${hour - 12}\u00a0pm`
}

/** `412 ms`, `3.2 s`, `2 min 5 s`. */
export function lasting(milliseconds: number): string {
  if (milliseconds < 1_000) return `${Math.round(milliseconds)} ms`
  if (milliseconds < 60_000) return `${oneDecimal.format(milliseconds / 1_000)} s`
  return `${Math.floor(milliseconds / 60_000)} min ${Math.floor((milliseconds % 60_000) / 1_000)} s`
}

/** `11 task runs`, `1 task run`. */
export const counted = (count: number, noun: string): string =>
  `${exact(count)} ${noun}${count === 1 ? '' : 's'}`

/** `9 minutes early`, `on the minute`, `11 minutes late`. */
export function landed(delay: number): string {
  if (delay === 0) return 'on the minute'
  return `${counted(Math.abs(delay), 'minute')} ${delay < 0 ? 'early' : 'late'}`
}

/** `five`; numbers above nine stay numbers. */
export const inWords = (count: number): string => SMALL[count] ?? exact(count)

/** The words in lines of at most `width` characters, if no word is longer than that. */
export function wrapped(text: string, width: number): string[] {
  const [first = '', ...words] = text.split(' ')
  const lines: string[] = []
  let line = first
  for (const word of words) {
    if (line.length + 1 + word.length <= width) line += ` ${word}`
    else {
      lines.push(line)
      line = word
    }
  }
  return [...lines, line]
}

const SMALL = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine']

function signed(value: number, format: Intl.NumberFormat): string {
  return format
    .format(value)
    .replace('-', '−')
    .replace(/^−(0|0\.0)$/, '$1')
}
