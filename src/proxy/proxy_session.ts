import type { SocketAddress } from "../base/addresses.js";
import { StateError } from "../base/errors.js";
import type { Peeked } from "../codecs/peek/peek.js";
import type { Connection } from "../connection/connection.js";
import type { NoBackend } from "./backend_pool.js";
import type { Visit } from "./visit.js";

/** What becomes of bytes: those that are to go on, as they are or others; or they are kept until there are more; or dropped. */
export type ProxyVerdict = Uint8Array | "hold" | "drop";

/**
 * How a proxied connection ended: in order, by the client's or the backend's end; by a reset, a failure of TLS or of the system on either side; or by the
 * proxy, and why.
 */
export type ProxyEnd =
  | "client-closed"
  | "client-reset"
  | "client-failed"
  | "backend-closed"
  | "backend-reset"
  | "backend-failed"
  | "connect-failed"
  | NoBackend
  | "idle-timeout"
  | "hold-limit"
  | "hook-failed"
  | "refused"
  | "closed"
  | "stopped";

/** What became of one proxied connection. */
export interface ProxyOutcome {
  /** How it ended. */
  readonly end: ProxyEnd;
  /** The client's address. */
  readonly client: SocketAddress | undefined;
  /** The backend's name; undefined where it came to none. */
  readonly backend: string | undefined;
  /** Bytes that the client sent. */
  readonly bytesIn: number;
  /** Bytes that the client was sent. */
  readonly bytesOut: number;
  /** How many other backends were tried after the first. */
  readonly retries: number;
  /** Milliseconds until there was a backend for it, and from then until that was connected; undefined where it came to none. */
  readonly queueTime: number | undefined;
  /** See `queueTime`. */
  readonly connectTime: number | undefined;
  /** Milliseconds from its beginning to its end. */
  readonly duration: number;
}

/** A connection to a backend, as hooks are shown it. */
export interface ProxyLeg {
  /** The backend's name. */
  readonly name: string;
  /** Whether what it answers is only compared: see `shadow`. */
  readonly isShadow: boolean;
  /** The connection itself. */
  readonly connection: Connection;
}

/**
 * One client's visit to a proxy. A class that extends it sees what passes: each hook that it has is called, and what it does not have costs nothing;
 * without `onData` and `onResponse`, or after `splice()`, bytes pass in the kernel where the engine can.
 *
 * A hook that throws ends the client's connection, as a callback of that connection does, and so does one that returns nothing where a
 * verdict is needed.
 *
 * ```ts
 * class Router extends ProxySession {
 *   override onData(data: Buffer) {
 *     const line = data.indexOf("\n");
 *     if (line < 0) return "hold"; // comes again, with what follows
 *     this.useBackend(data.toString("latin1", 0, 5) === "admin" ? "admin" : "web");
 *     this.splice();
 *     return data;
 *   }
 * }
 * await startProxy({ listen: { port: 0 }, backends: [{ name: "web", host: "127.0.0.1", port: 8080 }] }, Router);
 * ```
 */
export class ProxySession {
  #visit: Visit | undefined;

  // Hooks ----------------------------------------------------------------------------------------------------------

  /** A client has connected, and no backend is chosen. A promise is waited for. (em-proxy's on_connect.) */
  onConnect(): unknown {
    return undefined;
  }

  /**
   * Bytes of the client. The backend is chosen when the first of them are passed on. (on_data.)
   *
   * Return bytes to pass them on: `data`, or others in its place. `"hold"` keeps them, and calls again with them when more have come, up to 64 KiB.
   * `"drop"` passes nothing on; `toBackend` and `toClient` send by hand.
   */
  onData(data: Buffer): ProxyVerdict {
    return data;
  }

  /** Bytes of a backend, on the same terms. Of what a shadow answers nothing is passed on, whatever this returns. (on_response.) */
  onResponse(data: Buffer, _leg: ProxyLeg): ProxyVerdict {
    return data;
  }

  /** A backend, or a shadow, is connected. */
  onBackendConnect(_leg: ProxyLeg): unknown {
    return undefined;
  }

  /** Everything has ended. (on_finish.) */
  onFinish(_outcome: ProxyOutcome): unknown {
    return undefined;
  }

  // What a hook may ask ----------------------------------------------------------------------------------------------

  /** The client's connection. To be asked, and not to be read from, sent to or relayed. */
  get client(): Connection {
    return this.#attached().front;
  }

  /** What the client's first bytes have shown, where the proxy has `routes`. */
  get peeked(): Peeked | undefined {
    return this.#attached().peeked;
  }

  /** The connection to the backend; undefined before one is chosen. */
  get backend(): ProxyLeg | undefined {
    return this.#attached().leg;
  }

  /** Has the backend of this name be the one, if it serves. Before one is chosen. */
  useBackend(name: string): void {
    this.#attached().useBackend(name);
  }

  /** What the balance `"hash"` goes by, in place of the client's address. Before a backend is chosen. */
  useKey(key: string): void {
    this.#attached().useKey(key);
  }

  /**
   * Copies what is passed on to another server too, whose answers `onResponse` is shown and nobody is sent. One that is slow or fails loses its copies, and holds
   * nobody up.
   */
  shadow(to: string): void {
    this.#attached().shadow(to);
  }

  /** Sends bytes to the backend. */
  toBackend(data: Uint8Array): void {
    this.#attached().toBackend(data);
  }

  /** Sends bytes to the client. */
  toClient(data: Uint8Array): void {
    this.#attached().toClient(data);
  }

  /** From here on bytes pass both ways unseen, in the kernel where the engine can: `onData` and `onResponse` come no more. */
  splice(): void {
    this.#attached().splice();
  }

  /** Ends the client's connection when it has been sent everything, and the backend's with it. */
  close(): void {
    this.#attached().close("closed");
  }

  /** @internal */
  static attach(session: ProxySession, visit: Visit): void {
    session.#visit = visit;
  }

  #attached(): Visit {
    if (this.#visit === undefined) {
      throw new StateError(
        "ERR_EM_NOT_ATTACHED",
        "a session has no client in its constructor: onConnect comes after it",
      );
    }
    return this.#visit;
  }
}

/** Which hooks a class of sessions has. */
export interface Hooks {
  readonly data: boolean;
  readonly response: boolean;
}

export function hooksOf(Session: { prototype: ProxySession }): Hooks {
  const base = ProxySession.prototype;
  return { data: Session.prototype.onData !== base.onData, response: Session.prototype.onResponse !== base.onResponse };
}
