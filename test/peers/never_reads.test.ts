import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { Child } from "../support/child.js";
import { onEveryEngine } from "../support/harness.js";
import { program } from "../support/paths.js";
import { RawPeer } from "../support/raw_peer.js";
import { until, within } from "../support/wait.js";

const KiB = 1024;
const MiB = 1024 * KiB;
const CROWD = 1_000;
const names = Array.from({ length: CROWD }, (_, at) => `peer ${at}`);
/** The kernel's own buffers kept small, so that the output waits in the process. */
const SMALL = { receiveBuffer: 4_096, segment: 536 };
/** What the process may grow by beyond its stated limits: connections, code, and a heap between two collections. */
const SLACK = 96 * MiB;

interface Figures {
  accepted: number;
  connections: number;
  closed: Record<string, number>;
  peak: number;
}

onEveryEngine("peers that never read", (engine) => {
  function produce(options: { rude: boolean; outboundLimit: number; reactorLimit: number }): Child {
    const path = program(import.meta.url, "./programs/producer.js");
    return new Child(process.execPath, [path, engine.name, JSON.stringify(options)]);
  }

  async function figures(server: Child): Promise<Figures> {
    server.say("figures");
    return server.json<Figures>();
  }

  /** Another connection is answered while they stall. */
  async function answers(port: number): Promise<void> {
    const socket = connect({ host: "127.0.0.1", port });
    try {
      for (let round = 0; round < 20; round++) {
        const echoed = new Promise<void>((resolve, reject) => {
          socket.once("data", () => resolve());
          socket.once("error", reject);
        });
        socket.write("still there?");
        await within(echoed, "an echo beside the stalled connections", 10_000);
      }
    } finally {
      socket.destroy();
    }
  }

  test("one: a producer that listens stays at the high-water mark", async () => {
    await using server = produce({ rude: false, outboundLimit: 16 * MiB, reactorLimit: 512 * MiB });
    const { port, echoPort } = await server.json<{ port: number; echoPort: number }>();
    await using peer = new RawPeer();
    await peer.connect({ port }, SMALL);
    await until(async () => (await figures(server)).peak > 0, "it sends");
    await answers(echoPort);
    const { peak, closed } = await figures(server);
    assert.ok(peak >= 64 * KiB && peak <= 80 * KiB, `${peak} bytes waited`);
    assert.deepEqual(closed["outbound-limit"], undefined);
  });

  test("one: a producer that does not is cut off at the outbound limit", async () => {
    await using server = produce({ rude: true, outboundLimit: 2 * MiB, reactorLimit: 512 * MiB });
    const { port, echoPort } = await server.json<{ port: number; echoPort: number }>();
    await using peer = new RawPeer();
    await peer.connect({ port }, SMALL);
    await until(async () => (await figures(server)).closed["outbound-limit"] === 1, "it is cut off");
    const { peak } = await figures(server);
    assert.ok(peak >= 2 * MiB - 16 * KiB && peak <= 2 * MiB + 32 * KiB, `${peak} bytes waited`);
    await answers(echoPort);
  });

  test("a thousand, with a producer that does not listen: each is cut off, and memory stays within the limits", async () => {
    const outboundLimit = 128 * KiB;
    await using server = produce({ rude: true, outboundLimit, reactorLimit: 512 * MiB });
    const { port, echoPort } = await server.json<{ port: number; echoPort: number }>();
    await answers(echoPort);
    const before = server.memory();
    let most = 0;
    await using peer = new RawPeer();
    const connected = peer.connect({ port }, { ...SMALL, names });
    await until(async () => {
      most = Math.max(most, server.memory());
      return (await figures(server)).closed["outbound-limit"] === CROWD;
    }, "all are cut off");
    await connected;
    await answers(echoPort);
    const grown = most - before;
    assert.ok(grown < CROWD * (outboundLimit + 32 * KiB) + SLACK, `the process grew by ${Math.round(grown / MiB)} MiB`);
  });

  test("a thousand under the reactor's limit: the largest queues go, the others and newcomers are served", async () => {
    const reactorLimit = 16 * MiB;
    await using server = produce({ rude: false, outboundLimit: 16 * MiB, reactorLimit });
    const { port, echoPort } = await server.json<{ port: number; echoPort: number }>();
    await answers(echoPort);
    const before = server.memory();
    await using peer = new RawPeer();
    await peer.connect({ port }, { ...SMALL, names });
    let most = 0;
    await until(async () => {
      most = Math.max(most, server.memory());
      return (await figures(server)).accepted >= CROWD;
    }, "all are accepted");
    await answers(echoPort);
    const { connections, closed, peak } = await figures(server);
    const cut = closed["outbound-limit"] ?? 0;
    assert.ok(cut > 0, "a thousand full queues are more than the reactor takes");
    // Each that is left holds up to its high-water mark, and all together no more than the limit and one block.
    assert.ok(connections >= 100, `${connections} are left`);
    assert.ok(peak <= 80 * KiB);
    const grown = Math.max(most, server.memory()) - before;
    assert.ok(grown < 2 * reactorLimit + SLACK, `the process grew by ${Math.round(grown / MiB)} MiB`);
  });
});
