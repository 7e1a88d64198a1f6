import { describe } from "../base/addresses.js";
import { checkDuration } from "../base/checks.js";
import type { CloseReason } from "../base/close_reason.js";
import { ArgumentError } from "../base/errors.js";
import { checkOptions, type Names } from "../base/known_names.js";
import { begun, responsible } from "../base/outcome.js";
import { Connection } from "../connection/connection.js";
import type { Passing } from "../connection/passing.js";
import { notAConnection, type ProxyOptions } from "../connection/proxying.js";
import type { StreamPort } from "../core/stream_port.js";

/** How two connections are relayed to each other. */
export interface RelayOptions {
  /** The most bytes that wait for each of them. Default 64 KiB. */
  bufferSize?: number;
  /** Close both when so many milliseconds have passed without a byte either way. Default: what each has as `commInactivityTimeout`. */
  idleTimeout?: number;
  /** Bytes that `a` has received and its handler took: they go to `b` first. */
  received?: Uint8Array;
}

/** What became of one direction of a relay. */
export interface RelayedDirection {
  /** How many bytes have passed. */
  readonly bytes: number;
  /**
   * `"finished"`: the peer sent its FIN, which was passed on behind all its bytes. `"stopped"`: the program ended the relay, by `stopProxying` or by
   * ending the target's output. Otherwise why one of the two connections ended.
   */
  readonly end: "finished" | "stopped" | CloseReason;
}

/** What became of a relay: both directions have ended. */
export interface RelayOutcome {
  /** What `a` received. */
  readonly aToB: RelayedDirection;
  /** What `b` received. */
  readonly bToA: RelayedDirection;
}

const OPTIONS: Names<RelayOptions> = { bufferSize: true, idleTimeout: true, received: true };

/**
 * Relays two connections to each other until both directions have ended: what either receives goes to the other's output, and its
 * end as well: a FIN is passed on behind the bytes before it, and the other direction goes on; where a connection fails or is reset the
 * other is reset, where it is closed the other is closed after writing. Resolves with what became of each direction.
 *
 * It may begin inside `receiveData`, with what that took as `received`, and before either connection is open. See `proxyIncomingTo` for
 * what holds meanwhile, and for what this rejects with; nothing has begun then.
 *
 * ```ts
 * class Front extends Connection {
 *   override receiveData(data: Buffer) {
 *     const backend = connect({ host: "127.0.0.1", port: 5432 }, Connection);
 *     void relay(this, backend, { received: data, idleTimeout: 60_000 });
 *   }
 * }
 * ```
 */
export function relay(a: Connection, b: Connection, options: RelayOptions = {}): Promise<RelayOutcome> {
  return begun(() => new Relay(a, b, options).outcome, responsible());
}

/** As `from.proxyIncomingTo(to, { bufferSize, length })`. (EventMachine.enable_proxy.) */
export function enableProxy(from: Connection, to: Connection, bufferSize?: number, length?: number): void {
  if (!(from instanceof Connection)) throw notAConnection("from", from);
  from.proxyIncomingTo(to, {
    ...(bufferSize === undefined ? {} : { bufferSize }),
    ...(length === undefined ? {} : { length }),
  });
}

/** As `from.stopProxying()`. (EventMachine.disable_proxy.) */
export function disableProxy(from: Connection): void {
  if (!(from instanceof Connection)) throw notAConnection("from", from);
  from.stopProxying();
}

class Relay {
  readonly outcome: Promise<RelayOutcome>;
  readonly #ends: readonly [Connection, Connection];
  readonly #taken: number;
  readonly #passings: Passing[] = [];
  readonly #endings: ("finished" | "stopped" | CloseReason | undefined)[] = [undefined, undefined];
  #resolve: (outcome: RelayOutcome) => void = () => {};

  constructor(a: Connection, b: Connection, options: RelayOptions) {
    checkOptions(options, OPTIONS);
    const { idleTimeout, received } = options;
    for (const [name, end] of Object.entries({ a, b })) {
      if (!(end instanceof Connection)) throw notAConnection(name, end);
    }
    if (idleTimeout !== undefined) checkDuration(idleTimeout, "idleTimeout");
    if (received !== undefined && !(received instanceof Uint8Array)) {
      throw new ArgumentError(`received must be bytes that a received, not ${describe(received)}`);
    }
    this.#ends = [a, b];
    this.#taken = received?.length ?? 0;
    this.outcome = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    const passed = options.bufferSize === undefined ? {} : { bufferSize: options.bufferSize };
    // Either may refuse: nothing has begun then.
    Connection.checkPass(a, b, passed);
    Connection.checkPass(b, a, passed);
    if (received !== undefined && received.length > 0) Connection.portOf(b).sendBytes(received);
    this.#passings.push(this.#begin(0, passed), this.#begin(1, passed));
    if (idleTimeout !== undefined)
      for (const end of this.#ends) Connection.lifeOf(end).adjust({ commInactivityTimeout: idleTimeout });
  }

  /** Begins the direction from the end of this number. */
  #begin(from: 0 | 1, options: ProxyOptions): Passing {
    const [source, target] = from === 0 ? this.#ends : [this.#ends[1], this.#ends[0]];
    const [sourcePort, targetPort] = [Connection.portOf(source), Connection.portOf(target)];
    return Connection.pass(source, target, options, {
      completed: () => {},
      sourceFinished: () => {
        this.#ended(from, "finished");
        targetPort.halfClose();
      },
      stopped: () => this.#ended(from, "stopped"),
      sourceEnded: (reason) => this.#bothEnded(reason, targetPort),
      targetEnded: (reason) => this.#bothEnded(reason, sourcePort),
    });
  }

  /** One of the two connections has ended, and the other follows: in order or not. */
  #bothEnded(reason: CloseReason, other: StreamPort): void {
    this.#ended(0, reason);
    this.#ended(1, reason);
    if (reason.kind === "peer-closed" || reason.kind === "local-close") other.finish();
    else other.abort();
  }

  #ended(direction: 0 | 1, how: "finished" | "stopped" | CloseReason): void {
    this.#endings[direction] ??= how;
    const [aToB, bToA] = this.#endings;
    if (aToB === undefined || bToA === undefined) return;
    this.#resolve({
      aToB: { bytes: this.#taken + this.#passings[0]!.passed, end: aToB },
      bToA: { bytes: this.#passings[1]!.passed, end: bToA },
    });
  }
}
