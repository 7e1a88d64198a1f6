import type { X509Certificate } from "node:crypto";
import type { Duplex } from "node:stream";
import type { CloseReason, DeadlineName } from "../base/close_reason.js";
import { SystemError } from "../base/system_error.js";
import type { Connection } from "../connection/connection.js";
import type { ConnectionCallbacks } from "../core/connection_callbacks.js";
import { State, type StreamPort } from "../core/stream_port.js";
import { MAX_KEEP_ALIVE_IDLE } from "../options/kernel_numbers.js";
import type { TlsInfo, TlsVerdict } from "../tls/tls_info.js";
import { Outgoing } from "./outgoing.js";
import { neverOpened, streamError, writeLost } from "./stream_error.js";

/** What a socket can be told before it is open. */
export interface WishedOptions {
  noDelay?: boolean;
  keepAlive?: boolean;
  keepAliveDelay?: number;
}

/**
 * Stands in a connection's place at its port and ties it to a Duplex: the data goes to the stream, and what is said
 * of the connection's life is told to both.
 */
export class DuplexLink implements ConnectionCallbacks {
  readonly port: StreamPort;
  readonly outgoing: Outgoing;
  readonly #connection: Connection;
  readonly #duplex: Duplex;
  readonly #peerEnds: () => void;
  /** As set, or to be set when the connection is open. */
  readonly #options: WishedOptions;
  #peerEnded = false;
  #isReset = false;
  #hadError = false;
  /** `close` was emitted already, for a stream whose connection still sends. */
  #isClosed = false;

  /** `peerEnds` is told that the peer has ended, before the stream is. */
  constructor(connection: Connection, port: StreamPort, duplex: Duplex, peerEnds: () => void) {
    this.#connection = connection;
    this.#peerEnds = peerEnds;
    this.port = port;
    this.#duplex = duplex;
    this.outgoing = new Outgoing(port);
    this.#options = { noDelay: port.hasNoDelay };
    port.claim(this);
  }

  get connection(): Connection {
    return this.#connection;
  }

  // What the connection tells --------------------------------------------------------------------------------------

  postInit(): void {}

  connectionCompleted(): unknown {
    const { noDelay, keepAlive, keepAliveDelay } = this.#options;
    if (noDelay === !this.port.hasNoDelay) this.#apply({ noDelay });
    if (keepAlive === true) this.#apply({ keepAlive: probesAfter(keepAliveDelay) });
    try {
      this.#duplex.emit("connect");
    } finally {
      this.outgoing.proceed();
    }
    this.#duplex.emit("ready");
    this.beginReading();
    return this.#connection.connectionCompleted();
  }

