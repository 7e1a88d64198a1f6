import assert from "node:assert/strict";
import { type ConnectionOptions, connect } from "node:tls";
import type { ClientTls, TlsInfo, TlsVersion } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";
import { AUTHORITY, clientContext, identity, pkiFile, pkiPath, serverContext } from "../support/pki.js";
import type { Script } from "../support/recorder.js";
import { tlsError } from "../support/tls_error.js";
import type { Served, Trial } from "../support/trial.js";

const VERSIONS: readonly TlsVersion[] = ["TLSv1.2", "TLSv1.3"];
const STRANGERS = pkiPath("stranger-ca.pem");
const ECHO: Script = { receiveData: (me, data) => me.sendData(data) };

/** One visit: secured, one round trip (TLS 1.3 gives its tickets after the handshake), closed. */
async function visit(trial: Trial, served: Served, tls: ClientTls, script: Script = {}): Promise<TlsInfo> {
  const client = trial.dial(served, script, { tls });
  const info = await client.secured;
  client.sendData("x");
  await trial.until(() => client.bytes === 1, "the echo");
  await trial.turn();
  client.closeConnectionAfterWriting();
  await trial.allUnbound();
  return info;
}

interface TlsVisit {
  isReused: boolean;
  session: Buffer | undefined;
  /** What the server echoed; nothing where it refused. */
  answer: string;
}

/** The same by a client that resumes whatever it likes: node:tls. */
function tlsVisit(served: Served, servername: string, options: ConnectionOptions = {}): Promise<TlsVisit> {
  const { port } = served.at as { port: number };
  const socket = connect({ host: "127.0.0.1", port, servername, rejectUnauthorized: false, ...options });
  const visited: TlsVisit = { isReused: false, session: undefined, answer: "" };
  socket.on("secureConnect", () => {
    visited.isReused = socket.isSessionReused();
    socket.write("x");
  });
  socket.on("session", (session) => {
    visited.session = session;
  });
  socket.on("data", (data) => {
    visited.answer += data;
    socket.end();
  });
  socket.on("error", () => {});
  return new Promise((resolve) => socket.on("close", () => resolve(visited)));
}

