import type { CloseReason } from "../base/close_reason.js";

/** The callbacks of a connection, as its transport sees them. */
export interface ConnectionCallbacks {
  postInit(): unknown;
  connectionCompleted(): unknown;
  receiveData(data: Buffer): unknown;
  receiveEnd(): unknown;
  drained(): unknown;
  shutdownRequested(): unknown;
  unbind(reason: CloseReason): unknown;
  onError(error: unknown): unknown;
}
