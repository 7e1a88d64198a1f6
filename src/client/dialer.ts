import { constants } from "node:os";
import { formatAddress, type InetAddress, literalAddress, type SocketAddress } from "../base/addresses.js";
import type { CloseReason } from "../base/close_reason.js";
import type { EventMachineError } from "../base/errors.js";
import { SystemError } from "../base/system_error.js";
import { showUnixName } from "../base/unix_name.js";
import type { Origin, Pending } from "../connection/origin.js";
import * as reasons from "../connection/reasons.js";
import type { Transport } from "../connection/transport.js";
import type { Core } from "../core/core.js";
import { DISCARDED, Endpoint } from "../core/endpoint.js";
import { resolveHost } from "../dns/resolve_host.js";
import type { Ended, ConnectOptions as EngineOptions, Handle } from "../engine/streams.js";
import type { ConnectTarget, DialSettings, StreamSettings } from "../options/options.js";
import type { Timer } from "../timers/timer.js";

/** A Unix listener's queue was full: how long until the next try. */
const UNIX_RETRY_DELAY = 10;
const EAFNOSUPPORT = -constants.errno.EAFNOSUPPORT;

/** What the engine is told of those that are made the same way, and come from anywhere. */
const engineOptions = new WeakMap<StreamSettings, EngineOptions>();

function optionsFor(settings: StreamSettings): EngineOptions {
  let options = engineOptions.get(settings);
  if (options === undefined) {
    const { socket, halfOpen, lowWaterMark } = settings;
    options = { ...socket, halfOpen, lowWaterMark };
    engineOptions.set(settings, options);
  }
  return options;
}

interface InetPlace {
  readonly host: string;
  readonly port: number;
}

/**
 * Connects one transport: resolves the name, races the addresses as RFC 8305 section 5 says (one attempt after another,
 * the next when the one before fails or the attempt delay passes), and hands the first open handle over.
 */
export class Dialer extends Endpoint implements Origin, Pending {
  readonly accepts = false;
  readonly handshakes = undefined;
  readonly tlsRole = "client";
  readonly sharedLocalAddress = undefined;
  readonly sharedRemoteAddress: SocketAddress | undefined;
  readonly #core: Core;
  readonly #target: ConnectTarget;
  readonly #dial: DialSettings;
  readonly settings: StreamSettings;
  #transport: Transport | undefined;
  #waiting: SocketAddress[] = [];
  /** Where it may come from; undefined for anywhere. */
  #locals: readonly InetAddress[] | undefined;
  /** Ends the resolver's work when nobody waits for it any more. */
  #resolving: AbortController | undefined;
  #attempts = new Map<Handle, SocketAddress>();
  #errors: EventMachineError[] = [];
  #done = false;
  #started: number;
  #connectTimeout: number;
  #deadline: Timer | undefined;
  #next: Timer | undefined;

  constructor(core: Core, target: ConnectTarget, dial: DialSettings, settings: StreamSettings) {
    super();
    this.#core = core;
    this.#target = target;
    this.sharedRemoteAddress = "path" in target ? { family: "unix", path: target.path } : undefined;
    this.#dial = dial;
    this.settings = settings;
    this.#started = core.now();
    this.#connectTimeout = dial.connectTimeout;
  }

  get peer(): { readonly host: string; readonly port: number } | undefined {
    return "path" in this.#target ? undefined : this.#target;
  }

  get transport(): Transport {
    return this.#transport as Transport;
  }

  get pending(): this {
    return this;
  }

  get connectTimeout(): number {
    return this.#connectTimeout;
  }

