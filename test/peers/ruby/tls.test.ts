import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { onEveryEngine } from "../../support/harness.js";
import { pkiPath } from "../../support/pki.js";
import { pattern } from "./agent.js";
import { PAIRINGS, play, type Scenario } from "./differential.js";

const SERVER = ["constructor", "postInit"];
const CLIENT = ["constructor", "postInit", "connect returned", "connectionCompleted"];
const SECURED = "sslHandshakeCompleted";
const MiB = 1024 * 1024;
const FOLDER = pkiPath("");

function saw(log: string[], received: string | Uint8Array = "", reason: string | null = null) {
  const bytes = Buffer.from(received as string);
  return { log, bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex"), reason };
}

const REFUSAL = "a server that requires a certificate refuses a client without";

/** Every scenario with what each end sees, whichever library it is on. */
const SCENARIOS: Record<string, Scenario & { sees: { server: object; client: object } }> = {
  "TLS from the first byte, a request, an answer, and the client closes": {
    server: { postInit: [["startTls", "server", FOLDER]], received: { 4: [["send", "pong!"]] } },
    client: {
      postInit: [
        ["startTls", "client", FOLDER],
        ["send", "ping"],
      ],
      received: { 5: [["close"]] },
    },
    sees: {
      server: saw([...SERVER, SECURED, "receiveData", "unbind"], "ping"),
      client: saw([...CLIENT, SECURED, "receiveData", "close returned", "unbind"], "pong!"),
    },
  },
  "TLS begun when the client is connected, 4 MiB to the server": {
    server: { postInit: [["startTls", "server", FOLDER]], received: { [4 * MiB]: [["send", "thanks"]] } },
    client: {
      connectionCompleted: [["startTls", "client", FOLDER]],
      sslHandshakeCompleted: [["sendSize", 4 * MiB]],
      received: { 6: [["close"]] },
    },
    sees: {
      server: saw([...SERVER, SECURED, "receiveData", "unbind"], pattern(4 * MiB)),
      client: saw([...CLIENT, SECURED, "receiveData", "close returned", "unbind"], "thanks"),
    },
  },
  "STARTTLS behind a line in clear": {
    server: {
      received: {
        8: [
          ["send", "go"],
          ["startTls", "server", FOLDER],
        ],
        14: [["send", "secret!"]],
      },
    },
    client: {
      connectionCompleted: [["send", "STARTTLS"]],
      received: {
        2: [
          ["startTls", "client", FOLDER],
          ["send", "secret"],
        ],
        9: [["close"]],
      },
    },
    sees: {
      server: saw([...SERVER, "receiveData", SECURED, "receiveData", "unbind"], "STARTTLSsecret"),
      client: saw([...CLIENT, "receiveData", SECURED, "receiveData", "close returned", "unbind"], "gosecret!"),
    },
  },
  [REFUSAL]: {
    server: { postInit: [["demandTls", FOLDER]] },
    client: { postInit: [["startTls", "client", FOLDER]] },
    sees: {
      server: saw([...SERVER, "unbind"], "", "EPROTO"),
      // With TLS 1.3 the client has finished when it is refused. Ruby neither tells why nor asks.
      client: saw([...CLIENT, SECURED, "unbind"]),
    },
  },
};

onEveryEngine("EventMachine, TLS", (engine) => {
  for (const [name, scenario] of Object.entries(SCENARIOS)) {
    for (const pairing of PAIRINGS) {
      // Ruby with itself says what is expected; once is enough.
      if (pairing.server === "ruby" && pairing.client === "ruby" && engine.name !== "native") continue;
      engine.rule(`${name}: server ${pairing.server}, client ${pairing.client}`, async (trial) => {
        const outcome = await play(trial, pairing, scenario);
        if (name === REFUSAL && pairing.server === "ours" && pairing.client === "ours") {
          assert.equal(outcome.client.reason, "EPROTO");
          outcome.client.reason = null;
        }
        assert.deepEqual(outcome, scenario.sees);
      });
    }
  }
});
