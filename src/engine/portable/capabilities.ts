import cluster from "node:cluster";
import type { Capability } from "../capabilities.js";

/** Before Node 22.12 `reusePort` is silently ignored. */
function hasReusePort(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  return major > 22 || (major === 22 && minor >= 12);
}

/** What this runtime's node:net, node:tls and node:dgram can do. */
export function findCapabilities(): Set<Capability> {
  const found = new Set<Capability>(["tls", "datagrams"]);
  if (process.platform !== "win32") {
    found.add("adoptStream");
    // In a cluster worker node:net would ask the primary to listen on its descriptor of that number.
    if (!cluster.isWorker) found.add("adoptListener");
  }
  if (hasReusePort()) found.add("reusePort");
  return found;
}
