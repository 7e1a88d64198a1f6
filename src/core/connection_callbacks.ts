import type { X509Certificate } from "node:crypto";
import type { SocketAddress } from "../base/addresses.js";
import type { CloseReason, DeadlineName } from "../base/close_reason.js";
import type { EventMachineError } from "../base/errors.js";
import type { DatagramDestination } from "../options/datagram_options.js";
import type { TlsInfo, TlsVerdict } from "../tls/tls_info.js";

/** Of a protocol class: called with the port of each life of a connection, before anything else is. */
export const ATTACHED = Symbol("eventmachine.attached");

/** The callbacks of a connection, as its transport sees them. */
export interface ConnectionCallbacks {
  postInit(): unknown;
  connectionCompleted(): unknown;
  /** `sender` with a datagram. */
  receiveData(data: Buffer, sender?: SocketAddress): unknown;
  /** Of a datagram socket's handler. */
  sendFailed?(error: EventMachineError, address: DatagramDestination | undefined): unknown;
  /** Of a child process's handler. */
  receiveError?(data: Buffer): unknown;
  receiveEnd(): unknown;
  /** Of the source of a relay. */
  proxyTargetUnbound?(reason: CloseReason): unknown;
  proxyCompleted?(): unknown;
  drained(): unknown;
  sslHandshakeCompleted(info: TlsInfo): unknown;
  sslVerifyPeer(certificate: X509Certificate, verdict: TlsVerdict): boolean | PromiseLike<boolean>;
  shutdownRequested(): unknown;
  deadlineReached(name: DeadlineName): unknown;
  isIdle(): unknown;
  unbind(reason: CloseReason): unknown;
  onError(error: unknown): unknown;
}
