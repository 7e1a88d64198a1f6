import assert from "node:assert/strict";
import { type CloseReason, LineText2, type TlsContext, TlsError } from "eventmachine";
import { pattern, sameBytes } from "../support/bytes.js";
import { onEveryEngine } from "../support/harness.js";
import { clientContext, serverContext } from "../support/pki.js";
import type { Recorder } from "../support/recorder.js";

const SERVER = serverContext();
const CLIENT = clientContext();

/** A server and a client that agree on TLS in clear. */
class Talker extends LineText2 {
  readonly lines: string[] = [];
  readonly secure: boolean[] = [];
  reason: CloseReason | undefined;

  override receiveLine(line: string): void {
    this.lines.push(line);
    this.secure.push(this.isSecure);
  }

  override unbind(reason: CloseReason): void {
    this.reason = reason;
  }
}

class StartingServer extends Talker {
  override receiveLine(line: string): void {
    super.receiveLine(line);
    if (line === "STARTTLS") {
      this.sendData("220 go ahead\r\n");
      this.startTls(SERVER);
    } else this.sendData(`250 ${line}\r\n`);
  }
}

class StartingClient extends Talker {
  override postInit(): void {
    this.sendData("EHLO\r\nSTARTTLS\r\n");
  }

  override receiveLine(line: string): void {
    super.receiveLine(line);
    if (!line.startsWith("220")) return;
    this.startTls(CLIENT);
    this.sendData("MAIL\r\n");
  }
}

function tlsCode(reason: CloseReason | undefined): string | undefined {
  if (reason?.kind !== "tls-error") return reason?.kind;
  assert.ok(reason.error instanceof TlsError);
  return reason.error.code;
}

