import { BlockList } from "node:net";
import { literalAddress, type SocketAddress } from "./addresses.js";
import { describe } from "./describe.js";
import { ArgumentError } from "./errors.js";

const PREFIX = /^(?:0|[1-9]\d{0,2})$/;

/** Addresses and networks, as options name them: `192.0.2.1`, `10.0.0.0/8`, `2001:db8::/32`, and `unix` for every Unix socket. */
export class AddressList {
  readonly #networks = new BlockList();
  #takesUnix = false;

  /** Throws ArgumentError for what is no address and no network, under the option's name. */
  constructor(entries: unknown, option: string) {
    const list: readonly unknown[] = Array.isArray(entries) ? entries : [entries];
    if (list.length === 0) throw new ArgumentError(`${option} must name at least one address or network`);
    for (const entry of list) this.#add(entry, option);
  }

  /** False for an address that is not known. */
  has(address: SocketAddress | undefined): boolean {
    if (address === undefined) return false;
    if (address.family === "unix") return this.#takesUnix;
    const zone = address.host.indexOf("%");
    const host = zone < 0 ? address.host : address.host.slice(0, zone);
    return this.#networks.check(host, address.family === "IPv4" ? "ipv4" : "ipv6");
  }

  #add(entry: unknown, option: string): void {
    if (entry === "unix") {
      this.#takesUnix = true;
      return;
    }
    const [host = "", prefix, ...more] = typeof entry === "string" ? entry.split("/") : [];
    const address = host.includes("%") ? undefined : literalAddress(host, 0);
    const bits = address?.family === "IPv4" ? 32 : 128;
    const length = prefix === undefined ? bits : PREFIX.test(prefix) ? Number(prefix) : Number.NaN;
    if (address === undefined || more.length > 0 || !(length <= bits)) {
      throw new ArgumentError(
        `${option} must have IP addresses, networks such as 10.0.0.0/8, and "unix", not ${describe(entry)}`,
      );
    }
    this.#networks.addSubnet(address.host, length, address.family === "IPv4" ? "ipv4" : "ipv6");
  }
}
