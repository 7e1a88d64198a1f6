import assert from "node:assert/strict";
import { existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { onEveryEngine } from "../support/harness.js";

/** Files that the kernel makes while they are read, and says nothing of the size of; those that do not change. */
const FILES = ["/proc/version", "/proc/filesystems", "/proc/cmdline", "/sys/class/net/lo/mtu"].filter((path) =>
  existsSync(path),
);

onEveryEngine("files whose size the kernel does not know", (engine) => {
  engine.ruleOnEach("are sent to their end, in their place", async (trial) => {
    assert.ok(FILES.length > 1);
    for (const path of FILES) {
      const content = readFileSync(path, "latin1");
      const { client, server } = await trial.pair();
      client.sendData("<");
      const sent = client.sendFileData(path);
      client.sendData(">");
      assert.equal(await sent, content.length, path);
      client.closeConnectionAfterWriting();
      await trial.allUnbound();
      assert.equal(server.received.toString("latin1"), `<${content}>`, path);
    }
  });

  engine.rule("are framed as a chunk", async (trial) => {
    for (const path of FILES) {
      const content = readFileSync(path, "latin1");
      const { client, server } = await trial.pair();
      assert.equal(await client.streamFileData(path, { httpChunks: true }), content.length);
      client.closeConnectionAfterWriting();
      await trial.allUnbound();
      const head = content.length === 0 ? "" : `${content.length.toString(16)}\r\n${content}\r\n`;
      assert.equal(server.received.toString("latin1"), `${head}0\r\n\r\n`, path);
    }
  });

  engine.rule("without an end are refused", async (trial) => {
    const { client } = await trial.pair();
    await assert.rejects(client.sendFileData("/proc/self/pagemap"), {
      code: "ERR_EM_FILE_TOO_LONG",
      limit: 16 * 1024 * 1024,
    });
    client.closeConnection();
  });

  engine.rule("that cannot be read are the system's error", async (trial) => {
    const { client } = await trial.pair();
    await assert.rejects(client.sendFileData("/proc/self/mem"), { code: "EIO", syscall: "read" });
    client.closeConnection();
  });

  engine.rule("an empty file, and one of holes alone, are sent as they are", async (trial) => {
    const empty = trial.path("empty");
    writeFileSync(empty, "");
    for (const size of [0, 1, 4_096, 70_000, 3_000_000]) {
      truncateSync(empty, size);
      const { client, server } = await trial.pair();
      assert.equal(await client.sendFileData(empty), size);
      client.closeConnectionAfterWriting();
      await trial.allUnbound();
      assert.deepEqual(server.received, Buffer.alloc(size));
    }
  });
});
