import { describe } from "../base/describe.js";
import { ArgumentError } from "../base/errors.js";
import { Deferrable } from "../toolbox/deferrable.js";
import { reactor } from "./default_reactor.js";

/**
 * EventMachine's module of class methods, over `reactor().resolver`: what `connect` asks, and asks once for all. New programs use that, which
 * gives promises.
 */
class DnsResolver {
  /**
   * The addresses of a host, best first: callbacks get them, errbacks the error, in a turn of the reactor. Throws ArgumentError for what is no
   * text. (EM::DNS::Resolver.resolve, which asked for IPv4 alone.)
   */
  resolve(host: string): Deferrable<readonly string[], unknown> {
    if (typeof host !== "string") throw new ArgumentError(`host must be a string, not ${describe(host)}`);
    const owner = reactor();
    const found = new Deferrable<readonly string[], unknown>();
    const settle = (action: () => void): void => {
      // The program may have settled it by itself, a timeout say.
      const turn = (): void => {
        if (found.status === "unknown") action();
      };
      if (owner.hasTurns) owner.ownTick(turn);
      else turn();
    };
    owner.resolver
      .resolve(host)
      .then(
        (addresses) => settle(() => found.succeed(addresses)),
        (error: unknown) => settle(() => found.fail(error)),
      )
      .catch((error: unknown) => owner.operationFailed(error));
    return found;
  }

  /** The name servers in the order they are asked. (nameservers, nameservers=.) */
  get nameservers(): readonly string[] {
    return reactor().resolver.nameservers;
  }

  set nameservers(servers: readonly string[]) {
    reactor().resolver.nameservers = servers;
  }

  /** The one that is asked first; undefined where the system has none. (nameserver, which was one of them by chance.) */
  get nameserver(): string | undefined {
    return this.nameservers[0];
  }

  /** The hosts file, addresses by name. (hosts.) */
  hosts(): Promise<ReadonlyMap<string, readonly string[]>> {
    return reactor().resolver.hosts();
  }
}

/** The module EM::DNS, for programs that come from there. */
export const DNS: { readonly Resolver: DnsResolver } = { Resolver: new DnsResolver() };