  /** A socket reads from its opening on, up to its high-water mark, unless it was paused before: so it notices its peer's end. */
  beginReading(): void {
    if (this.port.state === State.connecting) this.port.pause();
    else if (!this.#duplex.isPaused()) this.#duplex.read(0);
  }

  /**
   * A flowing stream with nothing buffered hands a chunk straight to its listeners: that is what `push` does there, less
   * the question for more in another tick, which nobody needs to ask of a connection that reads until it is paused.
   */
  receiveData(data: Buffer): void {
    const duplex = this.#duplex;
    if (
      duplex.readableFlowing === true &&
      duplex.readableLength === 0 &&
      duplex.readableDidRead &&
      duplex.readableEncoding === null &&
      duplex.listenerCount("data") > 0
    ) {
      duplex.emit("data", data);
    } else if (!duplex.push(data)) {
      this.port.pause();
    }
  }

  receiveEnd(): void {
    this.#peerEnded = true;
    this.#peerEnds();
    this.#duplex.push(null);
    // The end is told even where nobody reads, if there is nothing left to read.
    this.#duplex.read(0);
  }

  drained(): void {
    this.outgoing.proceed();
  }

  sslVerifyPeer(certificate: X509Certificate, verdict: TlsVerdict): boolean | PromiseLike<boolean> {
    return this.#connection.sslVerifyPeer(certificate, verdict);
  }

  sslHandshakeCompleted(info: TlsInfo): unknown {
    return this.#connection.sslHandshakeCompleted(info);
  }

  shutdownRequested(): unknown {
    return this.#connection.shutdownRequested();
  }

  deadlineReached(name: DeadlineName): unknown {
    return this.#connection.deadlineReached(name);
  }

  isIdle(): unknown {
    return this.#connection.isIdle();
  }

  unbind(reason: CloseReason): unknown {
    const duplex = this.#duplex;
    // A reset of a connection whose peer had ended, and had been sent everything, has broken nothing: TLS and others send
    // a last word to peers that are gone. node:net reads no more then, and hears of it when it writes again.
    const isOver = reason.kind === "peer-closed" || reason.kind === "exited";
    const inOrder = isOver || (reason.kind === "peer-reset" && this.#peerEnded && this.#isSent);
    if (duplex.destroyed) {
      if (!this.#isClosed) this.#emitClose();
    } else if (inOrder) {
      this.outgoing.ended();
      this.outgoing.fail(this.port.asEnd(writeLost(reason)));
      // Both directions have ended in order; what was not read yet still can be, and then the stream ends by itself.
      if (!this.#peerEnded && !duplex.destroyed) this.receiveEnd();
    } else {
      const error = this.port.asEnd(streamError(reason));
      // What waited for a connection that never came hears of it after `close`.
      if (this.port.wasOpened) this.outgoing.fail(error ?? this.port.asEnd(writeLost(reason)));
      // Where its last write or its end has failed by that, it is destroyed already.
      duplex.destroy(error);
    }
    return this.#connection.unbind(reason);
  }

  /** Whether everything that the stream was given is with the kernel. */
  get #isSent(): boolean {
    return this.#duplex.writableLength === 0 && this.port.unsentAtEnd === 0;
  }

  onError(error: unknown): unknown {
    return this.#connection.onError(error);
  }

  // What the stream asks -------------------------------------------------------------------------------------------

  /** The stream is destroyed, and the connection with it. */
  destroyed(error: Error | null, callback: (error?: Error | null) => void): void {
    const { port } = this;
    this.#hadError = error !== null;
    // First, so that the stream's `error` comes before its `close`.
    callback(error);
    if (port.state === State.closed) {
      this.#closeSoon();
    } else if (this.#isReset) {
      port.abort();
    } else if (port.state === State.connecting) {
      port.close();
    } else {
      this.#close(error);
    }
  }

  /**
   * node:net has offered everything to the kernel before it closes; so it is here. What the kernel had no room for, but
   * was accepted, is sent all the same when the program closes without an error, within the linger deadline.
   */
  #close(error: Error | null): void {
    const { port } = this;
    if (port.outboundSize() > 0) {
      port.flush();
      if (error === null && port.state === State.open && port.outboundSize() > 0) {
        port.finish();
        this.#closeSoon();
        return;
      }
    }
    // A child process that has ended its output, and whose input has ended, is about to exit.
    if (error === null && this.#peerEnded && this.#duplex.writableFinished) port.finish();
    else port.close();
  }

  /** Behind every callback that the destruction has put off to a tick, as where a handle is closed first. */
  #closeSoon(): void {
    setImmediate(() => this.#emitClose());
  }

  #emitClose(): void {
    this.#isClosed = true;
    const { wasOpened } = this.port;
    if (wasOpened) this.outgoing.drop();
    this.#duplex.emit("close", this.#hadError);
    if (!wasOpened) this.outgoing.fail(this.port.asEnd(neverOpened()));
  }

  reset(): void {
    if (this.port.state === State.connecting && !this.#duplex.destroyed) {
      this.#duplex.once("connect", () => this.reset());
      return;
    }
    this.#isReset = true;
    this.#duplex.destroy();
  }

  setNoDelay(on: boolean): void {
    if (this.#options.noDelay === on) return;
    this.#options.noDelay = on;
    if (this.port.state === State.open) this.#apply({ noDelay: on });
  }

  setKeepAlive(on: boolean, delay: number): void {
    const options = this.#options;
    if ((options.keepAlive ?? false) === on && (!on || options.keepAliveDelay === delay)) return;
    options.keepAlive = on;
    options.keepAliveDelay = delay;
    if (this.port.state !== State.open) return;
    this.#apply(on ? { keepAlive: probesAfter(delay) } : { keepAliveOff: true });
  }

  /** Hints to the kernel, which node:net does not report the failure of either: a reset peer's socket takes none. */
  #apply(options: Parameters<StreamPort["setOptions"]>[0]): void {
    try {
      this.port.setOptions(options);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
    }
  }
}

/** node:net leaves the system's time alone where none, less than a second, or more than the kernel takes, is given. */
function probesAfter(delay: number | undefined): { idle?: number } {
  const idle = Math.floor((delay ?? 0) / 1000) * 1000;
  return idle >= 1000 && idle <= MAX_KEEP_ALIVE_IDLE ? { idle } : {};
}