  set connectTimeout(ms: number) {
    this.#connectTimeout = ms;
    if (!this.#done) this.#armDeadline();
  }

  /** Begins. Literal addresses and paths are connected to at once, names when they are resolved. */
  start(transport: Transport): void {
    this.#transport = transport;
    const { signal } = this.#dial;
    if (signal?.aborted === true) {
      this.#core.ownTick({ onTick: () => this.#fail(this.calledOff(signal.reason)) });
      return;
    }
    signal?.addEventListener("abort", this.#aborted, { once: true });
    this.#armDeadline();
    const target = this.#target;
    if ("path" in target) {
      this.#race([{ family: "unix", path: target.path }]);
      return;
    }
    const { localAddress } = this.#dial;
    const remote = literalAddress(target.host, target.port);
    const local = localAddress === undefined ? undefined : literalAddress(localAddress.host, localAddress.port);
    if (remote === undefined || (localAddress !== undefined && local === undefined))
      this.#resolve(target, localAddress);
    else if (local === undefined || local.family === remote.family) this.#raceFrom([remote], local && [local]);
    else this.#core.ownTick({ onTick: () => this.#raceFrom([remote], [local]) });
  }

  #resolve(target: InetPlace, from: InetPlace | undefined): void {
    const resolving = new AbortController();
    const addressesOf = ({ host, port }: InetPlace): InetAddress[] | Promise<InetAddress[]> => {
      const literal = literalAddress(host, port);
      return literal === undefined ? resolveHost(host, port, this.#core.resolver, resolving.signal) : [literal];
    };
    this.#resolving = resolving;
    Promise.all([addressesOf(target), from === undefined ? undefined : addressesOf(from)])
      .then(([addresses, locals]) => {
        this.#resolving = undefined;
        this.#raceFrom(addresses, locals);
      })
      // Also what the race itself throws: the promise is nobody's, and the connect must end.
      .catch((error: EventMachineError) => {
        this.#errors.push(error);
        this.#fail(reasons.connectFailure(this.#place(), this.#errors));
      });
  }

  /** Of two addresses that do not have the family in common, neither reaches the other (RFC 6724): they are left out. */
  #raceFrom(addresses: readonly InetAddress[], locals: readonly InetAddress[] | undefined): void {
    if (this.#done) return;
    this.#locals = locals;
    const [first] = locals ?? [];
    const reachable = first === undefined ? addresses : addresses.filter((each) => this.#localFor(each) !== undefined);
    if (first !== undefined && reachable.length === 0) {
      this.#errors.push(attemptError(EAFNOSUPPORT, "bind", first));
    }
    this.#race(reachable);
  }

  #localFor({ family }: SocketAddress): InetAddress | undefined {
    return this.#locals?.find((each) => each.family === family);
  }

  cancel(): void {
    this.#finish();
  }

  ended(): void {}

  calledOff(cause?: unknown): CloseReason {
    return reasons.connectAborted(this.#place(), this.#errors, cause);
  }

  readonly #aborted = (): void => {
    this.#transport?.end(this.calledOff(this.#dial.signal?.reason));
  };

  #armDeadline(): void {
    this.#deadline?.cancel();
    this.#deadline = undefined;
    const timeout = this.#connectTimeout;
    if (timeout === 0) return;
    const left = Math.max(0, this.#started + timeout - this.#core.now());
    this.#deadline = this.#core.addTimer(left, () =>
      this.#fail(reasons.connectTimedOut(this.#place(), timeout, this.#errors)),
    );
  }

  // Racing -------------------------------------------------------------------------------------------------------

  #race(addresses: readonly SocketAddress[]): void {
    if (this.#done) return;
    this.#waiting = [...addresses];
    this.#attempt();
  }

  #attempt(): void {
    this.#next?.cancel();
    this.#next = undefined;
    const address = this.#waiting.shift();
    if (address === undefined) {
      if (this.#attempts.size === 0) this.#fail(reasons.connectFailure(this.#place(), this.#errors));
      return;
    }
    const local = this.#localFor(address);
    const options = optionsFor(this.settings);
    const handle = this.#core.engine.connect(
      address,
      local === undefined ? options : { ...options, localAddress: local },
    );
    this.#attempts.set(handle, address);
    this.#core.register(handle, this);
    if (this.#waiting.length > 0) this.#next = this.#core.addTimer(this.#dial.attemptDelay, () => this.#attempt());
  }

  override onConnected(handle: Handle): void {
    const transport = this.#transport;
    if (this.#done || transport === undefined) return;
    this.#attempts.delete(handle);
    this.#core.replace(handle, transport);
    this.#finish();
    transport.connected(handle);
  }

  override onClosed(handle: Handle, _ended: Ended, errno: number, syscall: string): void {
    const address = this.#attempts.get(handle);
    this.#attempts.delete(handle);
    if (this.#done || address === undefined) return;
    const error = attemptError(errno, syscall, address);
    if (error.code === "EAGAIN" && address.family === "unix") {
      this.#waiting.unshift(address);
      this.#next = this.#core.addTimer(UNIX_RETRY_DELAY, () => this.#attempt());
      return;
    }
    this.#errors.push(error);
    this.#attempt();
  }

  #fail(reason: CloseReason): void {
    if (this.#done) return;
    this.#finish();
    this.#transport?.failed(reason);
    this.#core.checkIdle();
  }

  /** Nothing of the race goes on: attempts still under way are closed, and what becomes of them concerns nobody. */
  #finish(): void {
    if (this.#done) return;
    this.#done = true;
    this.#deadline?.cancel();
    this.#next?.cancel();
    this.#resolving?.abort();
    this.#dial.signal?.removeEventListener("abort", this.#aborted);
    for (const handle of this.#attempts.keys()) {
      this.#core.replace(handle, DISCARDED);
      this.#core.engine.close(handle);
    }
    this.#attempts.clear();
  }

  #place(): string {
    const target = this.#target;
    if ("path" in target) return formatAddress({ family: "unix", path: target.path });
    const literal: InetAddress | undefined = literalAddress(target.host, target.port);
    return literal === undefined ? `${target.host}:${target.port}` : formatAddress(literal);
  }
}

function attemptError(errno: number, syscall: string, address: SocketAddress): SystemError {
  if (address.family === "unix") return new SystemError(errno, syscall, { address: showUnixName(address.path) });
  return new SystemError(errno, syscall, { address: address.host, port: address.port });
}
