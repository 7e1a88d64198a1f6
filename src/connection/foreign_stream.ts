import type { Duplex } from "node:stream";
import { describe } from "../base/addresses.js";
import type { CloseReason } from "../base/close_reason.js";
import { isCode } from "../base/error_code.js";
import { ArgumentError, EventMachineError, StateError, UnsupportedError } from "../base/errors.js";
import { errnoName, SystemError } from "../base/system_error.js";
import type { Core } from "../core/core.js";
import type { Endpoint } from "../core/endpoint.js";
import type { TransportHome } from "../core/transport_home.js";
import type { StreamEngine } from "../engine/engine.js";
import { DuplexEngine, type DuplexSink, ONLY } from "../engine/node/duplex_engine.js";
import { Ended, type Handle } from "../engine/streams.js";
import type { StreamSettings } from "../options/options.js";
import type { Origin, Pending } from "./origin.js";
import * as reasons from "./reasons.js";
import type { Transport } from "./transport.js";

/** The home of the one transport of a stream: the reactor is the core, and the engine is the driver of this stream. */
export class ForeignStream implements TransportHome, Origin, Pending, DuplexSink {
  readonly accepts = true;
  readonly handshakes = undefined;
  readonly tlsRole = undefined;
  readonly peer = undefined;
  readonly sharedLocalAddress = undefined;
  readonly sharedRemoteAddress = undefined;
  readonly process = undefined;
  readonly core: Core;
  readonly #duplex: Duplex;
  #engine: DuplexEngine | undefined;
  #transport: Transport | undefined;
  /** What becomes of the stream concerns nobody any more. */
  #isForgotten = false;

  constructor(core: Core, duplex: Duplex) {
    this.core = core;
    this.#duplex = checkDuplex(duplex);
  }

  start(transport: Transport, settings: StreamSettings): void {
    this.#transport = transport;
    this.core.members.add(transport);
    this.core.foreign.transports.add(transport);
    this.#engine = new DuplexEngine(this.#duplex, settings, this.core.foreign.turn, this);
  }

  /** The stream is ours, and there is no connection for it. */
  discard(): void {
    this.#duplex.on("error", () => {});
    this.#duplex.destroy();
  }

  // The origin -------------------------------------------------------------------------------------------------------

  get pending(): this {
    return this;
  }

  cancel(): void {
    this.#isForgotten = true;
    this.#engine?.close(ONLY);
  }

  calledOff(): CloseReason {
    return reasons.connectAborted("a stream", []);
  }

  ended(): void {
    this.core.members.delete(this.#transport as Transport);
    this.core.foreign.transports.delete(this.#transport as Transport);
  }

  // What the stream reports --------------------------------------------------------------------------------------------

  connected(): void {
    this.#transport?.connected(ONLY);
  }

  data(_handle: Handle, chunk: Buffer, start: number, end: number): void {
    this.#transport?.onData(chunk, start, end);
  }

  end(): void {
    this.#transport?.onEnd();
  }

  writable(): void {
    this.#transport?.onWritable();
  }

  fileSent(): void {
    this.#transport?.onFileSent();
  }

  closed(_handle: Handle, ended: Ended, errno: number, syscall: string): void {
    const transport = this.#transport;
    const error = ended === Ended.error ? this.#engine?.failure : undefined;
    if (transport === undefined || this.#isForgotten) return;
    if (error !== undefined && !isSystems(error)) transport.reason ??= streamFailed(error);
    if (transport.handle === ONLY) transport.onClosed(ONLY, ended, errno, syscall);
    else transport.failed(reasons.connectFailure("a stream", [attemptError(error)]));
    this.core.checkIdle();
  }

  // What carries the transport ---------------------------------------------------------------------------------------

  get engine(): StreamEngine {
    return this.#engine as DuplexEngine;
  }

  get tlsContexts(): never {
    throw noTls();
  }

  /** No handle of an engine does. */
  carries(): void {}

  endpoints(): Endpoint[] {
    return [...this.core.foreign.transports];
  }

  forget(): void {
    this.#isForgotten = true;
  }
}

/** Whether it is an error of the system's. Others have an errno too, of their own (zlib's -3 is not ESRCH), or none. */
function isSystems<E extends NodeJS.ErrnoException>(error: E): error is E & { errno: number } {
  return (
    typeof error.errno === "number" && error.errno < 0 && isCode(error.code) && errnoName(error.errno) === error.code
  );
}

function streamError(error: Error | undefined): EventMachineError {
  const message = error === undefined ? "the stream ended" : `the stream failed: ${error.message}`;
  return new EventMachineError("ERR_EM_STREAM_FAILED", message, { cause: error });
}

/** TLS over a stream is a stream itself. */
export function noTls(): UnsupportedError {
  return new UnsupportedError("tls", "duplex", "put node:tls's TLSSocket under the connection instead");
}

function attemptError(
  error: (NodeJS.ErrnoException & { address?: string; port?: number }) | undefined,
): EventMachineError {
  if (error === undefined || !isSystems(error)) return streamError(error);
  const { address, port } = error;
  return new SystemError(error.errno, error.syscall ?? "connect", {
    cause: error,
    ...(address === undefined ? {} : { address }),
    ...(port === undefined ? {} : { port }),
  });
}

/** An error that is none of the system's: a TLS alert, a parser's. */
function streamFailed(error: Error): CloseReason {
  return { kind: "system-error", error: streamError(error) };
}

/** A Duplex of bytes that is open in both directions. */
function checkDuplex(value: Duplex): Duplex {
  const isDuplex =
    typeof value === "object" &&
    value !== null &&
    typeof value.on === "function" &&
    typeof value.read === "function" &&
    typeof value.write === "function" &&
    typeof value.destroy === "function";
  if (!isDuplex) throw new ArgumentError(`duplex must be a stream.Duplex, not ${describe(value)}`);
  if (value.readableObjectMode || value.writableObjectMode) {
    throw new ArgumentError("duplex must carry bytes, and this one is in object mode");
  }
  if (value.readableEncoding !== null) {
    throw new ArgumentError("duplex must carry bytes, and this one decodes them (setEncoding)");
  }
  if (value.destroyed || value.writableEnded) {
    throw new StateError("ERR_EM_CLOSED", "the stream is closed, or its writing side has ended");
  }
  return value;
}
