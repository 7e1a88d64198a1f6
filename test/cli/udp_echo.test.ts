import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { engineInfo } from "eventmachine";
import { Child } from "../support/child.js";
import { within } from "../support/wait.js";
import { ENGINES, eventmachine } from "./command.js";

for (const engine of ENGINES) {
  const options = ["--listen", "127.0.0.1:0", "--engine", engine];
  const lacks = engineInfo(engine as "native" | "portable").lacks.some(({ capability }) => capability === "datagrams");
  if (lacks) {
    test(`${engine}: udp-echo is refused where the engine has no datagrams`, async () => {
      await using program = eventmachine(["udp-echo", ...options]);
      assert.equal(await program.exit(), 1);
      assert.match(program.stderr, /cannot do this: datagrams/);
    });
    continue;
  }

  test(`${engine}: udp-echo answers node:dgram, every size, and ends by SIGTERM`, async () => {
    await using program = eventmachine(["udp-echo", ...options]);
    const { host, port } = await program.address();
    const client = createSocket("udp4");
    try {
      for (const size of [1, 0, 9000]) {
        client.send(Buffer.alloc(size, "x"), port, host);
        const [data] = (await within(once(client, "message"), `the answer of ${size} bytes`)) as [Buffer];
        assert.equal(data.length, size);
      }
    } finally {
      client.close();
    }
    program.signal("SIGTERM");
    assert.equal(await program.exit(), 0);
    assert.equal(program.stderr, "");
  });

  test(`${engine}: udp-echo answers nc -u`, async () => {
    await using program = eventmachine(["udp-echo", ...options]);
    const { port } = await program.address();
    await using nc = new Child("nc", ["-u", "127.0.0.1", String(port)]);
    nc.say("one");
    assert.equal(await nc.line(), "one");
    nc.say("two");
    assert.equal(await nc.line(), "two");
  });
}