onEveryEngine("TLS, sessions", (engine) => {
  for (const maxVersion of VERSIONS) {
    engine.rule(`a context's clients resume what came before (${maxVersion})`, async (trial) => {
      const served = await trial.serve(ECHO, { tls: serverContext({ maxVersion }) });
      const context = clientContext();
      const first = await visit(trial, served, context);
      assert.equal(first.isSessionReused, false);
      assert.equal(context.sessionCount, 1);
      for (let count = 1; count <= 3; count++) {
        const next = await visit(trial, served, context);
        assert.equal(next.isSessionReused, true, `visit ${count}`);
        assert.equal(next.isAuthorized, true);
        assert.equal(next.peerCertificate?.fingerprint256, first.peerCertificate?.fingerprint256);
        assert.equal(next.protocol, maxVersion);
        assert.equal(served.peers.at(-1)?.isSessionReused ?? true, true);
      }
      assert.equal((await visit(trial, served, clientContext())).isSessionReused, false, "another context's");
    });

    engine.rule(`servers with the same ticket keys resume each other's sessions (${maxVersion})`, async (trial) => {
      const ticketKeys = [Buffer.alloc(48, 7)];
      const one = await trial.serve(ECHO, { tls: serverContext({ maxVersion, ticketKeys }) });
      const context = clientContext();
      await visit(trial, one, context);
      const { port } = one.at as { port: number };
      await one.listener.close();
      // The same place, or it would be another server to the client.
      const two = await trial.serve(ECHO, {
        host: "127.0.0.1",
        port,
        tls: serverContext({ maxVersion, ticketKeys }),
      });
      assert.equal((await visit(trial, two, context)).isSessionReused, true);
      await two.listener.close();
      const three = await trial.serve(ECHO, { host: "127.0.0.1", port, tls: serverContext({ maxVersion }) });
      assert.equal((await visit(trial, three, context)).isSessionReused, false, "with keys of its own");
    });

    engine.ruleNeeding(
      "ticketKeySets",
      `with rotated keys, tickets of the key before are good, those of the one before that are not (${maxVersion})`,
      async (trial) => {
        const keys = [1, 2, 3].map((fill) => Buffer.alloc(48, fill)) as [Buffer, Buffer, Buffer];
        const server = serverContext({ maxVersion, ticketKeys: [keys[0]] });
        const served = await trial.serve(ECHO, { tls: server });
        const [early, late] = [clientContext(), clientContext()];
        await visit(trial, served, early);
        await visit(trial, served, late);
        server.setTicketKeys([keys[1], keys[0]]);
        assert.equal((await visit(trial, served, early)).isSessionReused, true);
        server.setTicketKeys([keys[2], keys[1]]);
        assert.equal((await visit(trial, served, late)).isSessionReused, false);
      },
      async (trial) => {
        const server = serverContext({ maxVersion });
        await trial.serve(ECHO, { tls: server });
        server.setTicketKeys([Buffer.alloc(48, 1), Buffer.alloc(48, 2)]);
      },
    );

    engine.rule(`one new ticket key makes old sessions strangers, and hurts nobody (${maxVersion})`, async (trial) => {
      const server = serverContext({ maxVersion, ticketKeys: [Buffer.alloc(48, 1)] });
      const served = await trial.serve(ECHO, { tls: server });
      const context = clientContext();
      await visit(trial, served, context);
      server.setTicketKeys([Buffer.alloc(48, 2)]);
      assert.equal((await visit(trial, served, context)).isSessionReused, false);
      assert.equal((await visit(trial, served, context)).isSessionReused, true);
    });

    engine.rule(`a client's certificate is known in a resumed session too (${maxVersion})`, async (trial) => {
      const served = await trial.serve(ECHO, {
        tls: serverContext({ maxVersion, ca: AUTHORITY, requireCertificate: true }),
      });
      const subjects: (string | undefined)[] = [];
      served.peers.length = 0;
      const context = clientContext(identity("client"));
      const script: Script = {
        sslHandshakeCompleted: () => {},
      };
      for (let count = 0; count < 2; count++) {
        const client = trial.dial(served, script, { tls: context });
        const server = await served.peer(count);
        const info = await server.secured;
        subjects.push(info.peerCertificate?.subject);
        client.sendData("x");
        await trial.until(() => client.bytes === 1, "the echo");
        assert.equal(client.isSessionReused, count > 0);
        client.closeConnectionAfterWriting();
        await trial.allUnbound();
      }
      assert.deepEqual(subjects, ["CN=alice", "CN=alice"]);
    });
  }

  for (const maxVersion of VERSIONS) {
    for (const [what, own] of [
      ["its own", {}],
      ["a given", { sessionIdContext: "shared" }],
    ] as const) {
      engine.rule(`no session gets past what a server demands, under ${what} id (${maxVersion})`, async (trial) => {
        const shared = { maxVersion, ticketKeys: [Buffer.alloc(48, 7)], ca: AUTHORITY, ...own };
        const strict = serverContext({ ...shared, requireCertificate: true });
        const lax = await trial.serve(ECHO, { tls: serverContext(shared) });
        const guarded = await trial.serve(ECHO, { tls: strict });
        const stranger = await tlsVisit(lax, "server.test");
        assert.equal(stranger.answer, "x");
        const { session } = stranger;
        assert.ok(session !== undefined);
        assert.equal((await tlsVisit(lax, "server.test", { session })).isReused, true, "where it was made it is good");
        assert.equal((await tlsVisit(guarded, "server.test", { session })).answer, "", "not without a certificate");
        const known = { session, key: pkiFile("client-key.pem"), cert: pkiFile("client.pem") };
        assert.deepEqual(
          await tlsVisit(guarded, "server.test", known).then(({ isReused, answer }) => [isReused, answer]),
          [false, "x"],
        );
        await trial.allUnbound();
      });
    }
  }

  for (const maxVersion of VERSIONS) {
    engine.rule(`no session gets past whom a name trusts (${maxVersion})`, async (trial) => {
      const known = { key: pkiFile("client-key.pem"), cert: pkiFile("client.pem") };
      const stranger = { key: pkiFile("stranger-client-key.pem"), cert: pkiFile("stranger-client.pem") };
      const contexts = {
        "ours.test": serverContext({ ca: AUTHORITY }),
        "theirs.test": serverContext({ ca: STRANGERS }),
      };
      const tls = serverContext({ maxVersion, ca: AUTHORITY, requireCertificate: true, contexts });
      const served = await trial.serve(ECHO, { tls });
      const visits = [
        [known, ["server.test", "ours.test"], ["theirs.test"]],
        [stranger, ["theirs.test"], ["server.test", "ours.test"]],
      ] as const;
      for (const [client, good, bad] of visits) {
        for (const name of good) {
          const { answer, session } = await tlsVisit(served, name, client);
          assert.equal(answer, "x", name);
          assert.ok(session !== undefined);
          for (const other of bad) {
            for (const who of [client, {}]) {
              assert.equal((await tlsVisit(served, other, { ...who, session })).answer, "", `${name}, then ${other}`);
            }
          }
        }
      }
      await trial.allUnbound();
    });
  }

  for (const maxVersion of VERSIONS) {
    for (const [what, own] of [
      ["its own", {}],
      ["a given", { sessionIdContext: "shared" }],
    ] as const) {
      for (const isByName of [false, true]) {
        const where = `under ${what} id${isByName ? ", by name" : ""} (${maxVersion})`;
        engine.rule(`no session outlives an authority that setTlsContext took away, ${where}`, async (trial) => {
          const known = { key: pkiFile("client-key.pem"), cert: pkiFile("client.pem") };
          const stranger = { key: pkiFile("stranger-client-key.pem"), cert: pkiFile("stranger-client.pem") };
          const name = isByName ? "named.test" : "server.test";
          const shared = { maxVersion, requireCertificate: true, ticketKeys: [Buffer.alloc(48, 7)], ...own };
          const trusting = (ca: readonly string[]) =>
            serverContext({
              ...shared,
              ca,
              ...(isByName ? { contexts: { [name]: serverContext({ ...shared, ca }) } } : {}),
            });
          const served = await trial.serve(ECHO, { tls: trusting([AUTHORITY, STRANGERS]) });
          const ours = clientContext(identity("stranger-client"));
          const tls = { context: ours, serverName: name, verifyName: "server.test" };
          await visit(trial, served, tls);
          // The portable engine resumes nothing where there are contexts by name.
          const resumes = !isByName || engine.name === "native";
          assert.equal((await visit(trial, served, tls)).isSessionReused, resumes);
          const theirs = await tlsVisit(served, name, stranger);
          const friends = await tlsVisit(served, name, known);
          for (const { answer, session } of [theirs, friends]) {
            assert.equal(answer, "x");
            const again = await tlsVisit(served, name, { session });
            assert.deepEqual([again.isReused, again.answer], resumes ? [true, "x"] : [false, ""]);
          }

          served.listener.setTlsContext(trusting([AUTHORITY]));
          for (const who of [stranger, {}]) {
            assert.equal((await tlsVisit(served, name, { ...who, session: theirs.session })).answer, "", "a stranger");
          }
          assert.equal((await tlsVisit(served, name, { session: friends.session })).answer, "", "no certificate");
          const { isReused, answer } = await tlsVisit(served, name, { ...known, session: friends.session });
          assert.deepEqual([isReused, answer], [false, "x"], "who is trusted still is verified anew");
          await trial.allUnbound();
          served.peers.length = 0;
          const refused = trial.dial(served, {}, { tls });
          refused.sendData("x");
          await trial.allUnbound();
          assert.equal(refused.bytes, 0);
          assert.equal(tlsError(served.peers[0]?.reason).code, "ERR_EM_TLS_VERIFY");
        });
      }
    }
  }

  engine.rule("without tickets, or without a cache, every handshake is a full one", async (trial) => {
    const without = await trial.serve(ECHO, { tls: serverContext({ sessionTickets: false }) });
    const context = clientContext();
    await visit(trial, without, context);
    assert.equal((await visit(trial, without, context)).isSessionReused, false);
    const served = await trial.serve(ECHO, { tls: serverContext() });
    const forgetful = clientContext({ sessionCacheSize: 0 });
    await visit(trial, served, forgetful);
    assert.equal((await visit(trial, served, forgetful)).isSessionReused, false);
    assert.equal(forgetful.sessionCount, 0);
  });

  engine.rule("the cache is bounded, and the one longest unused goes first", async (trial) => {
    const context = clientContext({ sessionCacheSize: 2 });
    const places = [];
    for (let count = 0; count < 3; count++) places.push(await trial.serve(ECHO, { tls: serverContext() }));
    const [one, two, three] = places as [Served, Served, Served];
    await visit(trial, one, context);
    await visit(trial, two, context);
    await visit(trial, one, context);
    await visit(trial, three, context);
    assert.equal(context.sessionCount, 2);
    assert.equal((await visit(trial, one, context)).isSessionReused, true);
    assert.equal((await visit(trial, two, context)).isSessionReused, false);
  });

  engine.rule("a session belongs to the name it was made for", async (trial) => {
    const served = await trial.serve(ECHO, { tls: serverContext() });
    const context = clientContext();
    const meet = async (verifyName: string) => {
      const client = trial.dial(served, {}, { tls: { context, verifyName } });
      const info = await client.secured;
      client.sendData("x");
      await trial.until(() => client.bytes === 1, "the echo");
      client.closeConnectionAfterWriting();
      await trial.allUnbound();
      return info.isSessionReused;
    };
    assert.equal(await meet("server.test"), false);
    assert.equal(await meet("localhost"), false);
    assert.equal(await meet("server.test"), true);
  });

  engine.rule("what was not proven is not resumed", async (trial) => {
    const served = await trial.serve(ECHO, { tls: serverContext({}, "elsewhere") });
    const context = clientContext({ rejectUnauthorized: false });
    for (let count = 0; count < 2; count++) {
      const info = await visit(trial, served, context);
      assert.deepEqual([info.isSessionReused, info.verifyError], [false, "IP_ADDRESS_MISMATCH"]);
    }
    assert.equal(context.sessionCount, 0);
  });

  engine.rule("whoever judges certificates is asked in a resumed session too", async (trial) => {
    const served = await trial.serve(ECHO, { tls: serverContext() });
    const context = clientContext();
    await visit(trial, served, context);
    const client = trial.dial(served, { sslVerifyPeer: () => false }, { tls: context });
    await assert.rejects(client.secured, { code: "ERR_EM_TLS_VERIFY" });
    await trial.allUnbound();
  });

  // What else a context does -------------------------------------------------------------------------------------

  engine.rule("a stapled OCSP response reaches the client that asks for it", async (trial) => {
    const response = pkiFile("ocsp.der");
    const server = serverContext({ ocspResponse: response });
    const served = await trial.serve(ECHO, { tls: server });
    const asking = clientContext({ requestOcsp: true, sessionCacheSize: 0 });
    const info = await visit(trial, served, asking);
    assert.deepEqual(info.ocspResponse, response);
    assert.equal((await visit(trial, served, clientContext())).ocspResponse, undefined);
    server.setOcspResponse(undefined);
    assert.equal((await visit(trial, served, asking)).ocspResponse, undefined);
    server.setOcspResponse(response);
    assert.deepEqual((await visit(trial, served, asking)).ocspResponse, response);
  });

  engine.rule("the key log tells the secrets of both sides alike", async (trial) => {
    const logs: { server: string[]; client: string[] } = { server: [], client: [] };
    const served = await trial.serve(ECHO, { tls: serverContext({ keyLog: (line) => logs.server.push(line) }) });
    await visit(trial, served, clientContext({ keyLog: (line) => logs.client.push(line) }));
    assert.ok(logs.client.length >= 4);
    for (const line of logs.client) assert.match(line, /^[A-Z_0-9]+ [0-9a-f]{64} [0-9a-f]+$/);
    assert.deepEqual([...logs.server].sort(), [...logs.client].sort());
  });

  engine.rule("an encrypted key, a key in the certificate's file, and PEM as text and bytes", async (trial) => {
    for (const tls of [
      { cert: identity("server").cert, key: pkiFile("server-encrypted-key.pem"), passphrase: "open sesame" },
      { cert: pkiFile("server-with-key.pem").toString() },
      { cert: pkiFile("server.pem"), key: pkiFile("server-key.pem").toString() },
    ]) {
      const served = await trial.serve(ECHO, { tls });
      assert.equal((await visit(trial, served, clientContext())).isAuthorized, true);
    }
  });

  engine.rule("one context serves many connections, and two reactors", async (trial) => {
    const server = serverContext();
    const client = clientContext();
    const served = await trial.serve(ECHO, { tls: server });
    const clients = Array.from({ length: 20 }, () => trial.dial(served, {}, { tls: client }));
    for (const each of clients) each.sendData("hello");
    await trial.until(() => clients.every(({ text }) => text === "hello"), "every echo");
    for (const each of clients) each.closeConnection();
    const second = trial.makeReactor();
    let echoed = "";
    await second.run(async () => {
      const { Connection } = await import("eventmachine");
      class Echo extends Connection {
        override receiveData(data: Buffer): void {
          this.sendData(data);
        }
      }
      const listener = await second.startServer({ host: "127.0.0.1", port: 0, tls: server }, Echo);
      class Client extends Connection {
        override sslHandshakeCompleted(): void {
          this.sendData("from the other");
        }
        override receiveData(data: Buffer): void {
          echoed += data;
          if (echoed.length >= 14) second.stop();
        }
      }
      second.connect({ host: "127.0.0.1", port: listener.port as number, tls: client }, Client);
    });
    assert.equal(echoed, "from the other");
  });

  engine.runRule("a context outlives the runs of a reactor", async (trial) => {
    const server = serverContext();
    const client = clientContext();
    for (let run = 0; run < 3; run++) {
      await trial.reactor.run(async () => {
        const served = await trial.serve(ECHO, { tls: server });
        const dialed = trial.dial(served, {}, { tls: client });
        dialed.sendData("hello");
        await trial.until(() => dialed.text === "hello", "the echo");
        server.setTicketKeys([Buffer.alloc(48, run)]);
        trial.reactor.stop();
      });
    }
  });
});
