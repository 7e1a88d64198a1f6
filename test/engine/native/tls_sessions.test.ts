import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { afterEach, test } from "node:test";
import { Ended } from "../../../src/engine/streams.js";
import type { TlsContextSettings, TlsStart } from "../../../src/engine/tls.js";
import { Driver, stopDrivers } from "./driver.js";
import { ticketContext, withoutPeer } from "./session_der.js";
import { authority, certify, localhost, nodeClient, type Secure, settings, starting } from "./tls_peers.js";

afterEach(stopDrivers);

const stranger = certify("stranger", []);

/** A server with one context, and clients one after the other. */
async function serve(overrides: Partial<TlsContextSettings>) {
  const driver = new Driver();
  const { engine } = driver;
  const context = engine.createTlsContext(settings({ identities: [localhost], ...overrides }));
  const client = engine.createTlsContext(settings({ reportSessions: true }));
  const pairs: Secure[] = [];
  const dial = async (start: Partial<TlsStart> = {}, own = client, served = context) => {
    const pair = await driver.pair();
    pairs.push(pair);
    engine.startTls(pair.server, starting("server", served));
    engine.startTls(pair.client, starting("client", own, start));
    return pair;
  };
  const secured = async (...of: Parameters<typeof dial>) => {
    let session: Buffer | undefined;
    driver.react.tlsSession = (_handle, bytes) => {
      session = bytes;
    };
    const pair = await dial(...of);
    await driver.until(() => driver.has("secured", pair.client) && driver.has("secured", pair.server), "secured");
    engine.writeString(pair.server, "x", "latin1");
    await driver.gets(pair.client, 1);
    const reused = engine.tlsState(pair.client)?.isSessionReused;
    assert.equal(engine.tlsState(pair.server)?.isSessionReused, reused);
    return { session, reused, pair };
  };
  const end = () => driver.finish(...pairs.flatMap(({ client, listener }) => [client, listener]));
  return { driver, engine, context, client, dial, secured, end };
}

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  test(`a session is resumed once it was told of, ${version}`, async () => {
    const { secured, engine, end } = await serve({ maxVersion: version });
    const first = await secured();
    assert.equal(first.reused, false);
    assert.ok(first.session !== undefined);
    const second = await secured({ session: first.session });
    assert.equal(second.reused, true);
    const state = engine.tlsState(second.pair.client);
    assert.equal(state?.peerCertificates.length, 1);
    assert.equal(state?.verifyError, undefined);
    await end();
  });

  test(`without tickets there is no session, ${version}`, async () => {
    const { secured, end } = await serve({ maxVersion: version, sessionTickets: false });
    const first = await secured();
    const second = await secured({ session: first.session });
    assert.equal(second.reused, false);
    await end();
  });

  test(`ticket keys are shared, rotated, and forgotten, ${version}`, async () => {
    const [one, two, three] = [randomBytes(48), randomBytes(48), randomBytes(48)];
    const { secured, engine, context, client, end } = await serve({ maxVersion: version, ticketKeys: [one] });
    const first = await secured();
    // Another context with the same keys, as another process would have it.
    const twin = engine.createTlsContext(settings({ identities: [localhost], ticketKeys: [one], maxVersion: version }));
    assert.equal((await secured({ session: first.session }, client, twin)).reused, true);
    engine.setTicketKeys(context, [two, one]);
    const renewed = await secured({ session: first.session });
    assert.equal(renewed.reused, true, "an old key still decrypts");
    assert.ok(renewed.session !== undefined, "and the ticket is renewed");
    engine.setTicketKeys(context, [two]);
    assert.equal((await secured({ session: renewed.session })).reused, true, "under the new key");
    assert.equal((await secured({ session: first.session })).reused, false, "the old key is gone");
    engine.setTicketKeys(context, [three]);
    assert.equal((await secured({ session: renewed.session })).reused, false);
    await end();
  });

  test(`tickets are those of node:tls with the same keys, ${version}`, async () => {
    const keys = randomBytes(48);
    const { createServer } = await import("node:tls");
    const node = createServer({
      key: localhost.key,
      cert: localhost.certificate,
      ticketKeys: keys,
      maxVersion: version,
    });
    node.on("secureConnection", (socket) => socket.on("error", () => {}).end("x"));
    node.listen(0, "127.0.0.1");
    await once(node, "listening");
    const { port } = node.address() as { port: number };
    const socket = nodeClient({ family: "IPv4", host: "127.0.0.1", port });
    let session: Buffer | undefined;
    socket.on("session", (bytes: Buffer) => {
      session = bytes;
    });
    socket.resume();
    await once(socket, "end");
    socket.destroy();
    node.close();
    assert.ok(session !== undefined);
    const theirs = bare(session);
    // Every version of Node makes the id in its own way.
    const sessionIdContext = ticketContext(theirs, keys);
    const ours = await serve({ ticketKeys: [keys], sessionIdContext, maxVersion: version });
    const resumed = await ours.secured({ session: theirs });
    assert.equal(resumed.reused, true);
    const own = (await ours.secured()).session;
    assert.ok(own !== undefined);
    assert.deepEqual(ticketContext(own, keys), sessionIdContext);
    await ours.end();
  });

  test(`a session does not carry a certificate past a stricter client, ${version}`, async () => {
    const { secured, dial, driver, engine, end } = await serve({ maxVersion: version });
    const lax = engine.createTlsContext(
      settings({
        rejectUnauthorized: false,
        reportSessions: true,
        trust: { certificates: [stranger.certificate], openSslDefaults: false, isNodeDefault: false },
      }),
    );
    const first = await secured({ verifyName: undefined }, lax);
    const strict = await dial({ session: first.session });
    const closing = await driver.closing(strict.client);
    assert.equal(closing.ended, Ended.tls);
    assert.equal(closing.failure?.code, "ERR_EM_TLS_VERIFY");
    const good = await secured();
    const elsewhere = await dial({ session: good.session, verifyName: "elsewhere.test" });
    const named = await driver.closing(elsewhere.client);
    assert.equal(named.failure?.verifyError, "HOSTNAME_MISMATCH");
    assert.equal((await secured({ session: good.session, verifyName: "127.0.0.1" })).reused, true);
    await end();
  });
}

