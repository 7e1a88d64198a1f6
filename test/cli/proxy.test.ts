import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { CONFIG_NAMES } from "../../src/cli/proxy_config.js";
import { identity, pkiPath } from "../support/pki.js";
import { ENGINES, eventmachine, Peer, Program } from "./command.js";

const folder = mkdtempSync(join(tmpdir(), "em-proxy-"));
after(() => rmSync(folder, { recursive: true }));

/** An echo on a free port, and its address as text. */
async function echo(...more: string[]): Promise<{ server: Program; at: string }> {
  const server = eventmachine(["echo", "--listen", "127.0.0.1:0", ...more]);
  const { host, port } = await server.address();
  return { server, at: `${host}:${port}` };
}

function writeConfig(name: string, config: object): string {
  const file = join(folder, name);
  writeFileSync(file, JSON.stringify(config));
  return file;
}

/** One request over HTTP/1.1. */
function ask(port: number, path: string, host = "127.0.0.1"): Promise<{ status: number; type: string; body: string }> {
  return new Promise((resolve, reject) => {
    request({ host: "127.0.0.1", port, path, headers: { Host: host }, agent: false, timeout: 10_000 }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text) => {
        body += text;
      });
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, type: response.headers["content-type"] ?? "", body }),
      );
    })
      .on("error", reject)
      .end();
  });
}

async function echoes(address: { host: string; port: number }, text: string): Promise<void> {
  await using peer = new Peer(address);
  peer.send(text);
  await peer.gets(new RegExp(text));
}

for (const engine of ENGINES) {
  describe(`eventmachine proxy on ${engine}`, () => {
    test("passes on, logs, shows figures, and drains at SIGTERM", async () => {
      const origin = await echo();
      await using server = origin.server;
      assert.ok(server.pid > 0);
      await using proxy = eventmachine([
        ...["proxy", "--engine", engine, "--listen", "127.0.0.1:0", "--to", origin.at],
        ...["--balance", "least-connections", "--log", "--stats", ":0"],
      ]);
      const address = await proxy.address();
      const figures = await proxy.address("figures");
      assert.equal(figures.host, "127.0.0.1", "loopback where nothing else is said");
      await echoes(address, "hello");
      const [line] = await proxy.output(/^\{.*\}$/m);
      const { end, backend, bytesIn, bytesOut, client } = JSON.parse(line);
      assert.deepEqual([end, backend, bytesIn, bytesOut], ["client-closed", origin.at, 5, 5]);
      assert.match(client, /^127\.0\.0\.1:\d+$/);

      const stats = await ask(figures.port, "/stats");
      assert.equal(stats.type, "application/json");
      assert.deepEqual(JSON.parse(stats.body).ends, { "client-closed": 1 });
      const metrics = await ask(figures.port, "/metrics");
      assert.match(metrics.body, /^eventmachine_proxy_connections_total 1$/m);
      assert.match(metrics.body, new RegExp(`^eventmachine_proxy_backend_up\\{backend="${origin.at}"\\} 1$`, "m"));
      const page = await ask(figures.port, "/", "localhost:1");
      assert.match(page.body, /<title>eventmachine proxy<\/title>/);
      assert.equal((await ask(figures.port, "/stats", "evil.example")).status, 403);
      for (const path of ["//", "//[", "/%", "*", "http://[/"]) {
        assert.equal((await ask(figures.port, path)).status, 404, path);
      }
      assert.equal((await ask(figures.port, "/stats?fresh")).status, 200);
      assert.equal((await ask(figures.port, "/other")).status, 404);

      await using staying = new Peer(address);
      staying.send("still there");
      await staying.gets(/still there/);
      proxy.signal("SIGTERM");
      await staying.gets(/./);
      staying.send(" and after");
      await staying.gets(/and after/);
      await staying[Symbol.asyncDispose]();
      assert.equal(await proxy.exit(), 0, proxy.said());
    });

    test("reloads at SIGHUP without losing a connection, and keeps what it has where the file is bad", async () => {
      const [one, two] = [await echo(), await echo("--lines")];
      await using first = one.server;
      await using second = two.server;
      assert.notEqual(first.pid, second.pid);
      const listen = "127.0.0.1:0";
      const file = writeConfig(`reload-${engine}.json`, { listen, backends: [one.at] });
      await using proxy = eventmachine(["proxy", "--engine", engine, "--config", file, "--stats", ":0"]);
      const address = await proxy.address();
      const figures = await proxy.address("figures");
      const names = async () =>
        JSON.parse((await ask(figures.port, "/stats")).body).backends.map(({ name }: { name: string }) => name);
      await using old = new Peer(address);
      old.send("before");
      await old.gets(/before/);

      writeFileSync(file, "{ this is no JSON");
      proxy.signal("SIGHUP");
      await waitFor(() => proxy.stderr.includes("not reloaded"), proxy);
      writeFileSync(file, JSON.stringify({ listen, backends: ["nonsense"] }));
      proxy.signal("SIGHUP");
      await waitFor(() => proxy.stderr.split("not reloaded").length === 3, proxy);
      assert.deepEqual(await names(), [one.at]);

      for (let round = 0; round < 10; round++) {
        const at = round % 2 === 0 ? two.at : one.at;
        writeFileSync(file, JSON.stringify({ listen, backends: [at] }));
        proxy.signal("SIGHUP");
        await waitFor(() => proxy.stdout.split("reloaded\n").length === round + 2, proxy);
        assert.deepEqual(await names(), [at]);
        await echoes(address, "line\n");
        old.send(`round ${round}`);
        await old.gets(new RegExp(`round ${round}`));
      }
      proxy.signal("SIGTERM");
      await old[Symbol.asyncDispose]();
      assert.equal(await proxy.exit(), 0, proxy.said());
    });

    test("serves redis, checks it, and leaves it out while it is gone", async () => {
      const socket = join(folder, `redis-${engine}.sock`);
      const redis = () =>
        new Program("redis-server", ["--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no"]);
      let server = redis();
      try {
        await server.output(/ready to accept|Ready to accept|now ready/);
        await using proxy = eventmachine([
          ...["proxy", "--engine", engine, "--listen", "127.0.0.1:0", "--to", `unix:${socket}`, "--stats", ":0"],
          ...["--config", writeConfig(`redis-${engine}.json`, { health: { interval: 50, fall: 2, rise: 1 } })],
          ...["--health", "PING\\r\\n", "--health-expect", "+PONG"],
        ]);
        const address = await proxy.address();
        const figures = await proxy.address("figures");
        const state = async () => JSON.parse((await ask(figures.port, "/stats")).body).backends[0].state;
        await using peer = new Peer(address);
        peer.send("SET key value\r\nGET key\r\nECHO done\r\n");
        await peer.gets(/\+OK\r\n\$5\r\nvalue\r\n\$4\r\ndone\r\n/);
        await server[Symbol.asyncDispose]();
        await until(async () => (await state()) === "down");
        server = redis();
        await until(async () => (await state()) === "up");
        await using again = new Peer(address);
        again.send("PING\r\n");
        await again.gets(/\+PONG\r\n/);
      } finally {
        await server[Symbol.asyncDispose]();
      }
    });
  });
}

