import type { CloseReason } from "../base/close_reason.js";
import type { Origin, Pending } from "../connection/origin.js";
import * as reasons from "../connection/reasons.js";
import type { Transport } from "../connection/transport.js";
import { READ_ONLY, WRITE_ENDED, WRITE_ONLY } from "../connection/transport_state.js";
import type { Core } from "../core/core.js";
import { DISCARDED, Endpoint } from "../core/endpoint.js";
import { type Ended, type Handle, NO_HANDLE } from "../engine/streams.js";
import type { StreamSettings } from "../options/options.js";

/** A descriptor that was connected by somebody else: the engine says in its first turn whether it can be used. */
export class AdoptedStream extends Endpoint implements Origin, Pending {
  readonly accepts = true;
  readonly handshakes = undefined;
  readonly tlsRole = undefined;
  readonly peer = undefined;
  readonly sharedLocalAddress = undefined;
  readonly sharedRemoteAddress = undefined;
  readonly #core: Core;
  readonly #fd: number;
  readonly #settings: StreamSettings;
  #transport: Transport | undefined;
  #handle: Handle = NO_HANDLE;

  constructor(core: Core, fd: number, settings: StreamSettings) {
    super();
    this.#core = core;
    this.#fd = fd;
    this.#settings = settings;
  }

  start(transport: Transport): void {
    this.#transport = transport;
    this.#handle = this.#adopt();
    const oneWay = this.#core.engine.oneWay(this.#handle);
    if (oneWay === "reads") transport.flags |= READ_ONLY | WRITE_ENDED;
    else if (oneWay === "writes") transport.flags |= WRITE_ONLY;
    this.#core.register(this.#handle, this);
    this.#core.members.add(transport);
  }

  get pending(): this {
    return this;
  }

  cancel(): void {
    this.#core.replace(this.#handle, DISCARDED);
    this.#core.engine.close(this.#handle);
  }

  /** The descriptor is ours, and there is no connection for it: it is closed. */
  discard(): void {
    this.#handle = this.#adopt();
    this.#core.register(this.#handle, DISCARDED);
    this.#core.engine.close(this.#handle);
  }

  #adopt(): Handle {
    const { socket, halfOpen, lowWaterMark } = this.#settings;
    return this.#core.engine.adoptStream(this.#fd, { ...socket, halfOpen, lowWaterMark });
  }

  ended(): void {}

  calledOff(): CloseReason {
    return reasons.connectAborted(`descriptor ${this.#fd}`, []);
  }

  override onConnected(handle: Handle): void {
    this.#core.replace(handle, this.#transport as Transport);
    this.#transport?.connected(handle);
  }

  override onClosed(_handle: Handle, _ended: Ended, errno: number, syscall: string): void {
    const error = reasons.attachError(this.#fd, errno, syscall);
    this.#transport?.failed(reasons.connectFailure(`descriptor ${this.#fd}`, [error]));
  }
}
