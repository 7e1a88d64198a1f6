import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { freePort } from "../support/free_port.js";
import { onEveryEngine } from "../support/harness.js";
import { pkiPath } from "../support/pki.js";
import { PATIENCE } from "../support/wait.js";

/** A program whose connects to `refused` fail: nobody listens there. It prints every warning as one line of JSON. */
function program(engine: string, refused: number, body: string): string {
  return `
    import { Connection, Reactor } from "eventmachine";
    process.removeAllListeners("warning");
    let warnings = 0;
    process.on("warning", ({ name, code, message }) => {
      warnings++;
      console.log(JSON.stringify({ name, code, message }));
    });
    const pki = (name) => ${JSON.stringify(pkiPath(""))} + name;
    const identity = { cert: pki("server.pem"), key: pki("server-key.pem") };
    const reactor = new Reactor({ engine: "${engine}" });
    const refused = { host: "127.0.0.1", port: ${refused} };
    const within = (ms) => new Promise((resolve) => reactor.addTimer(ms, resolve));
    class Client extends Connection { connectionCompleted() { this.sendData("hello"); } }
    await reactor.run(async () => {
      ${body}
      reactor.stop();
    });`;
}

async function told(
  engine: string,
  body: string,
  env: NodeJS.ProcessEnv = {},
): Promise<{ stdout: string; stderr: string }> {
  const args = ["--input-type=module", "-e", program(engine, await freePort(), body)];
  return promisify(execFile)(process.execPath, args, { timeout: PATIENCE, env: { ...process.env, ...env } });
}

