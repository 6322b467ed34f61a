/**
 * What happens in Troupe, for the web: Server-Sent Events for browsers, and webhooks for other services.
 *
 * @packageDocumentation
 */
export { healthResponse } from './health-response.ts'
export type { WatchRequest } from './request.ts'
export { sendResponse, type NodeResponse } from './send-response.ts'
export { transitionResponse, type TransitionResponseOptions } from './transition-response.ts'
export type { WebhookEndpoint, WebhookOptions } from './webhooks/options.ts'
export type { WebhookEvent } from './webhooks/event.ts'
export { verifyWebhook, type VerifyOptions, type WebhookMessage } from './webhooks/verify.ts'
export { webhookFlows, webhooks, type Webhooks, type WebhookStatus } from './webhooks/webhooks.ts'
