import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { onEveryEngine } from "../../support/harness.js";
import { RawPeer } from "../../support/raw_peer.js";
import { pattern, type Script } from "./agent.js";
import { PAIRINGS, play, playClient, type Scenario, startServer } from "./differential.js";

const SERVER = ["constructor", "postInit"];
const CLIENT = ["constructor", "postInit", "connect returned", "connectionCompleted"];
const MiB = 1024 * 1024;

function digest(bytes: string | Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function saw(log: string[], received: string | Uint8Array = "", reason: string | null = null) {
  const bytes = Buffer.from(received as string);
  return { log, bytes: bytes.length, sha256: digest(bytes), reason };
}

/** Every scenario with what each end sees, whichever library it is on. */
const SCENARIOS: Record<string, Scenario & { sees: { server: object; client: object } }> = {
  "a request, an answer, and the client closes": {
    server: { received: { 4: [["send", "pong!"]] } },
    client: { connectionCompleted: [["send", "ping"]], received: { 5: [["close"]] } },
    sees: {
      server: saw([...SERVER, "receiveData", "unbind"], "ping"),
      client: saw([...CLIENT, "receiveData", "close returned", "unbind"], "pong!"),
    },
  },
  "what a client sends before it is connected is queued": {
    server: { received: { 10: [["close"]] } },
    client: { postInit: [["send", "early"]], connectionCompleted: [["send", "later"]] },
    sees: {
      server: saw([...SERVER, "receiveData", "close returned", "unbind"], "earlylater"),
      client: saw([...CLIENT, "unbind"]),
    },
  },
  "a server that greets and closes after writing": {
    server: { postInit: [["send", "hello and good bye"], ["closeAfterWriting"]] },
    client: {},
    sees: {
      server: saw([...SERVER, "close returned", "unbind"]),
      client: saw([...CLIENT, "receiveData", "unbind"], "hello and good bye"),
    },
  },
  "8 MiB and a close after writing": {
    server: { postInit: [["sendSize", 8 * MiB], ["closeAfterWriting"]] },
    client: {},
    sees: {
      server: saw([...SERVER, "close returned", "unbind"]),
      client: saw([...CLIENT, "receiveData", "unbind"], pattern(8 * MiB)),
    },
  },
  "8 MiB from a client that closes after writing": {
    server: {},
    client: { postInit: [["sendSize", 8 * MiB], ["closeAfterWriting"]] },
    sees: {
      server: saw([...SERVER, "receiveData", "unbind"], pattern(8 * MiB)),
      client: saw(["constructor", "postInit", "close returned", "connect returned", "connectionCompleted", "unbind"]),
    },
  },
  "a server that is silent for too long is closed by its inactivity timeout": {
    server: { postInit: [["inactivityTimeout", 300]] },
    client: {},
    sees: { server: saw([...SERVER, "unbind"], "", "ETIMEDOUT"), client: saw([...CLIENT, "unbind"]) },
  },
  "a client's inactivity timeout, after some traffic": {
    server: { received: { 3: [["send", "yes"]] } },
    client: {
      connectionCompleted: [
        ["inactivityTimeout", 300],
        ["send", "hey"],
      ],
    },
    sees: {
      server: saw([...SERVER, "receiveData", "unbind"], "hey"),
      client: saw([...CLIENT, "receiveData", "unbind"], "yes", "ETIMEDOUT"),
    },
  },
  "a server that pauses from the start gets everything when it goes on": {
    server: { postInit: [["pauseFor", 300]] },
    client: { postInit: [["sendSize", 300_000]], connectionCompleted: [["closeAfterWriting"]] },
    sees: {
      server: saw([...SERVER, "resume", "receiveData", "unbind"], pattern(300_000)),
      client: saw([...CLIENT, "close returned", "unbind"]),
    },
  },
  "a server that pauses inside receiveData gets no more until it goes on": {
    server: { received: { 1: [["pauseFor", 300]], 400000: [["close"]] } },
    client: { postInit: [["sendSize", 400_000]] },
    sees: {
      server: saw([...SERVER, "receiveData", "resume", "receiveData", "close returned", "unbind"], pattern(400_000)),
      client: saw([...CLIENT, "unbind"]),
    },
  },
};

onEveryEngine("beside Ruby's EventMachine", (engine) => {
  for (const [name, scenario] of Object.entries(SCENARIOS)) {
    for (const pairing of PAIRINGS) {
      // Ruby with itself says what is expected; once is enough.
      if (pairing.server === "ruby" && pairing.client === "ruby" && engine.name !== "native") continue;
      engine.rule(`${name}: server ${pairing.server}, client ${pairing.client}`, async (trial) => {
        assert.deepEqual(await play(trial, pairing, scenario), scenario.sees);
      });
    }
  }

  for (const side of ["ruby", "ours"] as const) {
    engine.rule(`a refused connect: ${side}`, async (trial) => {
      const account = await playClient(trial, side, await trial.deadPort(), { postInit: [["send", "into the void"]] });
      assert.deepEqual(account, saw(["constructor", "postInit", "connect returned", "unbind"], "", "ECONNREFUSED"));
    });

    engine.rule(`a peer's reset: ${side} as the server`, async (trial) => {
      await using server = await startServer(trial, side, { received: { 4: [["send", "seen"]] } });
      await using peer = new RawPeer();
      await peer.connect({ port: server.port });
      await peer.send("data");
      await peer.receive(4);
      await peer.reset();
      assert.deepEqual(await server.account(), saw([...SERVER, "receiveData", "unbind"], "data", "ECONNRESET"));
    });

    engine.rule(`a peer's reset: ${side} as the client`, async (trial) => {
      await using peer = new RawPeer();
      const { port } = await peer.listen();
      const script: Script = { connectionCompleted: [["send", "data"]] };
      const account = playClient(trial, side, port, script);
      await peer.accept();
      await peer.receive(4);
      await peer.reset();
      assert.deepEqual(await account, saw([...CLIENT, "unbind"], "", "ECONNRESET"));
    });
  }

  // Where the two part on purpose: Ruby drops what is queued when the peer's FIN comes.
  engine.rule("the whole answer goes to a peer that has sent its FIN: ours", async (trial) => {
    await using server = await startServer(trial, "ours", { received: { 3: [["sendSize", 8 * MiB]] } });
    await using peer = new RawPeer();
    await peer.connect({ port: server.port });
    await peer.sendWithFin("all");
    const answer = await peer.receive();
    assert.deepEqual({ sha256: answer.sha256, end: answer.end }, { sha256: digest(pattern(8 * MiB)), end: "fin" });
    assert.deepEqual(await server.account(), saw([...SERVER, "receiveData", "unbind"], "all"));
  });
});
