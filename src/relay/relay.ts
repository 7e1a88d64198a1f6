import { describe } from "../base/addresses.js";
import { checkDuration } from "../base/checks.js";
import type { CloseReason } from "../base/close_reason.js";
import { ArgumentError } from "../base/errors.js";
import { checkOptions, type Names } from "../base/known_names.js";
import { begun, responsible } from "../base/outcome.js";
import { Connection } from "../connection/connection.js";
import type { AnyLife, Relaying } from "../connection/life.js";
import type { PassingEvents } from "../connection/passing.js";
import { notAConnection, type ProxyOptions } from "../connection/proxying.js";

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
 * Two datagram sockets, each connected to its peer, are relayed until either ends or the program stops both directions.
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

/** Both directions. */
class Relay {
  readonly outcome: Promise<RelayOutcome>;
  readonly #taken: number;
  readonly #aToB: Direction;
  readonly #bToA: Direction;
  #resolve: (outcome: RelayOutcome) => void = () => {};

  constructor(a: Connection, b: Connection, options: RelayOptions) {
    checkOptions(options, OPTIONS);
    const { bufferSize, idleTimeout, received } = options;
    if (!(a instanceof Connection)) throw notAConnection("a", a);
    if (!(b instanceof Connection)) throw notAConnection("b", b);
    if (idleTimeout !== undefined) checkDuration(idleTimeout, "idleTimeout");
    if (received !== undefined && !(received instanceof Uint8Array)) {
      throw new ArgumentError(`received must be bytes that a received, not ${describe(received)}`);
    }
    const passed = bufferSize === undefined ? {} : { bufferSize };
    // Either may refuse: nothing has begun then.
    Connection.checkPass(a, b, passed);
    Connection.checkPass(b, a, passed);
    this.#taken = received?.length ?? 0;
    this.outcome = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    if (this.#taken > 0) Connection.lifeOf(b).sendBytes(received!);
    this.#aToB = new Direction(this, a, b);
    this.#bToA = new Direction(this, b, a);
    this.#aToB.begin(passed);
    this.#bToA.begin(passed);
    if (idleTimeout !== undefined)
      for (const end of [a, b]) Connection.lifeOf(end).adjust({ commInactivityTimeout: idleTimeout });
  }

  /** One of the two connections has ended, and with it both directions. */
  bothEnded(reason: CloseReason): void {
    this.#aToB.end ??= reason;
    this.#bToA.end ??= reason;
    this.settle();
  }

  settle(): void {
    const [aToB, bToA] = [this.#aToB, this.#bToA];
    if (aToB.end === undefined || bToA.end === undefined) return;
    this.#resolve({
      aToB: { bytes: this.#taken + aToB.passed, end: aToB.end },
      bToA: { bytes: bToA.passed, end: bToA.end },
    });
  }
}

/** One of them, from where it begins to how it ended. */
class Direction implements PassingEvents {
  end: "finished" | "stopped" | CloseReason | undefined;
  readonly #relay: Relay;
  readonly #source: Connection;
  readonly #target: Connection;
  /** Their lives as they are now: either may begin another. */
  readonly #lives: readonly [AnyLife, AnyLife];
  #passing: Relaying | undefined;

  constructor(relay: Relay, source: Connection, target: Connection) {
    this.#relay = relay;
    this.#source = source;
    this.#target = target;
    this.#lives = [Connection.lifeOf(source), Connection.lifeOf(target)];
  }

  begin(options: ProxyOptions): void {
    this.#passing = Connection.pass(this.#source, this.#target, options, this);
  }

  get passed(): number {
    return this.#passing?.passed ?? 0;
  }

  completed(): void {}

  sourceFinished(): void {
    this.#ended("finished");
    const [, target] = this.#lives;
    if (target.isStream) target.halfClose();
  }

  stopped(): void {
    this.#ended("stopped");
  }

  sourceEnded(reason: CloseReason): void {
    this.#follow(this.#lives[1], reason);
  }

  targetEnded(reason: CloseReason): void {
    this.#follow(this.#lives[0], reason);
  }

  #ended(how: "finished" | "stopped"): void {
    this.end ??= how;
    this.#relay.settle();
  }

  /** The other connection ends as the first did: in order or not. */
  #follow(other: AnyLife, reason: CloseReason): void {
    this.#relay.bothEnded(reason);
    if (reason.kind === "peer-closed" || reason.kind === "local-close") other.finish();
    else other.abort();
  }
}
