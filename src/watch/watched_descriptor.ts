import { checkBoolean } from "../base/checks.js";
import type { CloseReason } from "../base/close_reason.js";
import { StateError } from "../base/errors.js";
import { begun } from "../base/outcome.js";
import { Connection } from "../connection/connection.js";
import { State } from "../core/stream_port.js";
import { WatchTransport } from "./watch_transport.js";

/**
 * A descriptor that somebody else owns, a client library of C or a child's pipe, and whose readiness is all that is wanted: extend it
 * and hand the class to `watch`. The reactor never reads, writes, changes or closes the descriptor. (EventMachine.watch.)
 *
 * Order: constructor, `postInit`, `watch` returns, `notifyReadable` and `notifyWritable`…, `unbind`. Readiness is level-triggered: a
 * callback comes again in every turn until what it is about has been dealt with, or it is switched off.
 *
 * What only those can do who read and write throws `ERR_EM_WATCH_ONLY`: `sendData`, `pause`, `resume`, deadlines, and whatever is for
 * streams. `closeConnection`, `abort` and `closeConnectionAfterWriting` end the watch, and leave the descriptor open.
 */
export class WatchedDescriptor extends Connection {
  // Callbacks ----------------------------------------------------------------------------------------------------

  /**
   * The descriptor can be read without blocking, or has met an error or its end, which reading shows. It comes again in every turn in
   * which that is so. (notify_readable.)
   */
  notifyReadable(): unknown {
    return undefined;
  }

  /** The same for writing. (notify_writable.) */
  notifyWritable(): unknown {
    return undefined;
  }

  /**
   * The watch has ended; the descriptor is as it was. Kind `system-error` with code `EBADF`: it was closed under the watch, which shows at
   * the latest a second afterwards. Whoever closes a descriptor detaches it first.
   */
  override unbind(reason: CloseReason): unknown {
    return super.unbind(reason);
  }

  // Settings -----------------------------------------------------------------------------------------------------

  /**
   * Whether `notifyReadable` is called. Default false, or what `watch` was told; it can be set at any time, and what is switched off is not
   * called from that moment. Setting it throws ArgumentError for what is no boolean; on a watch that has ended it does nothing.
   * (notify_readable=, notify_readable?)
   */
  get notifiesReadable(): boolean {
    return this.#transport("notifiesReadable").readable;
  }
  set notifiesReadable(on: boolean) {
    const transport = this.#transport("notifiesReadable");
    transport.watchFor(checkBoolean(on, "notifiesReadable"), transport.writable);
  }

  /** Whether `notifyWritable` is called, on the same terms. (notify_writable=, notify_writable?) */
  get notifiesWritable(): boolean {
    return this.#transport("notifiesWritable").writable;
  }
  set notifiesWritable(on: boolean) {
    const transport = this.#transport("notifiesWritable");
    transport.watchFor(transport.readable, checkBoolean(on, "notifiesWritable"));
  }

  /** The descriptor's number. */
  get fd(): number {
    return this.#transport("fd").fd;
  }

  // Ending -------------------------------------------------------------------------------------------------------

  /**
   * Ends the watch; from the moment of the call the reactor does not refer to the descriptor, which may be closed or given to others.
   * `unbind` follows with reason `detached`. Rejects with `ERR_EM_NOT_OPEN` on a watch that has ended. (EventMachine's detach.)
   */
  override detach(): Promise<{ fd: number; unread: Buffer }> {
    return begun(() => this.#detach());
  }

  #detach(): Promise<{ fd: number; unread: Buffer }> {
    const transport = this.#transport("detach");
    if (transport.state !== State.open) {
      throw transport.asEnd(new StateError("ERR_EM_NOT_OPEN", "detach: the watch has ended"));
    }
    transport.detach();
    return Promise.resolve({ fd: transport.fd, unread: Buffer.alloc(0) });
  }

  #transport(method: string): WatchTransport {
    const life = Connection.lifeOf(this);
    if (life instanceof WatchTransport) return life;
    throw life.isStream
      ? new StateError("ERR_EM_NOT_WATCHED", `${method} is for descriptors that watch was given`)
      : life.notAStream(method);
  }
}
