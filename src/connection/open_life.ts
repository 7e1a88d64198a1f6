import type { AsyncResource } from "node:async_hooks";
import type { CloseReason } from "../base/close_reason.js";
import type { StateError } from "../base/errors.js";
import { SystemError } from "../base/system_error.js";
import type { ConnectionCallbacks } from "../core/connection_callbacks.js";
import type { Core } from "../core/core.js";
import { State } from "../core/stream_port.js";
import type { Engine } from "../engine/engine.js";
import type { Handle } from "../engine/streams.js";
import type { StreamSettings } from "../options/options.js";
import type { Timer, TimerCallback } from "../timers/timer.js";
import { type AnyLife, Life, type Relaying } from "./life.js";
import { LifePromises } from "./life_promises.js";
import { LifeTimers } from "./life_timers.js";
import type { PassingEvents } from "./passing.js";
import type { ProxyOptions } from "./proxying.js";
import * as reasons from "./reasons.js";

/** What an open life is carried by. */
export interface OpenOrigin {
  readonly core: Core;
  readonly handle: Handle;
  readonly settings: StreamSettings;
  readonly context: AsyncResource | undefined;
}

/** What the lives of a datagram socket and of a watch have in common: the engine has them open from the start, and they are no streams. */
export abstract class OpenLife extends Life {
  readonly isStream = false;
  readonly tls = undefined;
  readonly via = undefined;
  readonly wasOpened = true;
  protected readonly owner: Core;
  #promises: LifePromises | undefined;
  #timers: LifeTimers | undefined;

  constructor(origin: OpenOrigin, connection: ConnectionCallbacks) {
    super(origin.core, connection, origin.context, origin.settings);
    this.owner = origin.core;
    this.handle = origin.handle;
    this.state = State.open;
  }

  /** What is thrown by a call that only a stream can answer. */
  abstract notAStream(method: string): StateError;

  override get engine(): Engine {
    return this.owner.engine;
  }

  opened(): Promise<void> {
    return this.#promised().opened;
  }

  closed(): Promise<CloseReason> {
    return this.#promised().closed;
  }

  #promised(): LifePromises {
    this.#promises ??= new LifePromises(this);
    return this.#promises;
  }

  // What carries no bytes has none to pass on.

  get relaying(): Relaying | undefined {
    throw this.notAStream("a relay");
  }

  checkPass(_target: AnyLife, _options: ProxyOptions): void {
    throw this.notAStream("a relay");
  }

  pass(_target: AnyLife, _options: ProxyOptions, _events: PassingEvents): Relaying {
    throw this.notAStream("a relay");
  }

  close(): void {
    this.end(reasons.LOCAL_CLOSE);
  }

  abort(): void {
    this.end(reasons.LOCAL_ABORT);
  }

  /** The end has come: tells who waits for it, and the user. `told` is called in between. */
  protected unbound(reason: CloseReason, told?: () => void): void {
    this.state = State.closed;
    this.reason = reason;
    this.#timers?.cancel();
    this.#promises?.onEnded(reason);
    told?.();
    this.call(this.receiver.unbind, reason);
    this.#promises?.onUnbound(reason);
  }

  set(action: () => void): void {
    action();
  }

  socketError(): SystemError | undefined {
    const { reason } = this;
    const error = reason !== undefined && "error" in reason ? reason.error : undefined;
    return error instanceof SystemError ? error : undefined;
  }

  addTimer(delay: number, callback: TimerCallback): Timer {
    this.#timers ??= new LifeTimers(this.owner.timers);
    return this.#timers.add(this.owner.now() + delay, () => void this.call(callback));
  }
}
