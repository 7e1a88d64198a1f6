import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { Child } from "../../support/child.js";
import { program } from "../../support/paths.js";

const DESCRIPTORS = 64;
/** Those that come: more than it has room for. */
export const PEERS = 80;

export interface Report {
  readonly accepted: number;
  readonly systemCalls: number;
}

/** A server in a process of its own, with room for fewer connections than there are peers. */
export class Starving extends Child {
  peers: Socket[] = [];

  constructor() {
    const server = program(import.meta.url, "./starving_server.js");
    super("sh", ["-c", `ulimit -n ${DESCRIPTORS}; exec "$0" "$1"`, process.execPath, server]);
  }

  report(): Promise<Report> {
    this.say("report");
    return this.json();
  }

  /** All peers have come, and for half a second none was accepted: the two reports around it, and how long it took. */
  async starve(): Promise<{ before: Report; after: Report; waited: number }> {
    const port = Number(await this.line());
    this.peers = Array.from({ length: PEERS }, () => connect({ port, host: "127.0.0.1" }));
    await Promise.all(this.peers.map((peer) => once(peer, "connect")));
    let after = await this.report();
    for (;;) {
      const before = after;
      const begun = performance.now();
      await new Promise((resolve) => setTimeout(resolve, 500));
      after = await this.report();
      if (after.accepted === before.accepted) return { before, after, waited: performance.now() - begun };
    }
  }

  /** Half of the peers leave; accepting goes on until the last has been served. */
  async recover(): Promise<void> {
    for (const peer of this.peers.slice(0, PEERS / 2)) peer.destroy();
    while ((await this.report()).accepted < PEERS);
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.peers) peer.destroy();
    await super[Symbol.asyncDispose]();
  }
}
