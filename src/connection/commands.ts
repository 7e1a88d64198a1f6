import { types } from "node:util";
import { describe } from "../base/addresses.js";
import { checkBoolean, checkCount, checkInteger, checkObject } from "../base/checks.js";
import { ArgumentError, StateError } from "../base/errors.js";
import { checkNames } from "../base/known_names.js";
import { type Responsible, refusal } from "../base/outcome.js";
import { State } from "../core/stream_port.js";
import type { SocketOptions } from "../engine/socket_options.js";
import { checkWaterMarks } from "../options/options.js";
import { requireCapability, requireOptions } from "../options/required.js";
import type { TlsContext } from "../tls/tls_context.js";
import type { TlsInfo } from "../tls/tls_info.js";
import { planStart, type TlsPlan, type TlsStartOptions } from "../tls/tls_start.js";
import { openForSending } from "./file_sends.js";
import type { AnyLife } from "./life.js";
import type { Detached } from "./life_promises.js";
import type { Transport } from "./transport.js";

// What the methods of `Connection` do that are more than one call of its life: the checks of arguments and of its state.

const STATE_NAMES = ["connecting", "open", "closing", "closed"] as const;

/** Where a connection stands. `initial` only inside its constructor. */
export type ConnectionState = "initial" | "connecting" | "open" | "closing" | "closed";

/** What `sendData` takes: bytes, text, or a list of them that leaves as one. */
export type SendData = Uint8Array | string | readonly (Uint8Array | string)[];

/** What every method but `state` and `id` needs. */
export function attached(life: AnyLife | undefined): AnyLife {
  if (life === undefined) {
    throw new StateError("ERR_EM_NOT_ATTACHED", "the connection is not attached to a reactor yet (use postInit)");
  }
  return life;
}

/** For what datagrams cannot do. */
export function stream(life: AnyLife | undefined, method: string): Transport {
  const found = attached(life);
  if (!found.isStream) throw found.notAStream(method);
  return found;
}

export function stateOf(life: AnyLife | undefined): ConnectionState {
  return life === undefined ? "initial" : STATE_NAMES[life.state];
}

function notOpen(life: AnyLife, method: string): StateError {
  const message = `${method} needs an open connection; this one is ${stateOf(life)}`;
  return life.asEnd(new StateError("ERR_EM_NOT_OPEN", message));
}

function mustBeOpen<L extends AnyLife>(life: L, method: string): L {
  if (life.state !== State.open) throw notOpen(life, method);
  return life;
}

function mustNotBeEnding<L extends AnyLife>(life: L, method: string): L {
  if (life.state > State.open) throw notOpen(life, method);
  return life;
}

// Sending ----------------------------------------------------------------------------------------------------------

export function sendData(life: AnyLife, data: SendData, encoding: BufferEncoding): boolean {
  if (data instanceof Uint8Array) return life.sendBytes(data);
  if (typeof data === "string") return life.sendString(data, checkEncoding(encoding));
  if (types.isUint8Array(data)) return life.sendBytes(data);
  if (!Array.isArray(data)) throw notSendable(data);
  for (const piece of data) if (typeof piece !== "string" && !types.isUint8Array(piece)) throw notSendable(piece);
  const pieces = data.map((piece: Uint8Array | string) =>
    typeof piece === "string" ? Buffer.from(piece, checkEncoding(encoding)) : piece,
  );
  return life.sendBytes(Buffer.concat(pieces));
}

function checkEncoding(encoding: BufferEncoding): BufferEncoding {
  if (encoding !== "utf8" && encoding !== "latin1" && !Buffer.isEncoding(encoding)) {
    throw new ArgumentError(`encoding must be one that Buffer knows, not ${describe(encoding)}`);
  }
  return encoding;
}

function notSendable(data: unknown): ArgumentError {
  return new ArgumentError(`data must be a Buffer, a Uint8Array, a string or an array of them, not ${describe(data)}`);
}

export function sendFile(life: Transport, path: string, options: { httpChunks?: boolean }): Promise<number> {
  checkObject(options, "options");
  checkNames(options, { httpChunks: true }, "options");
  const { httpChunks = false } = options;
  checkBoolean(httpChunks, "httpChunks");
  if (life.isEnding || life.isWriteEnded) {
    throw life.asEnd(new StateError("ERR_EM_CLOSED", "the connection takes no more output"));
  }
  const file = openForSending(path);
  if (!httpChunks) return life.sendFile(file, "", "");
  const head = file.size === 0 ? "" : `${file.size.toString(16)}\r\n`;
  return life.sendFile(file, head, file.size === 0 ? "0\r\n\r\n" : "\r\n0\r\n\r\n");
}

