import { readdirSync, readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";

/**
 * A host as node:net takes it: libuv reads zones as names of interfaces alone. A number that no interface has stays, and the
 * kernel refuses it where the zone matters.
 */
export function withNamedZone(host: string): string {
  const at = host.indexOf("%");
  const zone = at < 0 ? "" : host.slice(at + 1);
  return /^\d+$/.test(zone) ? `${host.slice(0, at)}%${interfaceName(Number(zone)) ?? zone}` : host;
}

function interfaceName(index: number): string | undefined {
  for (const [name, addresses = []] of Object.entries(networkInterfaces())) {
    if (addresses.some((each) => each.family === "IPv6" && each.scopeid === index)) return name;
  }
  return interfaceOfLinux(index);
}

/** One without a link-local address, such as lo. */
function interfaceOfLinux(index: number): string | undefined {
  try {
    const all = readdirSync("/sys/class/net");
    return all.find((name) => Number(readFileSync(`/sys/class/net/${name}/ifindex`, "latin1")) === index);
  } catch {
    return undefined;
  }
}