test("TLS in front, TLS behind, PROXY headers between two of them, and routes by name", async () => {
  const { cert, key } = identity("server");
  const origin = await echo("--tls-cert", cert, "--tls-key", key);
  await using server = origin.server;
  assert.ok(server.pid > 0);
  await using inner = eventmachine([
    ...["proxy", "--listen", "127.0.0.1:0", "--to", origin.at, "--to-tls", "--to-ca", pkiPath("ca.pem")],
    ...["--proxy-protocol", "in", "--proxy-from", "127.0.0.0/8", "--log"],
  ]);
  const behind = await inner.address();
  await using outer = eventmachine([
    ...["proxy", "--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key],
    ...["--to", `127.0.0.1:${behind.port}`, "--proxy-protocol", "out"],
  ]);
  const front = await outer.address();
  await using client = new Program("openssl", ["s_client", "-quiet", "-connect", `127.0.0.1:${front.port}`]);
  client.type("through all of it\n");
  await client.output(/through all of it/);
  client.signal("SIGTERM");
  const [line] = await inner.output(/^\{.*\}$/m);
  assert.match(JSON.parse(line).client, /^127\.0\.0\.1:\d+$/);

  await using router = eventmachine([
    "proxy",
    "--listen",
    "127.0.0.1:0",
    "--to",
    "127.0.0.1:9",
    "--sni",
    `named.example=${origin.at}`,
  ]);
  const routed = await router.address();
  const args = ["s_client", "-quiet", "-servername", "named.example", "-connect", `127.0.0.1:${routed.port}`];
  await using named = new Program("openssl", args);
  named.type("by name\n");
  await named.output(/by name/);
});

test("--check says what is wrong, and connects to nobody", async () => {
  const cases: [object | string, RegExp | undefined][] = [
    [{ listen: "127.0.0.1:0", backends: ["127.0.0.1:9"], health: {}, access: { deny: "10.0.0.0/8" } }, undefined],
    [{ listen: "127.0.0.1:0", backends: [] }, /--to ADDR/],
    [{ backends: ["127.0.0.1:9"] }, /--listen ADDR/],
    [{ listen: "nowhere", backends: ["127.0.0.1:9"] }, /must be host:port/],
    [{ listen: "127.0.0.1:0", backends: ["127.0.0.1:9"], misspelt: 1 }, /must not have "misspelt"/],
    [{ listen: "127.0.0.1:0", backends: ["127.0.0.1:9"], balance: "best" }, /balance must be one of/],
    [{ listen: "127.0.0.1:0", backends: ["127.0.0.1:9"], health: { interval: "1s" } }, /health.interval/],
    [{ listen: "127.0.0.1:0", backends: ["127.0.0.1:9"], tls: { cert: "/nonexistent.pem" } }, /nonexistent/],
    ["[]", /must have an object/],
    ["{", /JSON/],
  ];
  for (const [config, wrong] of cases) {
    const file = join(folder, "check.json");
    writeFileSync(file, typeof config === "string" ? config : JSON.stringify(config));
    await using program = eventmachine(["proxy", "--config", file, "--check"]);
    const code = await program.exit();
    if (wrong === undefined)
      assert.deepEqual([code, program.stdout], [0, "the configuration is good\n"], program.said());
    else {
      assert.notEqual(code, 0, program.said());
      assert.match(program.stderr, wrong);
      assert.equal(program.stderr.trim().split("\n").length, 1, program.said());
    }
  }
});

test("the published schema names what the command takes", () => {
  const schema = JSON.parse(readFileSync(new URL("../../../docs/proxy.schema.json", import.meta.url), "utf8"));
  assert.deepEqual(Object.keys(schema.properties).sort(), [...CONFIG_NAMES].sort());
  assert.equal(schema.additionalProperties, false);
});

async function until(condition: () => Promise<boolean>): Promise<void> {
  const limit = Date.now() + 15_000;
  while (!(await condition())) {
    assert.ok(Date.now() < limit, "not within 15 s");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function waitFor(condition: () => boolean, program: Program): Promise<void> {
  const limit = Date.now() + 10_000;
  while (!condition()) {
    assert.ok(Date.now() < limit, program.said());
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
