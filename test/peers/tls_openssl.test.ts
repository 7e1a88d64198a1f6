import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { type CloseReason, LineText2, TlsContext, type TlsOptions } from "eventmachine";
import { issue } from "../support/certificates.js";
import { Child } from "../support/child.js";
import { onEveryEngine } from "../support/harness.js";
import { AUTHORITY, clientContext, identity, pkiFile, pkiPath, serverContext } from "../support/pki.js";
import type { Script } from "../support/recorder.js";
import type { Served } from "../support/trial.js";

const ECHO: Script = { receiveData: (me, data) => me.sendData(data) };

/** Nothing but what comes, and an end where its input ends. */
const QUIET = ["-quiet", "-no_ign_eof"];

/** `openssl s_client` on a server of ours; with `-quiet` it prints what comes and nothing else. */
function sClient(served: Served, ...args: string[]): Child {
  const { port } = served.at as { port: number };
  const place = [
    "-connect",
    `127.0.0.1:${port}`,
    "-CAfile",
    AUTHORITY,
    "-verify_return_error",
    "-servername",
    "server.test",
  ];
  return new Child("openssl", ["s_client", ...place, ...args]);
}

/** `openssl s_server` with one of the test certificates, and the port it listens on; it answers lines reversed. */
async function sServer(
  name: string,
  ...args: string[]
): Promise<{ server: Child; at: { host: string; port: number } }> {
  const { cert, key } = identity(name);
  const place = ["-accept", "127.0.0.1:0", "-cert", cert, "-key", key];
  const server = new Child("openssl", ["s_server", ...place, ...(args.includes("-www") ? [] : ["-rev"]), ...args]);
  for (;;) {
    const [, port] = /^ACCEPT .*:(\d+)$/.exec(await server.line()) ?? [];
    if (port !== undefined) return { server, at: { host: "127.0.0.1", port: Number(port) } };
  }
}

async function lineWith(child: Child, pattern: RegExp): Promise<string> {
  for (;;) {
    const line = await child.line();
    if (pattern.test(line)) return line;
  }
}

function alertOf(reason: CloseReason | undefined): string | undefined {
  return reason?.kind === "tls-error" ? reason.error.alert?.name : undefined;
}

const VERSIONS = { "TLSv1.2": "-tls1_2", "TLSv1.3": "-tls1_3" } as const;

