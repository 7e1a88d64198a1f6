import { formatAddress, Reactor, type SocketAddress } from "../index.js";
import type { EngineChoice } from "./arguments.js";

/** A listener, or what serves without one. */
export interface Served {
  readonly addresses: readonly SocketAddress[];
}

/**
 * Runs a reactor until SIGTERM or SIGINT, and drains it then. `start` opens the servers; each address they accept on is
 * announced on standard output.
 */
export async function serve(
  engine: EngineChoice,
  start: (reactor: Reactor) => Promise<readonly Served[]>,
  announce: (address: SocketAddress, listener: number) => void = (address) => {
    console.log(`listening on ${formatAddress(address)}`);
  },
): Promise<Reactor> {
  const reactor = new Reactor({ engine });
  await reactor.run(
    async () => {
      const listeners = await start(reactor);
      listeners.forEach((listener, index) => {
        for (const address of listener.addresses) announce(address, index);
      });
    },
    { signals: true },
  );
  return reactor;
}
