import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectTo } from "node:net";
import { afterEach, test } from "node:test";
import type { Handle } from "../../../src/engine/streams.js";
import { pattern } from "../../support/bytes.js";
import { Child } from "../../support/child.js";
import { program, source } from "../../support/paths.js";
import { within } from "../../support/wait.js";
import { Driver, stopDrivers } from "./driver.js";
import { localhost, nodeClient, settings, starting } from "./tls_peers.js";

afterEach(stopDrivers);

const SOL_SOCKET = 1;
const SO_TIMESTAMPING = 37;
/** A time stamp for everything that is sent, by software: each waits in the error queue until somebody reads it. */
const STAMPS = Buffer.alloc(4);
STAMPS.writeUInt32LE((1 << 1) | (1 << 4) | (1 << 7) | (1 << 11));

/** System calls of a while in which nothing happens. */
async function idleCalls(driver: Driver): Promise<number> {
  await driver.settle();
  const before = driver.engine.counters().systemCalls;
  await new Promise((resolve) => setTimeout(resolve, 200));
  return driver.engine.counters().systemCalls - before;
}

for (const paused of [false, true]) {
  test(`an error queue that nobody reads leaves a connection idle, ${paused ? "paused" : "reading"}`, async () => {
    const driver = new Driver();
    const { engine } = driver;
    const { server, peer, listener } = await driver.withPeer();
    engine.setSocketOption(server, SOL_SOCKET, SO_TIMESTAMPING, STAMPS);
    if (paused) engine.pause(server);
    engine.write(server, Buffer.from("hello"));
    await once(peer, "data");
    assert.ok((await idleCalls(driver)) < 20);
    // It is no error: everything goes on.
    peer.write("there");
    engine.resume(server);
    assert.equal((await driver.gets(server, 5)).toString(), "there");
    engine.write(server, Buffer.from("again"));
    await once(peer, "data");
    assert.ok((await idleCalls(driver)) < 20);
    peer.end();
    assert.equal((await driver.closing(server)).errno, 0);
    assert.equal(engine.counters().spins, 0);
    await driver.finish(listener);
  });

  test(`the same under TLS, ${paused ? "paused" : "reading"}`, async () => {
    const driver = new Driver();
    const { engine } = driver;
    const context = engine.createTlsContext(settings({ identities: [localhost] }));
    driver.react.accepted = (_listener, handle) => engine.startTls(handle, starting("server", context));
    const { address, listener } = await driver.listen();
    const peer = nodeClient(address);
    await once(peer, "secureConnect");
    await driver.until(() => driver.accepts.length === 1, "accepted");
    const server = driver.accepts[0] as Handle;
    await driver.event("secured", server);
    engine.setSocketOption(server, SOL_SOCKET, SO_TIMESTAMPING, STAMPS);
    if (paused) engine.pause(server);
    engine.write(server, Buffer.from("hello"));
    await once(peer, "data");
    assert.ok((await idleCalls(driver)) < 20);
    peer.write("there");
    engine.resume(server);
    assert.equal((await driver.gets(server, 5)).toString(), "there");
    peer.destroy();
    await driver.closing(server);
    await driver.finish(listener);
  });
}

for (const medium of ["plain", "TLS"] as const) {
  test(`what a paused connection with an error queue cannot send yet is sent when the peer reads, ${medium}`, async () => {
    const driver = new Driver();
    const { engine } = driver;
    const context = engine.createTlsContext(settings({ identities: [localhost] }));
    if (medium === "TLS") {
      driver.react.accepted = (_listener, handle) => engine.startTls(handle, starting("server", context));
    }
    const { address, listener } = await driver.listen({ sendBufferSize: 8_192 });
    const peer =
      medium === "TLS"
        ? nodeClient(address)
        : connectTo({ host: address.host, port: address.port, allowHalfOpen: true });
    await once(peer, medium === "TLS" ? "secureConnect" : "connect");
    await driver.until(() => driver.accepts.length === 1, "accepted");
    const server = driver.accepts[0] as Handle;
    if (medium === "TLS") await driver.event("secured", server);
    engine.setSocketOption(server, SOL_SOCKET, SO_TIMESTAMPING, STAMPS);
    peer.pause();
    engine.pause(server);
    let sent = 0;
    // Until the kernel takes no more, and well beyond, in turns of their own: its error queue fills in between.
    for (let turn = 0; turn < 100; turn++) {
      engine.write(server, pattern(20_000, sent));
      sent += 20_000;
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok(engine.outboundSize(server) > 0);
    assert.ok((await idleCalls(driver)) < 20);
    let got = 0;
    const all = new Promise<void>((resolve) => {
      peer.on("data", (part: Buffer) => {
        assert.ok(part.equals(pattern(part.length, got)));
        got += part.length;
        if (got === sent) resolve();
      });
    });
    peer.resume();
    await within(all, "all bytes arrive");
    assert.equal(engine.outboundSize(server), 0);
    assert.equal(engine.counters().spins, 0);
    peer.destroy();
    await driver.finish(listener);
  });
}

test("a descriptor that is ready for ever, with nothing to be done, is ended and counted", async () => {
  // The kernel of this child does not let go of its error queues.
  const kept = program(import.meta.url, "./kept_errors.js");
  await using child = new Child("python3", [source("engine/native/kept_errors.py"), process.execPath, kept], {});
  const told = JSON.parse(await child.line()) as Record<string, unknown>;
  assert.deepEqual(told, { kind: "system-error", code: "EIO", syscall: "epoll_wait", spins: 1, others: "open" });
  assert.equal((await child.exit).code, 0);
});
