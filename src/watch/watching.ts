import type { AsyncResource } from "node:async_hooks";
import { SystemError } from "../base/system_error.js";
import { Connection } from "../connection/connection.js";
import { attachError } from "../connection/reasons.js";
import type { Core } from "../core/core.js";
import { DISCARDED } from "../core/endpoint.js";
import { State } from "../core/stream_port.js";
import { NO_HANDLE } from "../engine/streams.js";
import { requireCapability } from "../options/required.js";
import { WatchTransport } from "./watch_transport.js";
import type { WatchedDescriptor } from "./watched_descriptor.js";

/** What is watched, and for what. */
export interface WatchTarget {
  /** The descriptor. */
  fd: number;
  /** Whether `notifyReadable` is called from the start. Default false. */
  notifiesReadable?: boolean;
  /** Whether `notifyWritable` is called from the start. Default false. */
  notifiesWritable?: boolean;
}

/** How the object of a watch is made. */
export interface WatchMaker<C extends WatchedDescriptor> {
  make(): C;
  /** Called with the object, after its `postInit`. */
  readonly onConnection: ((connection: C) => unknown) | undefined;
  readonly context: AsyncResource | undefined;
}

/** Begins a watch. What cannot be watched throws before anything is made. */
export function beginWatch<C extends WatchedDescriptor>(
  core: Core,
  options: Required<WatchTarget>,
  maker: WatchMaker<C>,
): C {
  requireCapability(core.engine, "watch");
  const { fd, notifiesReadable: readable, notifiesWritable: writable } = options;
  const handle = core.isAccepting ? begin(core, options) : NO_HANDLE;
  if (handle !== NO_HANDLE) core.register(handle, DISCARDED);
  const watcher = make(core, handle, maker);
  const transport = new WatchTransport({ core, fd, handle, readable, writable, context: maker.context }, watcher);
  Connection.attach(watcher, transport, undefined);
  if (handle === NO_HANDLE) {
    transport.neverBegins();
    return watcher;
  }
  core.replace(handle, transport);
  transport.call(watcher.postInit);
  const { onConnection } = maker;
  if (onConnection !== undefined && transport.state <= State.open) transport.call(onConnection, watcher);
  return watcher;
}

function begin(core: Core, { fd, notifiesReadable: readable, notifiesWritable: writable }: Required<WatchTarget>) {
  try {
    return core.engine.watch(fd, { readable, writable });
  } catch (error) {
    throw error instanceof SystemError ? attachError(fd, error.errno, error.syscall ?? "epoll_ctl") : error;
  }
}

/** What the handler's constructor throws is the caller's, and then there is no watch. */
function make<C extends WatchedDescriptor>(core: Core, handle: number, maker: WatchMaker<C>): C {
  try {
    return maker.make();
  } catch (error) {
    if (handle !== NO_HANDLE) core.engine.close(handle);
    throw error;
  }
}
