import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { pattern, sameBytes } from "../support/bytes.js";
import { Child } from "../support/child.js";
import { onEveryEngine } from "../support/harness.js";
import { AUTHORITY } from "../support/pki.js";

/** Clients with little memory ask for small records (RFC 6066 section 4): mbedTLS and wolfSSL do. */
const SIZES = [512, 1024, 2048, 4096];
const FILE = 150_000;
/** From less than the smallest record to more than the kernel takes at once. */
const WRITES = [1, 511, 512, 513, 5_000, 16_384, 16_385, 700_000];
const WRITTEN = WRITES.reduce((sum, size) => sum + size, 0);

onEveryEngine("small records", (engine) => {
  for (const version of ["-tls1_2", "-tls1_3"]) {
    for (const size of SIZES) {
      engine.rule(
        `a client that negotiates ${size} bytes gets writes and files whole, ${version.slice(1)}`,
        async (trial) => {
          const path = trial.path("file");
          writeFileSync(path, pattern(FILE, WRITTEN));
          const total = WRITTEN + FILE + 700;
          const served = await trial.over("tls").serve({
            sslHandshakeCompleted: async (me) => {
              let at = 0;
              for (const each of WRITES) {
                me.sendData(pattern(each, at));
                at += each;
                // Each leaves by itself, and the last two at once.
                if (at < WRITTEN) await trial.until(() => me.outboundSize === 0, "a write is sent");
              }
              const sent = me.sendFileData(path);
              // Many pieces of one turn share records.
              for (let n = 0; n < 7; n++) me.sendData(pattern(100, WRITTEN + FILE + n * 100));
              await sent;
              me.closeConnectionAfterWriting();
            },
          });
          const { port } = served.at as { port: number };
          const args = [
            "-connect",
            `127.0.0.1:${port}`,
            "-CAfile",
            AUTHORITY,
            "-quiet",
            version,
            "-maxfraglen",
            `${size}`,
          ];
          await using client = new Child("openssl", ["s_client", ...args]);
          const parts: Buffer[] = [];
          client.process.stdout?.on("data", (part: Buffer) => parts.push(part));
          const server = await served.peer();
          await trial.allUnbound(server);
          assert.equal(server.reason?.kind, "local-close");
          await client.exit;
          sameBytes(Buffer.concat(parts), pattern(total));
          assert.equal(trial.reactor.stats().bytesOut, total);
        },
      );
    }
  }
});
