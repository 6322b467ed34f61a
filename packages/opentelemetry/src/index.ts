/**
 * OpenTelemetry for Troupe.
 *
 * @packageDocumentation
 */
export { openTelemetry, type OpenTelemetryOptions } from './open-telemetry.ts'
