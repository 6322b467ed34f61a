/**
 * The embedded durable journal: flow runs in an SQLite file, shared by the processes of one machine.
 *
 * @packageDocumentation
 */
export type { DriverName } from './wires.ts'
export type { Keep, KeepLimits, SqliteJournalOptions } from './options.ts'
export { sqliteJournal, type SqliteJournal, type SqliteJournalStats, type Swept } from './sqlite-journal.ts'
