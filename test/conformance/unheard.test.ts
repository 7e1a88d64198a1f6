import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createServer } from "node:net";
import { test } from "node:test";
import { promisify } from "node:util";
import { onEveryEngine } from "../support/harness.js";
import { PATIENCE } from "../support/wait.js";

/** A program whose connects to `refused` fail: nobody listens there. It prints every warning as one line of JSON. */
function program(engine: string, refused: number, body: string): string {
  return `
    import { Connection, Reactor } from "eventmachine";
    process.removeAllListeners("warning");
    process.on("warning", ({ name, code, message }) => console.log(JSON.stringify({ name, code, message })));
    const reactor = new Reactor({ engine: "${engine}" });
    const refused = { host: "127.0.0.1", port: ${refused} };
    const within = (ms) => new Promise((resolve) => reactor.addTimer(ms, resolve));
    class Client extends Connection { connectionCompleted() { this.sendData("hello"); } }
    await reactor.run(async () => {
      ${body}
      reactor.stop();
    });`;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function told(
  engine: string,
  body: string,
  env: NodeJS.ProcessEnv = {},
): Promise<{ stdout: string; stderr: string }> {
  const args = ["--input-type=module", "-e", program(engine, await freePort(), body)];
  return promisify(execFile)(process.execPath, args, { timeout: PATIENCE, env: { ...process.env, ...env } });
}

onEveryEngine("a connect that fails and that nobody hears of", (engine) => {
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