onEveryEngine("a connect, or its TLS, that fails and that nobody hears of", (engine) => {
  test("is a warning with its code, once for each class and code", async () => {
    const { stdout } = await told(
      engine.name,
      `reactor.connect(refused, Client);
      reactor.connect(refused, Client);
      reactor.connect(refused, class Other extends Client {});
      reactor.connect({ path: "/nonexistent/socket" }, Client);
      await within(200);`,
    );
    const warnings = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { name: string; code: string; message: string });
    assert.deepEqual(warnings.map(({ name, code }) => `${name} ${code}`).sort(), [
      "EventMachine ECONNREFUSED",
      "EventMachine ECONNREFUSED",
      "EventMachine ENOENT",
    ]);
    assert.match(stdout, /cannot connect to 127\.0\.0\.1:\d+: .*\(Client has no unbind/);
    assert.match(stdout, /\(Other has no unbind/);
  });

  test("no warning where somebody hears of it, or called it off", async () => {
    const { stdout, stderr } = await told(
      engine.name,
      `reactor.connect(refused, class extends Client { unbind() {} });
      reactor.connect(refused, Client).closed.then(() => {});
      reactor.connect(refused, Client).opened.catch(() => {});
      const assigned = reactor.connect(refused, Client);
      assigned.unbind = () => {};
      try { for await (const _ of reactor.connect(refused)) {} } catch {}
      reactor.connect(refused, Client).closeConnection();
      reactor.connect({ ...refused, signal: AbortSignal.abort() }, Client);
      await within(200);
      reactor.connect(refused, Client);`,
    );
    assert.deepEqual([stdout, stderr], ["", ""]);
  });

  /** Servers, of a class without `unbind` as well, that a client's TLS fails with; and how. */
  const FAILING = `
    const listen = async (Handler, options) => (await reactor.startServer({ host: "127.0.0.1", port: 0, ...options }, Handler)).port;
    const stranger = await listen(class extends Connection {}, { tls: { cert: pki("stranger.pem"), key: pki("stranger-key.pem") } });
    const demanding = await listen(class extends Connection {}, { tls: { ...identity, ca: pki("ca.pem"), requireCertificate: true } });
    const leaving = await listen(class extends Connection { receiveData() { this.closeConnection(); } });
    const resetting = await listen(class extends Connection { receiveData() { this.abort(); } });
    const silent = await listen(class extends Connection { receiveData() {} });
    const ca = pki("ca.pem");
    const tls = { ca, verifyName: "server.test" };
    const open = (port, Handler = Client, handshakeTimeout = 10_000) =>
      reactor.connect({ host: "127.0.0.1", port, tls: { ...tls, handshakeTimeout } }, Handler);`;

  test("a client's TLS that fails is such a warning too, in its handshake and after it", async () => {
    const { stdout } = await told(
      engine.name,
      `${FAILING}
      open(stranger);
      open(stranger);
      for (const port of [demanding, leaving, resetting]) open(port);
      open(silent, Client, 50);
      reactor.connect({ host: "127.0.0.1", port: stranger }, class Late extends Connection {
        connectionCompleted() { this.startTls(tls); }
      });
      while (warnings < 6) await within(20);
      await within(100);`,
    );
    const said = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { name: string; code: string; message: string });
    const codes = said.map(
      ({ name, code, message }) => `${name} ${code} ${/\((\w+) has no unbind/.exec(message)?.[1]}`,
    );
    assert.deepEqual(codes.sort(), [
      "EventMachine ECONNRESET Client",
      "EventMachine ERR_EM_TIMEOUT Client",
      "EventMachine ERR_EM_TLS_HANDSHAKE Client",
      "EventMachine ERR_EM_TLS_PROTOCOL Client",
      "EventMachine ERR_EM_TLS_VERIFY Client",
      "EventMachine ERR_EM_TLS_VERIFY Late",
    ]);
    assert.match(stdout, /127\.0\.0\.1:\d+: the peer's certificate was refused: .*\(Client has no unbind/);
  });

  test("no warning where somebody hears of the TLS, where the program ended it, or on a server", async () => {
    const { stdout, stderr } = await told(
      engine.name,
      `${FAILING}
      open(stranger, class extends Client { unbind() {} });
      open(stranger).secured.catch(() => {});
      open(stranger).closed.then(() => {});
      open(silent, class extends Connection { connectionCompleted() { this.closeConnection(); } });
      open(silent, class extends Connection { connectionCompleted() { reactor.addTimer(20, () => this.abort()); } });
      const raw = reactor.connect({ host: "127.0.0.1", port: demanding }, class extends Connection {
        connectionCompleted() { this.sendData("no hello at all\\n"); }
      });
      await within(400);
      open(silent);`,
    );
    assert.deepEqual([stdout, stderr], ["", ""]);
  });

  test("NODE_DEBUG=eventmachine says how TLS failed, on both sides", async () => {
    const body = `${FAILING}
      await open(stranger).closed;
      await within(50);`;
    const { stderr } = await told(engine.name, body, { NODE_DEBUG: "eventmachine" });
    assert.match(stderr, /connection \d+: ended, tls-error: TlsError: the peer's certificate was refused/);
    assert.match(stderr, /connection \d+: ended, tls-error: TlsError: the TLS handshake failed/);
  });

  test("NODE_DEBUG=eventmachine says what opens and ends, and how", async () => {
    const body = `
      const { port } = await reactor.startServer({ host: "127.0.0.1", port: 0 }, class extends Connection {
        receiveData() { this.closeConnection(); }
      });
      reactor.connect(refused, class extends Client { unbind() {} });
      await reactor.connect({ host: "127.0.0.1", port }, Client).closed;
      await within(50);`;
    const { stderr } = await told(engine.name, body, { NODE_DEBUG: "eventmachine" });
    for (const line of [
      /listener: open, 127\.0\.0\.1:\d+$/m,
      /listener: closed, 127\.0\.0\.1:\d+, 1 accepted$/m,
      /connection \d+: open, 127\.0\.0\.1:\d+ from 127\.0\.0\.1:\d+$/m,
      /connection \d+: open, 127\.0\.0\.1:\d+ to 127\.0\.0\.1:\d+$/m,
      /connection \d+: ended, local-close$/m,
      /connection \d+: ended, peer-(closed|reset.*)$/m,
      /connection \d+: ended, connect-refused: ConnectError: cannot connect to .*ECONNREFUSED/m,
    ])
      assert.match(stderr, line);
    assert.equal((await told(engine.name, body)).stderr, "");
  });
});
