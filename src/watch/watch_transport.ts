import type { SocketAddress } from "../base/addresses.js";
import type { CloseReason } from "../base/close_reason.js";
import { StateError } from "../base/errors.js";
import { OpenLife, type OpenOrigin } from "../connection/open_life.js";
import * as reasons from "../connection/reasons.js";
import type { ConnectionCallbacks } from "../core/connection_callbacks.js";
import { State } from "../core/stream_port.js";
import type { OwnTick } from "../core/tick_queue.js";
import { Ended, type Handle, NO_HANDLE } from "../engine/streams.js";
import { checkStreamOptions, type StreamSettings } from "../options/options.js";

/** The callbacks of a watch, beside those of every connection. */
export interface WatchCallbacks extends ConnectionCallbacks {
  notifyReadable(): unknown;
  notifyWritable(): unknown;
}

/** What a watch is of; its handle is NO_HANDLE where the reactor was stopping. */
export interface WatchOrigin extends Omit<OpenOrigin, "settings"> {
  readonly fd: number;
  readonly readable: boolean;
  readonly writable: boolean;
}

/** A watch has nothing to set, and shows what any connection has. */
const SETTINGS: StreamSettings = checkStreamOptions({});

/** One watch: the state machine between a user's object and an engine's handle, open from the start. */
export class WatchTransport extends OpenLife implements OwnTick {
  readonly fd: number;
  readonly bytesDiscarded = 0;
  readonly isPaused = false;
  /** The connections that use what is watched are waited for, and it with them. */
  readonly outlivesDrain = true;
  readonly #watcher: WatchCallbacks;
  #readable: boolean;
  #writable: boolean;
  #endIsDue = false;

  constructor(origin: WatchOrigin, watcher: WatchCallbacks) {
    super({ ...origin, settings: SETTINGS }, watcher);
    // No connection: nobody waits for its end.
    origin.core.connectionCount--;
    this.#watcher = watcher;
    this.fd = origin.fd;
    this.#readable = origin.readable;
    this.#writable = origin.writable;
  }

  /** The reactor is stopping: it is closed from its first moment, and nobody is called. */
  neverBegins(): void {
    this.state = State.closed;
    this.reason = reasons.STOPPED;
  }

  // Readiness ----------------------------------------------------------------------------------------------------

  get readable(): boolean {
    return this.#readable;
  }

  get writable(): boolean {
    return this.#writable;
  }

  watchFor(readable: boolean, writable: boolean): void {
    if (this.state !== State.open || (readable === this.#readable && writable === this.#writable)) return;
    this.#readable = readable;
    this.#writable = writable;
    this.engine.setWatchInterest(this.handle, { readable, writable });
  }

  /** What a callback before it in the batch has switched off, or ended, is not told any more. */
  override onReady(readable: boolean, writable: boolean): void {
    if (readable && this.#readable && this.state === State.open) this.call(this.#watcher.notifyReadable);
    if (writable && this.#writable && this.state === State.open) this.call(this.#watcher.notifyWritable);
  }

  // Ending -------------------------------------------------------------------------------------------------------

  /** Nothing is ever written. */
  finish(): void {
    this.close();
  }

  detach(): void {
    this.end(reasons.DETACHED);
  }

  /** Ends now; the first reason given stands. `unbind` takes its place among the ticks, and the descriptor is let go at once. */
  end(reason: CloseReason): void {
    if (this.state === State.closed || this.reason !== undefined) return;
    this.reason = reason;
    this.state = State.closing;
    this.#endIsDue = true;
    this.owner.ownTick(this);
    this.engine.close(this.handle);
  }

  onTick(): void {
    if (this.handle !== NO_HANDLE) this.owner.forget(this.handle);
    this.#ended(this.reason as CloseReason);
    this.owner.checkIdle();
  }

  override onClosed(_handle: Handle, ended: Ended, errno: number, syscall: string): void {
    this.handle = NO_HANDLE;
    if (this.#endIsDue) return;
    this.#ended(ended === Ended.error ? reasons.systemFailure(errno, syscall) : reasons.LOCAL_CLOSE);
  }

  #ended(reason: CloseReason): void {
    this.handle = NO_HANDLE;
    this.unbound(reason);
  }

  // What only those can do who read and write ----------------------------------------------------------------------

  notAStream(method: string): StateError {
    const message = `${method}: this descriptor is watched alone; who owns it reads, writes and closes it`;
    return this.asEnd(new StateError("ERR_EM_WATCH_ONLY", message));
  }

  sendBytes(): never {
    throw this.notAStream("sendData");
  }

  sendString(): never {
    throw this.notAStream("sendData");
  }

  pause(): never {
    throw this.notAStream("pause");
  }

  resume(): never {
    throw this.notAStream("resume");
  }

  discarded(): never {
    throw this.notAStream("receiveData");
  }

  adjust(): never {
    throw this.notAStream("a deadline, a mark or a limit");
  }

  bytesOut(): number {
    return 0;
  }

  outboundSize(): number {
    return 0;
  }

  idleTime(): number {
    return 0;
  }

  remoteAddress(): SocketAddress | undefined {
    return undefined;
  }

  localAddress(): SocketAddress | undefined {
    return undefined;
  }
}
