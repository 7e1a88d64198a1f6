import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import type { Reactor } from "eventmachine";
import { type FetchHandler, Response, serveHttp } from "eventmachine/http";
import { Agent, request as undiciRequest } from "undici";
import { pattern } from "../support/bytes.js";
import { Child } from "../support/child.js";
import { onEveryEngine } from "../support/harness.js";
import { source } from "../support/paths.js";
import { AUTHORITY, serverContext } from "../support/pki.js";

const BODY = pattern(4 * 1024 * 1024);

function digestOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Clients of other makes talk to one application. */
const application: FetchHandler = async (request) => {
  switch (new URL(request.url).pathname) {
    case "/hello":
      return new Response("hello\n");
    case "/echo":
      return new Response(await request.text());
    case "/big":
      return new Response(BODY);
    case "/digest": {
      const hash = createHash("sha256");
      for await (const piece of request.body ?? []) hash.update(piece);
      return new Response(`${hash.digest("hex")}\n`);
    }
    case "/stream": {
      let count = 0;
      const pull = async (controller: ReadableStreamDefaultController<Uint8Array>) => {
        await new Promise((resolve) => setTimeout(resolve, 2));
        if (count++ < 3) controller.enqueue(Buffer.from(`piece ${count}\n`));
        else controller.close();
      };
      return new Response(new ReadableStream({ pull }));
    }
    default:
      return new Response(null, { status: 404 });
  }
};

function curl(...args: string[]): Child {
  return new Child("curl", ["--silent", "--show-error", "--max-time", "30", ...args]);
}

onEveryEngine("clients of other makes and our server of HTTP", (engine) => {
  async function base(reactor: Reactor, tls = false): Promise<string> {
    const address = { host: "127.0.0.1", port: 0, ...(tls ? { tls: serverContext() } : {}) };
    const { port } = await serveHttp(address, application, { reactor });
    return tls ? `https://localhost:${port}` : `http://127.0.0.1:${port}`;
  }

  for (const tls of [false, true]) {
    engine.rule(`curl, over ${tls ? "TLS" : "TCP"}`, async (trial) => {
      const url = await base(trial.reactor, tls);
      const options = tls ? ["--cacert", AUTHORITY, "--connect-to", "localhost::127.0.0.1:"] : [];
      const before = trial.reactor.stats().accepted;
      const status = ["--write-out", "%{http_code}\n"];
      await using kept = curl(...options, ...status, `${url}/hello`, `${url}/hello`, `${url}/stream`, `${url}/nowhere`);
      assert.deepEqual(
        await kept.rest(),
        ["hello", "200", "hello", "200", "piece 1", "piece 2", "piece 3", "200", "404"],
        kept.stderr,
      );
      assert.equal(trial.reactor.stats().accepted - before, 1, "on one connection");
      const into = trial.path("body");
      await using big = curl(...options, `${url}/big`, "--output", into);
      assert.deepEqual(await big.ended(), { code: 0, signal: null }, big.stderr);
      assert.equal(digestOf(readFileSync(into)), digestOf(BODY));
      const file = trial.path("file");
      writeFileSync(file, BODY);
      for (const how of [["expect: 100-continue"], ["expect:"], ["expect:", "transfer-encoding: chunked"]]) {
        const headers = how.flatMap((each) => ["--header", each]);
        await using posted = curl(...options, `${url}/digest`, "--data-binary", `@${file}`, ...headers);
        assert.deepEqual(await posted.rest(), [digestOf(BODY)], posted.stderr);
      }
      await using head = curl(...options, "--head", `${url}/hello`);
      const lines = await head.rest();
      assert.match(lines[0] ?? "", /^HTTP\/1\.1 200 OK/);
      await using old = curl(...options, "--http1.0", `${url}/stream`);
      assert.deepEqual(await old.rest(), ["piece 1", "piece 2", "piece 3"], old.stderr);
      await trial.until(() => trial.reactor.connectionCount === 0, "curl is gone");
    });
  }

  engine.rule("curl asks for HTTP/2, and gets HTTP/1.1", async (trial) => {
    const url = await base(trial.reactor);
    await using client = curl("--http2", `${url}/hello`, `${url}/hello`, "--write-out", "%{http_version}\n");
    assert.deepEqual(await client.rest(), ["hello", "1.1", "hello", "1.1"], client.stderr);
    await trial.until(() => trial.reactor.connectionCount === 0, "curl is gone");
  });

  engine.rule("Python's http.client", async (trial) => {
    const { port } = new URL(await base(trial.reactor));
    const before = trial.reactor.stats().accepted;
    await using client = new Child("python3", [source("peers/http_client.py"), port]);
    const seen = (await client.rest()).map((line) => JSON.parse(line) as unknown);
    assert.deepEqual(
      seen,
      [
        [200, 11, "hello\n"],
        [200, 11, "posted"],
        [200, 11, "in chunks"],
        [200, 11, ""],
        [200, 11, "piece 1\npiece 2\npiece 3\n"],
        [404, 11, ""],
      ],
      client.stderr,
    );
    assert.equal(trial.reactor.stats().accepted - before, 1, "on one connection");
    await trial.until(() => trial.reactor.connectionCount === 0, "it is gone");
  });

  engine.rule("undici, with requests in a pipeline", async (trial) => {
    const url = await base(trial.reactor);
    const agent = new Agent({ pipelining: 8, connections: 1 });
    const paths = Array.from({ length: 40 }, (_, at) => (at % 4 === 3 ? "/stream" : "/hello"));
    const texts = await Promise.all(
      paths.map(async (path) => (await undiciRequest(`${url}${path}`, { dispatcher: agent })).body.text()),
    );
    assert.deepEqual(
      texts,
      paths.map((path) => (path === "/hello" ? "hello\n" : "piece 1\npiece 2\npiece 3\n")),
    );
    const big = await undiciRequest(`${url}/big`, { dispatcher: agent });
    assert.equal(digestOf(Buffer.from(await big.body.arrayBuffer())), digestOf(BODY));
    const sent = await undiciRequest(`${url}/digest`, { dispatcher: agent, method: "POST", body: BODY });
    assert.equal(await sent.body.text(), `${digestOf(BODY)}\n`);
    await agent.close();
    await trial.until(() => trial.reactor.connectionCount === 0, "it is gone");
  });

  engine.rule("node:http, whose agent keeps connections", async (trial) => {
    const url = await base(trial.reactor);
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const before = trial.reactor.stats().accepted;
    for (const path of ["/hello", "/stream", "/nowhere", "/hello"]) {
      const asked = http.get(`${url}${path}`, { agent });
      const [response] = (await once(asked, "response")) as [http.IncomingMessage];
      response.resume();
      await once(response, "end");
      assert.equal(response.statusCode, path === "/nowhere" ? 404 : 200);
    }
    assert.equal(trial.reactor.stats().accepted - before, 1, "on one connection");
    agent.destroy();
    await trial.until(() => trial.reactor.connectionCount === 0, "it is gone");
  });
});