onEveryEngine("TLS, its beginning", (engine) => {
  engine.rule("the callbacks come in order on both sides", async (trial) => {
    const served = await trial.serve(
      {
        postInit: (me) => me.log.push(`secure ${me.isSecure}`),
        sslHandshakeCompleted: (me) => me.log.push("secured"),
        receiveData: (me, data) => me.sendData(data),
      },
      { tls: SERVER },
    );
    const client = trial.dial(
      served,
      {
        postInit: (me) => me.log.push(`secure ${me.isSecure}`),
        connectionCompleted: (me) => me.log.push(`secure ${me.isSecure}`),
        sslHandshakeCompleted: (me) => {
          me.log.push("secured");
          me.sendData("hello");
        },
      },
      { tls: CLIENT },
    );
    await trial.until(() => client.text === "hello", "the echo");
    client.closeConnectionAfterWriting();
    await trial.allUnbound();
    const server = await served.peer();
    assert.deepEqual(server.order, ["postInit", "secure false", "secured", "receiveData", "unbind peer-closed"]);
    assert.deepEqual(client.order, [
      "postInit",
      "secure false",
      "connectionCompleted",
      "secure false",
      "secured",
      "receiveData",
      "unbind local-close",
    ]);
  });

  engine.rule("startTls in postInit is the same as the option", async (trial) => {
    const { client, server } = await trial.pair({
      server: { postInit: (me) => me.startTls(SERVER), receiveData: (me, data) => me.sendData(data) },
      client: { postInit: (me) => me.startTls({ context: CLIENT, verifyName: "server.test" }) },
    });
    assert.equal(client.isSecure, false);
    client.sendData("hello");
    await trial.until(() => client.text === "hello", "the echo");
    assert.equal(client.isSecure, true);
    assert.equal(server.isSecure, true);
    assert.equal(client.handshakes + server.handshakes, 2);
  });

  engine.rule(
    "what is sent before it is secured waits, counts as unsent, and arrives whole and in order",
    async (trial) => {
      const all = pattern(400_000);
      const served = await trial.serve({ postInit: (me) => me.sendData(all) }, { tls: SERVER });
      let unsent = 0;
      const client = trial.dial(
        served,
        {
          postInit: (me) => {
            me.sendData(all.subarray(0, 1000));
            me.sendData(all.subarray(1000, 300_000));
          },
          connectionCompleted: (me) => {
            me.sendData(all.subarray(300_000));
            unsent = me.outboundSize;
          },
        },
        { tls: CLIENT },
      );
      const server = await served.peer();
      await trial.until(() => server.bytes === all.length && client.bytes === all.length, "both ways");
      assert.equal(unsent, all.length);
      sameBytes(server.received, all);
      sameBytes(client.received, all);
      assert.equal(client.bytesOut, all.length);
      assert.equal(server.bytesIn, all.length);
    },
  );

  engine.rule("what a handshake came to can be asked for, while the connection lives and in unbind", async (trial) => {
    const seen: unknown[] = [];
    const { client, server } = await trial.over("tls").pair({
      server: { unbind: (me) => seen.push(me.protocol, me.cipher?.name, me.isSessionReused) },
    });
    assert.equal(client.protocol, "TLSv1.3");
    assert.match(client.cipher?.standardName ?? "", /^TLS_/);
    assert.equal(client.cipher?.name, server.cipher?.name);
    assert.match(client.peerCertificate?.subject ?? "", /server\.test/);
    assert.equal(client.tls?.isAuthorized, true);
    assert.equal(server.peerCertificate, undefined);
    assert.equal(server.tls?.isAuthorized, false);
    assert.equal(client.alpnProtocol, undefined);
    const cipher = client.cipher?.name;
    client.closeConnection();
    await trial.allUnbound();
    assert.deepEqual(seen, ["TLSv1.3", cipher, false]);
    assert.equal(client.protocol, "TLSv1.3", "what was asked for stays");
  });

  engine.rule("without TLS there is nothing to tell", async (trial) => {
    const { client } = await trial.pair();
    assert.equal(client.isSecure, false);
    assert.equal(client.tls, undefined);
    assert.equal(client.peerCertificate, undefined);
    assert.equal(client.cipher, undefined);
    assert.equal(client.protocol, undefined);
    assert.equal(client.alpnProtocol, undefined);
    assert.equal(client.sniHostname, undefined);
    assert.equal(client.isSessionReused, undefined);
    await assert.rejects(client.secured, { name: "StateError", code: "ERR_EM_TLS_NOT_STARTED" });
  });

  engine.rule("secured resolves with what came of it, and rejects with the reason where nothing did", async (trial) => {
    const served = await trial.serve({}, { tls: SERVER });
    const client = trial.dial(served, {}, { tls: CLIENT });
    assert.equal((await client.secured).protocol, "TLSv1.3");
    assert.equal((await client.secured).protocol, "TLSv1.3", "late too");
    const stranger = trial.dial(served, {}, { tls: true });
    await assert.rejects(stranger.secured, { name: "TlsError", code: "ERR_EM_TLS_VERIFY" });
    await trial.allUnbound(stranger);
    await assert.rejects(stranger.secured, { name: "TlsError", code: "ERR_EM_TLS_VERIFY" });
    const closed = trial.dial(served, {}, { tls: CLIENT });
    closed.closeConnection();
    await assert.rejects(closed.secured, { code: "ERR_EM_CONNECT_ABORTED" });
    client.closeConnection();
  });

  // STARTTLS -----------------------------------------------------------------------------------------------------

  engine.rule("STARTTLS: both sides go on in TLS behind the line that said so", async (trial) => {
    const servers: StartingServer[] = [];
    const listener = await trial.reactor.startServer(
      { host: "127.0.0.1", port: 0 },
      class extends StartingServer {
        override postInit(): void {
          servers.push(this);
        }
      },
    );
    const client = trial.reactor.connect({ host: "127.0.0.1", port: listener.port as number }, StartingClient);
    await trial.until(() => client.lines.length === 3, "the answers");
    assert.deepEqual(client.lines, ["250 EHLO", "220 go ahead", "250 MAIL"]);
    assert.deepEqual(client.secure, [false, false, true]);
    assert.deepEqual(servers[0]?.lines, ["EHLO", "STARTTLS", "MAIL"]);
    assert.deepEqual(servers[0]?.secure, [false, false, true]);
    client.closeConnection();
    await trial.until(() => trial.reactor.connectionCount === 0, "the end");
  });

  engine.rule(
    "STARTTLS: what was sent before goes in clear, however much, what is sent after in TLS",
    async (trial) => {
      const clear = pattern(3_000_000);
      const secret = pattern(200_000, 7);
      const { client, server } = await trial.pair();
      server.pause();
      client.sendData(clear);
      client.startTls(CLIENT);
      client.sendData(secret);
      assert.ok(client.outboundSize >= secret.length);
      await trial.settle();
      // The server takes exactly the clear bytes, and hands what it got of the TLS stream on.
      const got: Buffer[] = [];
      let bytes = 0;
      server.script.receiveData = (me, data) => {
        if (me.isSecure) return;
        got.push(data);
        bytes += data.length;
        if (bytes < clear.length) return;
        const all = Buffer.concat(got);
        got.splice(0, got.length, all.subarray(0, clear.length));
        me.startTls({ context: SERVER, received: all.subarray(clear.length) });
      };
      server.resume();
      // What was handed on was received, too.
      await trial.until(() => bytes >= clear.length && server.bytes === bytes + secret.length, "what is secret");
      assert.equal(client.isSecure && server.isSecure, true);
      sameBytes(got[0] as Buffer, clear);
      sameBytes(server.received.subarray(bytes), secret);
    },
  );

  engine.rule("startTls while connecting is queued where it was called", async (trial) => {
    const served = await trial.serve({
      receiveData: (me, data) => {
        if (!me.isSecure) me.startTls({ context: SERVER, received: data.subarray("clear".length) });
      },
    });
    const client = trial.dial(served, {
      postInit: (me) => {
        me.sendData("clear");
        me.startTls(CLIENT);
        me.sendData("secret");
      },
    });
    const server = await served.peer();
    await trial.until(() => server.text.endsWith("secret"), "the secret");
    assert.ok(server.text.startsWith("clear"));
    assert.equal(server.isSecure && client.isSecure, true);
  });

  engine.rule("the roles can be the other way round", async (trial) => {
    const { client, server } = await trial.pair({
      client: { postInit: (me) => me.startTls({ context: SERVER, role: "server" }) },
      server: {
        postInit: (me) => me.startTls({ context: CLIENT, role: "client", serverName: "server.test" }),
        receiveData: (me, data) => me.sendData(data),
      },
    });
    client.sendData("hello");
    await trial.until(() => client.text === "hello", "the echo");
    assert.match(server.peerCertificate?.subject ?? "", /server\.test/);
    assert.equal(client.sniHostname, "server.test");
  });

  // Injected text ------------------------------------------------------------------------------------------------

  engine.rule("bytes in clear after the point where TLS begins are never taken for protected ones", async (trial) => {
    const { client, server } = await trial.pair({ server: { receiveData: (me) => me.pause() } });
    client.sendData("STARTTLS\r\n");
    await trial.until(() => server.bytes > 0, "the request");
    client.sendData("MAIL FROM:<mallory>\r\n");
    await trial.settle();
    server.sendData("220\r\n");
    server.startTls(SERVER);
    server.resume();
    await trial.allUnbound(server);
    assert.equal(server.text, "STARTTLS\r\n");
    assert.match(tlsCode(server.reason) ?? "", /^ERR_EM_TLS_(PLAINTEXT|HANDSHAKE)$/);
    client.closeConnection();
  });

  engine.rule("lines behind the line that began TLS end the connection", async (trial) => {
    const servers: StartingServer[] = [];
    const listener = await trial.reactor.startServer(
      { host: "127.0.0.1", port: 0 },
      class extends StartingServer {
        override postInit(): void {
          servers.push(this);
        }
      },
    );
    const client = trial.dial({ host: "127.0.0.1", port: listener.port as number });
    client.sendData("STARTTLS\r\nMAIL FROM:<mallory>\r\n");
    await trial.allUnbound(client);
    await trial.until(() => servers[0]?.reason !== undefined, "the server's end");
    assert.deepEqual(servers[0]?.lines, ["STARTTLS"]);
    assert.equal(tlsCode(servers[0]?.reason), "ERR_EM_TLS_PLAINTEXT");
  });

  engine.rule("half a line behind it too, also on the client's side", async (trial) => {
    const served = await trial.serve({ postInit: (me) => me.sendData("220 go ahead\r\n250 fals") });
    const client = trial.reactor.connect(served.at as { host: string; port: number }, StartingClient);
    await trial.until(() => client.reason !== undefined, "the end");
    assert.deepEqual(client.lines, ["220 go ahead"]);
    assert.equal(tlsCode(client.reason), "ERR_EM_TLS_PLAINTEXT");
  });

  engine.rule("received names bytes of the TLS stream that the handler was given", async (trial) => {
    const header = "PROXY TCP4 192.0.2.1 192.0.2.2 1234 443\r\n";
    const held: Buffer[] = [];
    const served = await trial.serve({
      receiveData: (me, data) => {
        if (me.isSecure) return;
        held.push(data);
        const all = Buffer.concat(held);
        // Some of the hello has to be there, so that there is something to hand on.
        if (all.length <= header.length) return;
        assert.equal(all.subarray(0, header.length).toString(), header);
        me.startTls({ context: SERVER, received: all.subarray(header.length) });
      },
    });
    const client = trial.dial(served, {
      postInit: (me) => {
        me.sendData(header);
        me.startTls(CLIENT);
        me.sendData("GET");
      },
    });
    const server = await served.peer();
    await trial.until(() => server.text.endsWith("GET"), "the request");
    assert.equal(client.isSecure, true);
  });

  engine.rule("a line protocol hands its leftover on by unfinished", async (trial) => {
    const lines: string[] = [];
    const listener = await trial.reactor.startServer(
      { host: "127.0.0.1", port: 0 },
      class extends LineText2 {
        override receiveLine(line: string): void {
          lines.push(line);
          if (!line.startsWith("PROXY")) return;
          this.pause();
          // TLS begins later, when the hello may have been read behind the header.
          trial.reactor.addTimer(50, () => {
            this.startTls({ context: SERVER, received: this.unfinished });
            this.resume();
          });
        }
      },
    );
    const client = trial.dial(
      { host: "127.0.0.1", port: listener.port as number },
      {
        postInit: (me) => {
          me.sendData("PROXY UNKNOWN\r\n");
          me.startTls(CLIENT);
          me.sendData("hello\r\n");
        },
      },
    );
    await trial.until(() => lines.length === 2, "the line");
    assert.deepEqual(lines, ["PROXY UNKNOWN", "hello"]);
    client.closeConnection();
    await trial.until(() => trial.reactor.connectionCount === 0, "the end");
  });

  // At the wrong time --------------------------------------------------------------------------------------------

  engine.rule("TLS begins once", async (trial) => {
    const { client, server } = await trial.over("tls").pair();
    for (const each of [client, server]) {
      assert.throws(() => each.startTls(CLIENT), { name: "StateError", code: "ERR_EM_TLS_STARTED" });
    }
    const plain = await trial.over("tcp").serve({
      postInit: (me) => {
        me.startTls(SERVER);
        assert.throws(() => me.startTls(SERVER), { code: "ERR_EM_TLS_STARTED" });
      },
    });
    const early = trial.dial(plain, {
      postInit: (me) => {
        me.startTls(CLIENT);
        assert.throws(() => me.startTls(CLIENT), { code: "ERR_EM_TLS_STARTED" });
      },
    });
    await early.secured;
  });

  engine.rule("not on a connection that closes, has closed, or has ended its direction", async (trial) => {
    const { client, server } = await trial.pair({ listen: { allowHalfOpen: true } });
    client.halfClose();
    assert.throws(() => client.startTls(CLIENT), { name: "StateError", code: "ERR_EM_WRITE_AFTER_END" });
    server.closeConnectionAfterWriting();
    assert.throws(() => server.startTls(SERVER), { name: "StateError", code: "ERR_EM_NOT_OPEN" });
    await trial.allUnbound();
    assert.throws(() => client.startTls(CLIENT), { name: "StateError", code: "ERR_EM_NOT_OPEN" });
  });

  engine.rule("behind the peer's end there is nobody to begin it with", async (trial) => {
    const { client, server } = await trial.pair({ listen: { allowHalfOpen: true } });
    client.halfClose();
    await trial.until(() => server.ends === 1, "the end");
    server.startTls(SERVER);
    await trial.allUnbound(server);
    assert.equal(tlsCode(server.reason), "ERR_EM_TLS_HANDSHAKE");
  });

  engine.ruleNeeding(
    "detach",
    "detach is refused from startTls on",
    async (trial) => {
      const { client } = await trial.over("tls").pair();
      await assert.rejects(client.detach(), { name: "StateError", code: "ERR_EM_TLS_STARTED" });
      assert.equal(client.state, "open");
    },
    async (trial) => {
      const { client } = await trial.pair();
      await client.detach();
    },
  );

  // Again --------------------------------------------------------------------------------------------------------

  engine.rule(
    "reconnect begins TLS again as it was asked for first, with nothing left of the last life",
    async (trial) => {
      const served = await trial.serve({ receiveData: (me, data) => me.sendData(data) }, { tls: SERVER });
      const client = trial.dial(served, {}, { tls: CLIENT });
      await client.secured;
      client.closeConnection();
      await trial.allUnbound(client);
      client.reconnect(served.at);
      assert.equal(client.isSecure, false);
      assert.equal(client.tls, undefined);
      client.sendData("again");
      await trial.until(() => client.text === "again", "the echo");
      assert.equal(client.isSecure, true);
      assert.equal(client.handshakes, 2);
      client.closeConnection();
      await trial.allUnbound(client);
      const plain = await trial.serve({ receiveData: (me, data) => me.sendData(data) });
      client.reconnect({ ...plain.at, tls: false });
      client.sendData(" in clear");
      await trial.until(() => client.text === "again in clear", "the echo");
      assert.equal(client.isSecure, false);
      client.closeConnection();
    },
  );

  engine.rule("a TLS connection begun by hand is plain again in its next life", async (trial) => {
    const begin = (context: TlsContext) => (me: Recorder) => me.startTls(context);
    const served = await trial.serve({ postInit: begin(SERVER) });
    const client = trial.dial(served, { connectionCompleted: begin(CLIENT) });
    await trial.until(() => client.isSecure, "secured");
    client.closeConnection();
    await trial.allUnbound(client);
    client.script.connectionCompleted = () => {};
    client.reconnect(served.at);
    await client.opened;
    assert.equal(client.tls, undefined);
    client.closeConnection();
    await trial.allUnbound();
  });
});