export function setWaterMarks(life: Transport, high: number, low: number | undefined): void {
  checkCount(high, "highWaterMark", 1);
  const lower = low === undefined ? Math.floor(high / 4) : checkCount(low, "lowWaterMark");
  checkWaterMarks(lower, high);
  life.adjust({ highWaterMark: high, lowWaterMark: lower });
}

// TLS --------------------------------------------------------------------------------------------------------------

/** Checks a `startTls`, and has the engine make its context. */
export function planTls(life: Transport, tls: TlsContext | TlsStartOptions): TlsPlan {
  mustNotBeEnding(life, "startTls");
  if (life.tls !== undefined) throw new StateError("ERR_EM_TLS_STARTED", "startTls: TLS has begun already");
  if (life.isWriteEnded) {
    throw new StateError("ERR_EM_WRITE_AFTER_END", "startTls: nothing can be sent after halfClose");
  }
  const plan = planStart(tls, life.origin);
  life.home.tlsContexts.idFor(plan.context, plan.role);
  return plan;
}

export function secured(life: AnyLife, owner: Responsible | undefined): Promise<TlsInfo> {
  if (!life.isStream) return refusal(life.notAStream("secured"), owner);
  const { tls } = life;
  if (tls !== undefined) return tls.secured();
  const error = new StateError("ERR_EM_TLS_NOT_STARTED", "secured: TLS has not begun on this connection");
  return refusal(error, owner);
}

// Ending -----------------------------------------------------------------------------------------------------------

export function detach(life: Transport): Promise<Detached> {
  mustBeOpen(life, "detach");
  if (life.tls !== undefined) {
    throw new StateError("ERR_EM_TLS_STARTED", "detach: nobody could go on with the descriptor of a TLS connection");
  }
  return life.detach();
}

/** Sends everything, then closes; resolves when it has ended. */
export async function finished(life: AnyLife | undefined): Promise<void> {
  const found = attached(life);
  found.finish();
  await found.closed();
}

/** Checks that a connection has ended and is one that `reconnect` can begin again. */
export function reconnectable(life: Transport): Transport {
  if (life.origin.accepts) {
    throw new StateError("ERR_EM_NOT_RECONNECTABLE", "an accepted connection cannot be connected again");
  }
  if (!life.isClosed) {
    throw new StateError("ERR_EM_STILL_OPEN", `the connection has not ended yet (${stateOf(life)})`);
  }
  return life;
}

// The socket -------------------------------------------------------------------------------------------------------

export function setOptions(life: Transport, method: string, options: SocketOptions & { keepAliveOff?: boolean }): void {
  mustNotBeEnding(life, method);
  requireOptions(life.engine, options);
  life.set(() => life.setOptions(options));
}

export function getSocketOption(life: AnyLife, level: number, name: number, size: number): Buffer {
  const { engine, handle } = mustBeOpen(life, "getSockOpt");
  checkInteger(level, "level", 0);
  checkInteger(name, "name", 0);
  if (checkInteger(size, "size", 1) > 1024) throw new ArgumentError(`size must be at most 1024, not ${size}`);
  return engine.getSocketOption(handle, level, name, size);
}

export function setSocketOption(life: AnyLife, level: number, name: number, value: number | Uint8Array): void {
  mustNotBeEnding(life, "setSockOpt");
  requireCapability(life.engine, "socketOptions");
  checkInteger(level, "level", 0);
  checkInteger(name, "name", 0);
  if (typeof value !== "number" && !types.isUint8Array(value)) {
    throw new ArgumentError(`value must be a number or bytes, not ${describe(value)}`);
  }
  // A copy: the caller may reuse its buffer.
  const bytes = typeof value === "number" ? cInt(value) : Uint8Array.from(value);
  life.set(() => life.engine.setSocketOption(life.handle, level, name, bytes));
}

export function peerCredentials(life: Transport): { pid: number; uid: number; gid: number } {
  const { engine, handle } = mustBeOpen(life, "peerCredentials");
  return engine.peerCredentials(handle);
}

function cInt(value: number): Uint8Array {
  if (!Number.isInteger(value) || value < -0x80000000 || value > 0x7fffffff) {
    throw new ArgumentError(`value must fit a C int, not ${value}`);
  }
  return new Uint8Array(new Int32Array([value]).buffer);
}
