import assert from "node:assert/strict";
import { once } from "node:events";
import { afterEach, test } from "node:test";
import { Ended } from "../../../src/engine/streams.js";
import { pattern } from "../../support/bytes.js";
import { CONNECT, Driver, stopDrivers } from "./driver.js";
import { localhost, nodeClient, nodeServer, securePair, settings, starting } from "./tls_peers.js";

afterEach(stopDrivers);

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  test(`an echo between two connections of the engine, ${version}`, async () => {
    const driver = new Driver();
    driver.react.data = (handle, chunk, start, end) => {
      if (driver.accepts.includes(handle)) driver.engine.write(handle, chunk.subarray(start, end));
    };
    const { client, server, listener } = await securePair(driver, { client: { maxVersion: version } });
    const { engine } = driver;
    engine.writeString(client, "grüß dich", "utf8");
    assert.equal((await driver.gets(client, 11)).toString(), "grüß dich");
    const state = engine.tlsState(client);
    assert.equal(state?.protocol, version);
    assert.equal(state?.verifyError, undefined);
    assert.equal(state?.peerCertificates.length, 1);
    assert.equal(state?.isSessionReused, false);
    assert.match(state?.cipher.standardName ?? "", /^TLS_/);
    assert.equal(engine.tlsState(server)?.serverName, "localhost");
    assert.equal(engine.outboundSize(client), 0);
    engine.close(client);
    assert.equal((await driver.closing(client)).ended, Ended.local);
    const closing = await driver.closing(server);
    assert.equal(closing.ended, Ended.peer);
    assert.equal(closing.truncated, false);
    await driver.finish(listener);
  });

  test(`a client of node:tls, ${version}: a megabyte each way`, async () => {
    const driver = new Driver();
    const { engine } = driver;
    const context = engine.createTlsContext(settings({ identities: [localhost], alpn: ["two", "one"] }));
    driver.react.accepted = (_listener, handle) => engine.startTls(handle, starting("server", context));
    driver.react.data = (handle, chunk, start, end) => engine.write(handle, chunk.subarray(start, end));
    const { address, listener } = await driver.listen();
    const socket = nodeClient(address, { maxVersion: version, ALPNProtocols: ["one", "two"] });
    await once(socket, "secureConnect");
    assert.equal(socket.alpnProtocol, "two", "the server's order counts");
    assert.equal(socket.getProtocol(), version);
    const sent = pattern(1_000_000);
    socket.write(sent);
    const got: Buffer[] = [];
    let size = 0;
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      got.push(chunk);
      size += chunk.length;
      if (size === sent.length) break;
    }
    assert.ok(Buffer.concat(got).equals(sent));
    socket.destroy();
    assert.equal(engine.counters().bytesIn, sent.length);
    assert.equal(engine.counters().bytesOut, sent.length);
    await driver.finish(listener);
  });

  test(`a server of node:tls, ${version}: what was written before the handshake, and a megabyte back`, async () => {
    const { server, at, sockets } = await nodeServer({ maxVersion: version });
    const driver = new Driver();
    const { engine } = driver;
    const context = engine.createTlsContext(settings());
    const client = engine.connect(at, CONNECT);
    driver.react.connected = () => {
      engine.startTls(client, starting("client", context));
      engine.write(client, pattern(100_000));
      assert.equal(engine.outboundSize(client), 100_000);
    };
    await driver.until(() => driver.has("secured", client), "secured");
    while (sockets[0] === undefined) await new Promise((resolve) => setImmediate(resolve));
    const [socket] = sockets;
    let size = 0;
    socket.on("data", (chunk: Buffer) => {
      assert.ok(chunk.equals(pattern(chunk.length, size)));
      size += chunk.length;
      if (size === 100_000) socket.end(pattern(1_000_000));
    });
    assert.ok((await driver.gets(client, 1_000_000)).equals(pattern(1_000_000)));
    const closing = await driver.closing(client);
    assert.equal(closing.ended, Ended.peer);
    assert.equal(closing.truncated, false);
    assert.equal(engine.counters().bytesOut, 100_000);
    server.close();
    await driver.finish();
  });
}