test("a session of the program's own making is no way in", async () => {
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    const { secured, dial, driver, end } = await serve({ maxVersion: version });
    const { session } = await secured();
    assert.ok(session !== undefined);
    // [3] EXPLICIT is the peer's certificate: without it there is nobody to be sure of.
    const stripped = withoutPeer(session);
    assert.ok(stripped.length < session.length);
    const pair = await dial({ session: stripped });
    const closing = await driver.closing(pair.client);
    assert.equal(closing.failure?.code, "ERR_EM_TLS_VERIFY");
    await end();
  }
});

test("a session that is none is refused", async () => {
  const { driver, engine, client } = await serve({});
  const pair = await driver.pair();
  assert.throws(() => engine.startTls(pair.client, starting("client", client, { session: Buffer.from("x") })), {
    code: "ERR_EM_TLS_CONTEXT",
  });
  await driver.finish(pair.client, pair.listener);
});

test("secrets are told line by line, and staples arrive", async () => {
  const driver = new Driver();
  const { engine } = driver;
  const lines: string[] = [];
  driver.react.tlsKeyLog = (_handle, line) => lines.push(line);
  const server = engine.createTlsContext(
    settings({ identities: [localhost], keyLog: true, staple: Buffer.from("first") }),
  );
  const client = engine.createTlsContext(settings({ requestStaple: true }));
  for (const staple of ["first", "second", undefined]) {
    engine.setStaple(server, staple === undefined ? undefined : Buffer.from(staple));
    const pair = await driver.pair();
    engine.startTls(pair.server, starting("server", server));
    engine.startTls(pair.client, starting("client", client));
    await driver.until(() => driver.has("secured", pair.client) && driver.has("secured", pair.server), "secured");
    assert.equal(engine.tlsState(pair.client)?.staple?.toString(), staple);
    engine.close(pair.client);
    engine.close(pair.listener);
    await driver.closing(pair.server);
  }
  assert.ok(lines.some((line) => /^CLIENT_HANDSHAKE_TRAFFIC_SECRET [0-9a-f]{64} [0-9a-f]+$/.test(line)));
  assert.ok(authority.certificate.length > 0);
  await driver.finish();
});

/** Without what newer Nodes put before a session: a NUL, a label, a NUL, and the server's name behind its length. */
function bare(session: Buffer): Buffer {
  if (session[0] !== 0) return session;
  const name = session.indexOf(0, 1) + 1;
  return session.subarray(name + 2 + session.readUInt16BE(name));
}
