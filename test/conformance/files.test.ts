import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, ftruncateSync, openSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { PatternCheck, pattern, sameBytes } from "../support/bytes.js";
import { onEveryEngine } from "../support/harness.js";
import type { Trial } from "../support/trial.js";

const KiB = 1024;
const SIZES = [0, 1, 4096, 64 * KiB, 64 * KiB + 1, 5 * KiB * KiB];

function file(trial: Trial, size: number, from = 0): string {
  const path = trial.path();
  writeFileSync(path, pattern(size, from));
  return path;
}

/** A large file that takes no room on the disk. */
function sparseFile(trial: Trial, size: number): string {
  const path = trial.path();
  const fd = openSync(path, "w");
  ftruncateSync(fd, size);
  closeSync(fd);
  return path;
}

onEveryEngine("files", (engine) => {
  engine.ruleOnEach("sendFileData sends files of any size whole", async (trial) => {
    for (const size of SIZES) {
      const path = file(trial, size);
      const { client, server } = await trial.pair();
      assert.equal(await server.sendFileData(path), size);
      server.closeConnectionAfterWriting();
      await trial.allUnbound();
      sameBytes(client.received, pattern(size), `${size} bytes`);
    }
  });

  engine.ruleOnEach("a file keeps its place among what is sent before and behind it", async (trial) => {
    const first = file(trial, 200_000);
    const second = file(trial, 3, 7);
    const third = file(trial, 0);
    const fourth = file(trial, 100_000, 99);
    const { client, server } = await trial.pair();
    server.sendData("head ");
    const sent = [server.sendFileData(first)];
    server.sendData(" between ");
    sent.push(server.sendFileData(second), server.sendFileData(third));
    server.sendData(" and ");
    sent.push(server.sendFileData(fourth));
    server.sendData(" tail");
    server.closeConnectionAfterWriting();
    assert.deepEqual(await Promise.all(sent), [200_000, 3, 0, 100_000]);
    await trial.allUnbound();
    const expected = [
      Buffer.from("head "),
      pattern(200_000),
      Buffer.from(" between "),
      pattern(3, 7),
      Buffer.from(" and "),
      pattern(100_000, 99),
      Buffer.from(" tail"),
    ];
    sameBytes(client.received, Buffer.concat(expected));
  });

  engine.ruleOnEach("a file goes behind output that is still unsent", async (trial) => {
    const path = file(trial, 100_000, 4_000_000);
    const check = new PatternCheck();
    const { client, server } = await trial.pair({
      client: { keep: false, receiveData: (_, data) => check.take(data) },
    });
    client.pause();
    server.sendData(pattern(4_000_000));
    const sent = server.sendFileData(path);
    server.sendData(pattern(10, 4_100_000));
    await trial.settle();
    client.resume();
    assert.equal(await sent, 100_000);
    await trial.until(() => check.count === 4_100_010, "all of it, in order");
  });

  engine.ruleOnStreams("streamFileData frames a file as HTTP chunks", async (trial) => {
    for (const size of SIZES) {
      const path = file(trial, size);
      const { client, server } = await trial.pair();
      assert.equal(await server.streamFileData(path, { httpChunks: true }), size);
      server.closeConnectionAfterWriting();
      await trial.allUnbound();
      const chunk = size === 0 ? [] : [Buffer.from(`${size.toString(16)}\r\n`), pattern(size), Buffer.from("\r\n")];
      sameBytes(client.received, Buffer.concat([...chunk, Buffer.from("0\r\n\r\n")]), `${size} bytes in chunks`);
    }
  });

  engine.ruleOnStreams("a file sent before the connection is open is queued", async (trial) => {
    const path = file(trial, 100_000);
    const served = await trial.serve();
    let sent: Promise<number> | undefined;
    trial.dial(served, {
      postInit: (me) => {
        me.sendData("before ");
        sent = me.sendFileData(path);
        me.sendData(" behind");
      },
    });
    const server = await served.peer();
    assert.equal(await sent, 100_000);
    await trial.until(() => server.bytes === 100_014, "all of it");
    sameBytes(server.received, Buffer.concat([Buffer.from("before "), pattern(100_000), Buffer.from(" behind")]));
  });

  engine.ruleOnStreams("a file may be removed as soon as it is queued", async (trial) => {
    const path = file(trial, 1_000_000);
    const { client, server } = await trial.pair();
    const sent = server.sendFileData(path);
    unlinkSync(path);
    await sent;
    await trial.until(() => client.bytes === 1_000_000, "all of it");
    sameBytes(client.received, pattern(1_000_000));
  });

  engine.ruleOnStreams(
    "what cannot be opened rejects with the system's error, and the connection lives",
    async (trial) => {
      const { server } = await trial.pair();
      const missing = trial.path("missing");
      await assert.rejects(server.sendFileData(missing), {
        name: "EventMachineError",
        code: "ENOENT",
        syscall: "open",
        address: missing,
      });
      await assert.rejects(server.sendFileData(trial.path(".")), { code: "ERR_EM_NOT_A_FILE" });
      for (const path of ["", "with\0nul", undefined, 7, null]) {
        await assert.rejects(server.sendFileData(path as string), { name: "ArgumentError" });
      }
      assert.equal(server.state, "open");
    },
  );

  engine.ruleOnStreams("on a connection that takes no more output it rejects", async (trial) => {
    const path = file(trial, 10);
    const { client, server } = await trial.pair({ listen: { allowHalfOpen: true } });
    server.halfClose();
    await assert.rejects(server.sendFileData(path), { name: "StateError" });
    client.closeConnection();
    await assert.rejects(client.sendFileData(path), { name: "StateError", code: "ERR_EM_CLOSED" });
    await trial.allUnbound();
    await assert.rejects(client.sendFileData(path), { code: "ERR_EM_CLOSED" });
  });

  engine.ruleOnStreams("what is no regular file is refused, and a FIFO holds nobody up", async (trial) => {
    const { client } = await trial.pair();
    const fifo = trial.path();
    execFileSync("mkfifo", [fifo]);
    await assert.rejects(client.sendFileData(fifo), { code: "ERR_EM_NOT_A_FILE" });
    await assert.rejects(client.sendFileData("/dev/zero"), { code: "ERR_EM_NOT_A_FILE" });
    await assert.rejects(client.sendFileData("/"), { code: "ERR_EM_NOT_A_FILE" });
    assert.equal(client.state, "open");
  });

  engine.ruleOnEach("a file that shrinks ends the connection with its own reason", async (trial) => {
    const path = sparseFile(trial, 64_000_000);
    const { client, server } = await trial.pair({ client: { keep: false } });
    client.pause();
    const sent = server.sendFileData(path);
    await trial.settle();
    truncateSync(path, 100);
    client.resume();
    await assert.rejects(sent, { name: "EventMachineError", code: "ERR_EM_CLOSED" });
    await trial.allUnbound();
    assert.equal(server.kind, "file-truncated");
    assert.equal((server.reason as { error: { code: string } }).error.code, "ERR_EM_FILE_TRUNCATED");
    assert.ok(client.bytes < 64_000_000);
  });

  engine.ruleOnEach("a connection that ends under a file rejects it, and those behind it", async (trial) => {
    const path = sparseFile(trial, 64_000_000);
    const { client, server } = await trial.pair({ client: { keep: false } });
    client.pause();
    const sent = [server.sendFileData(path), server.sendFileData(path)];
    await trial.settle();
    server.closeConnection();
    for (const each of sent) await assert.rejects(each, { code: "ERR_EM_CLOSED" });
    client.resume();
    await trial.allUnbound();
    assert.equal(server.kind, "local-close");
  });

  engine.ruleOnStreams("a file whose promise nobody keeps hurts nobody when the connection ends", async (trial) => {
    const path = sparseFile(trial, 64_000_000);
    const { client, server } = await trial.pair({ client: { keep: false } });
    client.pause();
    void server.sendFileData(path);
    await trial.settle();
    server.closeConnection();
    await trial.allUnbound(server);
    await trial.settle();
  });

  engine.ruleOnEach("while the peer stalls a file neither spins nor fills memory", async (trial) => {
    const size = 200_000_000;
    const path = sparseFile(trial, size);
    const { client, server } = await trial.pair({ client: { keep: false } });
    client.pause();
    await trial.settle();
    const before = process.memoryUsage();
    const sent = server.sendFileData(path);
    let spent = 0;
    let turns = 0;
    let moved = 0;
    // Until a while has passed in which the kernel took nothing.
    do {
      const { batches, bytesOut } = trial.reactor.stats();
      const cpu = process.cpuUsage();
      await trial.sleep(300);
      const { user, system } = process.cpuUsage(cpu);
      spent = (user + system) / 1000;
      turns = trial.reactor.stats().batches - batches;
      moved = trial.reactor.stats().bytesOut - bytesOut;
    } while (moved > 0);
    const after = process.memoryUsage();
    assert.ok(turns < 30, "the reactor has nothing to do");
    assert.ok(spent < 150, `${spent} ms of CPU in 300 ms of waiting`);
    const grown = after.external + after.heapUsed - before.external - before.heapUsed;
    assert.ok(grown < 16_000_000, `memory grew by ${grown} bytes`);
    assert.ok(server.outboundSize < 1_000_000, "file bytes do not count as unsent output");
    client.resume();
    assert.equal(await sent, size);
    await trial.until(() => client.bytes === size, "all of it");
  });

  engine.ruleOnStreams("file bytes count neither for the water marks nor for the outbound limit", async (trial) => {
    const path = sparseFile(trial, 64_000_000);
    const { client, server } = await trial.pair({
      client: { keep: false },
      listen: { outboundLimit: 1000, highWaterMark: 1_000_000 },
    });
    client.pause();
    const sent = server.sendFileData(path);
    await trial.settle();
    assert.equal(server.sendData("behind it"), true);
    assert.equal(server.state, "open");
    client.resume();
    await sent;
    await trial.until(() => client.bytes === 64_000_009, "all of it");
  });

  engine.ruleOnStreams("halfClose behind a file sends the FIN behind it", async (trial) => {
    const path = file(trial, 2_000_000);
    const { client, server } = await trial.pair({ connect: { allowHalfOpen: true } });
    const sent = server.sendFileData(path);
    server.halfClose();
    await sent;
    await trial.until(() => client.ends === 1, "the FIN");
    sameBytes(client.received, pattern(2_000_000));
  });
});