onEveryEngine("openssl", (engine) => {
  for (const [version, flag] of Object.entries(VERSIONS)) {
    for (const name of ["server", "server-rsa"]) {
      engine.rule(`s_client speaks ${version} with ${name}`, async (trial) => {
        const served = await trial.serve(ECHO, { tls: serverContext({}, name) });
        await using client = sClient(served, ...QUIET, flag);
        client.say("hello");
        assert.equal(await client.line(), "hello");
        const server = await served.peer();
        assert.equal(server.protocol, version);
        assert.equal(server.sniHostname, "server.test");
        client.feed("", true);
        await client.ended();
        await trial.allUnbound();
        assert.equal(server.kind, "peer-closed");
      });

      engine.rule(`a client of ours speaks ${version} with s_server and ${name}`, async (trial) => {
        const { server, at } = await sServer(name, flag);
        await using _ = server;
        const client = trial.dial(at, {}, { tls: clientContext() });
        client.sendData("hello\n");
        await trial.until(() => client.text === "olleh\n", "the answer");
        assert.equal(client.protocol, version);
        assert.equal(client.tls?.isAuthorized, true);
        client.closeConnectionAfterWriting();
        await trial.allUnbound();
      });
    }
  }

  engine.rule("versions below are refused in both roles, with the alert", async (trial) => {
    const served = await trial.serve(ECHO, { tls: serverContext() });
    await using client = sClient(served, "-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0");
    assert.notEqual((await client.ended()).code, 0);
    assert.match(client.stderr, /alert protocol version/);
    await trial.allUnbound();
    assert.equal(served.peers[0]?.kind, "tls-error");
    const { server, at } = await sServer("server", "-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0");
    await using _ = server;
    const ours = trial.dial(at, {}, { tls: clientContext() });
    await trial.allUnbound();
    assert.equal(alertOf(ours.reason), "protocol_version");
  });

  engine.rule("s_client shows a certificate where one is asked for, and is refused without", async (trial) => {
    const served = await trial.serve(ECHO, { tls: serverContext({ ca: AUTHORITY, requireCertificate: true }) });
    const { cert, key } = identity("client");
    await using client = sClient(served, ...QUIET, "-cert", cert, "-key", key);
    client.say("hello");
    assert.equal(await client.line(), "hello");
    assert.match((await served.peer()).peerCertificate?.subject ?? "", /alice/);
    await using stranger = sClient(served, ...QUIET);
    assert.notEqual((await stranger.ended()).code, 0);
    assert.match(stranger.stderr, /alert certificate required/);
    assert.equal((await served.peer(1)).handshakes, 0);
  });

  engine.rule("a client of ours shows its certificate to s_server", async (trial) => {
    const { server, at } = await sServer("server", "-Verify", "1", "-CAfile", AUTHORITY, "-verify_return_error");
    await using _ = server;
    const client = trial.dial(at, {}, { tls: clientContext(identity("client")) });
    client.sendData("hello\n");
    await trial.until(() => client.text === "olleh\n", "the answer");
    client.closeConnectionAfterWriting();
    const without = trial.dial(at, { postInit: (me) => me.sendData("hello\n") }, { tls: clientContext() });
    await trial.allUnbound();
    assert.equal(alertOf(without.reason), "certificate_required");
    assert.equal(without.bytes, 0);
  });

  const [leaf = "", intermediate = ""] = pkiFile("chained.pem")
    .toString()
    .split(/(?<=-----END CERTIFICATE-----\n)/);
  const alone = { cert: leaf, key: pkiPath("chained-key.pem"), ca: [intermediate, AUTHORITY] };

  for (const [version, flag] of Object.entries(VERSIONS)) {
    engine.rule(`s_client is sent the intermediate that stands in ca (${version})`, async (trial) => {
      const served = await trial.serve(ECHO, { tls: new TlsContext(alone) });
      await using client = sClient(served, "-showcerts", flag);
      const shown: string[] = [];
      for (let line = ""; !line.startsWith("Server certificate"); line = await client.line()) {
        if (line.startsWith("-----BEGIN")) shown.push("");
        if (shown.length > 0) shown.push(`${shown.pop()}${line}\n`);
      }
      assert.ok(shown[0]?.startsWith(leaf), "the leaf");
      assert.ok(shown[1]?.startsWith(intermediate), "the intermediate, whom s_client does not know");
      assert.match(await lineWith(client, /Verify return code|Verification/), /OK|0 \(ok\)/);
      client.feed("", true);
      await client.ended();
      await trial.allUnbound();
    });

    engine.rule(`s_server is sent the intermediate that stands in a client's ca (${version})`, async (trial) => {
      const root = issue({ names: ["Root"], isAuthority: true });
      const middle = issue({ names: ["Middle"], by: root, isAuthority: true });
      const { cert, key } = issue({ names: ["alice"], by: middle });
      const file = trial.path("root.pem");
      writeFileSync(file, root.cert);
      const { server, at } = await sServer("server", "-Verify", "2", "-CAfile", file, "-verify_return_error", flag);
      await using _ = server;
      const ca = [middle.cert, root.cert, AUTHORITY];
      const client = trial.dial(at, {}, { tls: new TlsContext({ cert, key, ca }) });
      client.sendData("hello\n");
      await trial.until(() => client.text === "olleh\n", "the answer");
      client.closeConnectionAfterWriting();
      await trial.allUnbound();
    });
  }

  engine.rule("s_server learns by an alert what a client of ours thinks of its certificate", async (trial) => {
    for (const [name, alert, verifyError] of [
      ["expired", /alert certificate expired/, /CERT_HAS_EXPIRED/],
      ["stranger", /alert unknown ca/, /UNABLE_TO_/],
      ["self", /alert (unknown ca|bad certificate)/, /DEPTH_ZERO_SELF_SIGNED_CERT/],
      ["elsewhere", /alert (bad certificate|certificate unknown)/, /IP_ADDRESS_MISMATCH/],
    ] as const) {
      const { server, at } = await sServer(name);
      await using _ = server;
      const client = trial.dial(at, {}, { tls: clientContext() });
      await trial.allUnbound(client);
      assert.ok(client.reason?.kind === "tls-error");
      assert.match(client.reason.error.verifyError ?? "", verifyError);
      if (engine.has("tlsAlerts")) {
        await trial.until(() => alert.test(server.stderr), `${name}: the alert`);
      }
    }
  });

  engine.rule("s_client agrees on a protocol, or is refused", async (trial) => {
    const served = await trial.serve(ECHO, { tls: serverContext({ alpn: ["h2", "http/1.1"] }) });
    await using client = sClient(served, "-alpn", "http/1.1,h2");
    await lineWith(client, /^ALPN protocol: h2$/);
    await using other = sClient(served, "-alpn", "imap");
    assert.notEqual((await other.ended()).code, 0);
    assert.match(other.stderr, /alert no application protocol/);
  });

  engine.rule("s_client is shown the certificate of the name it asks for", async (trial) => {
    const options: TlsOptions = {
      contexts: { "*.wild.test": serverContext({}, "wild") },
      selectContext: async (name) => {
        await trial.sleep(5);
        return name === "other.test" ? serverContext({}, "other") : null;
      },
    };
    const served = await trial.serve(ECHO, { tls: serverContext(options) });
    for (const [name, subject] of [
      ["a.wild.test", "*.wild.test"],
      ["other.test", "other.test"],
    ] as const) {
      await using client = sClient(served, "-servername", name, "-verify_hostname", name);
      await lineWith(client, new RegExp(`^subject=CN = ${subject.replace(/[.*]/g, "\\$&")}$`));
    }
    await using refused = sClient(served, "-servername", "unknown.test");
    assert.notEqual((await refused.ended()).code, 0);
    if (engine.has("tlsAlerts")) assert.match(refused.stderr, /unrecognized name/);
  });

  for (const [version, flag] of Object.entries(VERSIONS)) {
    engine.rule(`s_client resumes its session, also with rotated keys (${version})`, async (trial) => {
      const context = serverContext({ ticketKeys: [Buffer.alloc(48, 1)] });
      const served = await trial.serve(ECHO, { tls: context });
      const file = trial.path("session");
      const visit = async (...args: string[]) => {
        await using client = sClient(served, flag, ...args);
        client.say("hello");
        const line = await lineWith(client, /^(New|Reused), /);
        await lineWith(client, /^hello$/);
        client.say("Q");
        await client.ended();
        return line;
      };
      assert.match(await visit("-sess_out", file), /^New/);
      assert.ok(existsSync(file));
      assert.match(await visit("-sess_in", file), /^Reused/);
      if (engine.has("ticketKeySets")) {
        context.setTicketKeys([Buffer.alloc(48, 2), Buffer.alloc(48, 1)]);
        assert.match(await visit("-sess_in", file), /^Reused/);
      }
      context.setTicketKeys([Buffer.alloc(48, 3)]);
      assert.match(await visit("-sess_in", file), /^New/);
    });
  }

  engine.rule("s_client staples, and s_server is asked to", async (trial) => {
    const served = await trial.serve(ECHO, { tls: serverContext({ ocspResponse: readFileSync(pkiPath("ocsp.der")) }) });
    await using client = sClient(served, "-status");
    await lineWith(client, /OCSP Response Status: successful/);
    const { server, at } = await sServer("server", "-status_file", pkiPath("ocsp.der"));
    await using _ = server;
    const ours = trial.dial(at, {}, { tls: clientContext({ requestOcsp: true }) });
    assert.deepEqual((await ours.secured).ocspResponse, readFileSync(pkiPath("ocsp.der")));
    ours.closeConnection();
  });

  engine.rule("STARTTLS of SMTP, as s_client does it", async (trial) => {
    const lines: [string, boolean][] = [];
    class Smtp extends LineText2 {
      override postInit(): void {
        this.sendData("220 mail.example.test ESMTP\r\n");
      }
      override receiveLine(line: string): void {
        lines.push([line, this.isSecure]);
        if (line.startsWith("EHLO")) this.sendData("250-mail.example.test\r\n250 STARTTLS\r\n");
        else if (line === "STARTTLS") {
          this.sendData("220 go ahead\r\n");
          this.startTls(serverContext());
        } else this.sendData("250 ok\r\n");
      }
    }
    const listener = await trial.reactor.startServer({ host: "127.0.0.1", port: 0 }, Smtp);
    const at = { at: { host: "127.0.0.1", port: listener.port as number } } as Served;
    await using client = sClient(at, "-starttls", "smtp", ...QUIET);
    client.say("NOOP");
    await lineWith(client, /^250 ok/);
    assert.deepEqual(lines.at(-1), ["NOOP", true]);
    assert.deepEqual(lines.at(-2), ["STARTTLS", false]);
    client.kill();
    await trial.until(() => trial.reactor.connectionCount === 0, "the end");
  });

  engine.rule("a stream that is cut off is told from one that ends", async (trial) => {
    const served = await trial.serve(ECHO, { tls: serverContext() });
    const run = async (end: (client: Child) => void) => {
      const client = sClient(served, ...QUIET);
      client.say("hello");
      assert.equal(await client.line(), "hello");
      end(client);
      await client.ended();
      await trial.allUnbound();
      const { reason } = served.peers.at(-1) ?? {};
      assert.ok(reason?.kind === "peer-closed", `ended by ${JSON.stringify(reason)}`);
      return reason.truncated;
    };
    const knows = engine.has("tlsTruncation");
    assert.equal(await run((client) => client.kill()), knows ? true : undefined);
    assert.equal(await run((client) => client.feed("", true)), knows ? false : undefined);
  });

  engine.rule("a client that wants to renegotiate is not answered", async (trial) => {
    const served = await trial.serve(ECHO, { tls: serverContext() });
    await using client = sClient(served, "-tls1_2");
    client.say("hello");
    await lineWith(client, /^hello$/);
    client.say("R");
    assert.notEqual((await client.ended()).code, 0);
    assert.match(client.stderr, /no renegotiation/);
    await trial.allUnbound();
    assert.equal(served.peers[0]?.handshakes, 1);
  });
});
