import { type Channel, channel } from "node:diagnostics_channel";

/**
 * The package's channels of `node:diagnostics_channel`, for tracers and meters. Whoever publishes asks `hasSubscribers`
 * first, once for a connection or a turn and never for a message, so that nobody pays for what nobody listens to.
 */
export const connectionOpen: Channel = channel("eventmachine:connection:open");
export const connectionClose: Channel = channel("eventmachine:connection:close");
export const connectionError: Channel = channel("eventmachine:connection:error");
export const listenerAccept: Channel = channel("eventmachine:listener:accept");
export const reactorTurn: Channel = channel("eventmachine:reactor:turn");
