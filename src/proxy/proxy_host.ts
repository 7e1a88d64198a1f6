import type { Connection } from "../connection/connection.js";
import type { Resolver } from "../dns/resolver.js";
import type { ConnectAddress, ServerAddress } from "../options/options.js";
import type { Listener } from "../server/listener.js";
import type { Timer } from "../timers/timer.js";

/** What a proxy needs of the reactor it runs on. */
export interface ProxyHost {
  readonly resolver: Resolver;
  startServer<A extends unknown[], C extends Connection>(
    address: ServerAddress,
    handler: new (...args: A) => C,
    ...args: A
  ): Promise<Listener>;
  connect<A extends unknown[], C extends Connection>(
    address: ConnectAddress,
    handler: new (...args: A) => C,
    ...args: A
  ): C;
  addTimer(delay: number, callback: () => unknown): Timer;
  now(): number;
}
