import type { SocketAddress } from "../base/addresses.js";
import type { CloseReason } from "../base/close_reason.js";
import type { Connection } from "../connection/connection.js";
import type { Reactor } from "./reactor.js";

/** What is published on the channels of `node:diagnostics_channel`, by channel. Messages are not to be changed. */
export interface DiagnosticsMessages {
  /** A connection is open: accepted, before its `postInit`, or connected, before its `connectionCompleted`. */
  "eventmachine:connection:open": { readonly reactor: Reactor; readonly connection: Connection };
  /** A connection has ended, also one that never opened; before its `unbind`. */
  "eventmachine:connection:close": {
    readonly reactor: Reactor;
    readonly connection: Connection;
    readonly reason: CloseReason;
  };
  /** A callback of a connection threw, and its `onError` did not take the error. */
  "eventmachine:connection:error": {
    readonly reactor: Reactor;
    readonly connection: Connection;
    readonly error: unknown;
  };
  /** A listener has accepted a connection, behind its `connection:open` and its `postInit`. */
  "eventmachine:listener:accept": {
    readonly reactor: Reactor;
    readonly connection: Connection;
    /** What the listener listens on. */
    readonly address: SocketAddress | undefined;
  };
  /** A batch of events, or of ticks, was delivered: how long it kept the thread, in milliseconds. */
  "eventmachine:reactor:turn": { readonly reactor: Reactor; readonly duration: number };
}
