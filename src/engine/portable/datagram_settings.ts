import type { Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import { UnsupportedError } from "../../base/errors.js";
import { SystemError } from "../../base/system_error.js";
import type { Capability } from "../capabilities.js";
import type { DatagramOptions, DatagramSettings, Membership } from "../datagrams.js";
import { errnoOf } from "../node/errno.js";
import { withNamedZone } from "./zones.js";

const NEEDS = [
  ["reusePort", ({ reusePort }) => reusePort],
  ["packetInfo", ({ packetInfo }) => packetInfo],
  ["trafficInfo", ({ trafficInfo }) => trafficInfo],
  ["mtuDiscovery", ({ mtuDiscovery }) => mtuDiscovery !== undefined],
] as const satisfies readonly (readonly [Capability, (options: DatagramOptions) => boolean])[];

/** Throws for the first option that node:dgram has no name for. */
export function checkDatagramOptions(options: DatagramOptions, capabilities: ReadonlySet<Capability>): void {
  for (const [capability, isAsked] of NEEDS) {
    if (isAsked(options) && !capabilities.has(capability)) throw new UnsupportedError(capability, "portable");
  }
}

/** Joins or leaves a group. */
export function setMembership(socket: Socket, { group, interface: from, source }: Membership, joins: boolean): void {
  const device = deviceFor(group, from);
  asSystemError("setsockopt", () => {
    if (source === undefined) {
      if (joins) socket.addMembership(group, device);
      else socket.dropMembership(group, device);
    } else if (joins) socket.addSourceSpecificMembership(source, group, device);
    else socket.dropSourceSpecificMembership(source, group, device);
  });
}

export function applySettings(socket: Socket, settings: DatagramSettings): void {
  const { broadcast, ttl, multicastTtl, multicastLoop, multicastInterface } = settings;
  asSystemError("setsockopt", () => {
    if (broadcast !== undefined) socket.setBroadcast(broadcast);
    if (ttl !== undefined) socket.setTTL(ttl);
    if (multicastTtl !== undefined) socket.setMulticastTTL(multicastTtl);
    if (multicastLoop !== undefined) socket.setMulticastLoopback(multicastLoop);
    if (multicastInterface !== undefined) socket.setMulticastInterface(device(multicastInterface));
  });
}

function deviceFor(group: string, from: string | undefined): string | undefined {
  return from === undefined ? undefined : isIPv6(group) ? device(from) : from;
}

/** An interface as node:dgram takes it: an IPv4 address, or `::%name`. */
function device(from: string): string {
  return /[.:]/.test(from) ? withNamedZone(from) : withNamedZone(`::%${from}`);
}

/** Node's own errors of these calls have the system's numbers. */
function asSystemError(syscall: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    const failure = error as NodeJS.ErrnoException;
    throw new SystemError(errnoOf(failure), syscall, { cause: error });
  }
}
