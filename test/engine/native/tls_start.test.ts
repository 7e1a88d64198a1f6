import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, test } from "node:test";
import { Ended } from "../../../src/engine/streams.js";
import { pattern } from "../../support/bytes.js";
import { Driver, rawServer, stopDrivers } from "./driver.js";
import { authority, localhost, nodeClient, settings, starting } from "./tls_peers.js";

afterEach(stopDrivers);

test("what was written in clear goes out in clear, before the handshake, and bytes taken in clear can belong to it", async () => {
  const driver = new Driver();
  const { engine } = driver;
  const context = engine.createTlsContext(settings({ identities: [localhost] }));
  let head = Buffer.alloc(0);
  driver.react.data = (handle, chunk, start, end) => {
    if (driver.has("secured", handle)) {
      engine.write(handle, chunk.subarray(start, end));
      return;
    }
    head = Buffer.concat([head, chunk.subarray(start, end)]);
    if (head.length < 16) return;
    engine.write(handle, pattern(50_000));
    engine.startTls(handle, starting("server", context, { received: head.subarray(16) }));
  };
  const { address, listener } = await driver.listen();
  const socket = connect(address.port, address.host);
  socket.write("0123456789abcdef");
  let clear = 0;
  while (clear < 50_000) {
    await once(socket, "readable");
    clear += (socket.read() as Buffer | null)?.length ?? 0;
  }
  assert.equal(clear, 50_000);
  const { connect: secure } = await import("node:tls");
  const tls = secure({ socket, servername: "localhost", ca: authority.certificate });
  await once(tls, "secureConnect");
  tls.write("hello");
  const [answer] = await once(tls, "data");
  assert.equal(String(answer), "hello");
  tls.destroy();
  assert.equal(engine.counters().bytesOut, 50_005);
  await driver.finish(listener);
});

test("the first bytes of a hello that came with something else are handed over", async () => {
  const driver = new Driver();
  const { engine } = driver;
  const { server: proxy, at } = await rawServer((socket) => {
    socket.pipe(connect(address.port, address.host), { end: false });
  });
  proxy.close();
  const context = engine.createTlsContext(settings({ identities: [localhost] }));
  let started = false;
  driver.react.data = (handle, chunk, start, end) => {
    if (started) {
      engine.write(handle, chunk.subarray(start, end));
      return;
    }
    started = true;
    const bytes = chunk.subarray(start, end);
    assert.equal(bytes.toString("latin1", 0, 6), "PROXY ");
    assert.ok(bytes.length > 6);
    engine.startTls(handle, starting("server", context, { received: bytes.subarray(6) }));
  };
  const { address, listener } = await driver.listen();
  // A hello made by node:tls into a socket of our own, so that it can be sent in one piece with what goes before.
  const { server: sink, at: sinkAt } = await rawServer(async (socket) => {
    const onward = connect(address.port, address.host);
    const [hello] = (await once(socket, "data")) as [Buffer];
    onward.write(Buffer.concat([Buffer.from("PROXY "), hello]));
    socket.pipe(onward);
    onward.pipe(socket);
    onward.on("error", () => {});
  });
  const socket = nodeClient(sinkAt);
  await once(socket, "secureConnect");
  socket.write("hello");
  const [answer] = await once(socket, "data");
  assert.equal(String(answer), "hello");
  socket.destroy();
  sink.close();
  assert.notEqual(at.port, 0);
  await driver.finish(listener);
});

for (const held of [true, false]) {
  test(`bytes in clear ${held ? "held by a pause" : "in the ring"} when TLS starts end the connection, undelivered`, async () => {
    const driver = new Driver();
    const { engine } = driver;
    const one = await driver.withPeer();
    const two = await driver.withPeer();
    const context = engine.createTlsContext(settings({ identities: [localhost] }));
    const servers = [one.server, two.server];
    let victim = -1;
    let counted = 0;
    driver.react.data = (handle) => {
      assert.notEqual(handle, victim, "clear bytes are not delivered behind the start");
      if (victim >= 0) return;
      const other = servers.find((server) => server !== handle) as number;
      counted = engine.undelivered(other);
      if (counted === 0) return;
      victim = other;
      if (held) engine.pause(other);
      else engine.startTls(other, starting("server", context));
    };
    for (let i = 0; i < 200 && victim < 0; i++) {
      // Both are written to before the engine polls again: they come in one batch.
      one.peer.write("x");
      two.peer.write("x");
      await driver.settle();
    }
    assert.ok(victim >= 0, "both came in one batch");
    assert.ok(counted > 0);
    if (held) {
      assert.equal(engine.undelivered(victim), counted);
      engine.startTls(victim, starting("server", context));
      engine.resume(victim);
    }
    const closing = await driver.closing(victim);
    assert.equal(closing.ended, Ended.tls);
    assert.equal(closing.failure?.code, "ERR_EM_TLS_PLAINTEXT");
    one.peer.destroy();
    two.peer.destroy();
    await driver.finish(one.listener, two.listener);
  });
}

test("STARTTLS from within data: what comes later is the peer's hello, or fails the handshake unheard", async () => {
  for (const injects of [false, true]) {
    const driver = new Driver();
    const { engine } = driver;
    const context = engine.createTlsContext(settings({ identities: [localhost] }));
    let command = "";
    driver.react.data = (handle, chunk, start, end) => {
      if (driver.has("secured", handle)) {
        engine.write(handle, chunk.subarray(start, end));
        return;
      }
      command += chunk.toString("latin1", start, end);
      if (!command.endsWith("\n")) return;
      assert.equal(command, "STARTTLS\r\n");
      assert.equal(engine.undelivered(handle), 0, "the event under delivery is delivered");
      engine.writeString(handle, "220 go\r\n", "latin1");
      engine.startTls(handle, starting("server", context));
    };
    const { address, listener } = await driver.listen();
    const raw = connect({ port: address.port, host: address.host, noDelay: true });
    raw.on("error", () => {});
    raw.write("STARTTLS\r\n");
    let answer = "";
    while (!answer.endsWith("\n")) answer += String((await once(raw, "data"))[0]);
    assert.equal(answer, "220 go\r\n");
    const server = driver.accepts[0] as number;
    if (injects) {
      raw.write("RCPT TO:<victim@example>\r\n");
      const closing = await driver.closing(server);
      assert.equal(closing.ended, Ended.tls);
      assert.equal(closing.failure?.code, "ERR_EM_TLS_HANDSHAKE");
      assert.equal(driver.bytes(server).toString(), "STARTTLS\r\n");
    } else {
      const { connect: secure } = await import("node:tls");
      const tls = secure({ socket: raw, servername: "localhost", ca: authority.certificate });
      await once(tls, "secureConnect");
      tls.write("hello");
      assert.equal(String((await once(tls, "data"))[0]), "hello");
      tls.destroy();
    }
    raw.destroy();
    await driver.finish(listener);
  }
});
