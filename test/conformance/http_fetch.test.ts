import assert from "node:assert/strict";
import { toDuplex } from "eventmachine";
import { type FetchHandler, Response as Ours, type ServeHttpOptions, serveHttp } from "eventmachine/http";
import { onEveryEngine } from "../support/harness.js";
import { answers, responses } from "../support/http.js";
import type { Recorder } from "../support/recorder.js";
import type { Trial } from "../support/trial.js";

const HOST = "Host: example.com\r\n";
const get = (target: string, fields = "") => `GET ${target} HTTP/1.1\r\n${HOST}${fields}\r\n`;
const post = (body: string, fields = "", target = "/") =>
  `POST ${target} HTTP/1.1\r\n${HOST}Content-Length: ${body.length}\r\n${fields}\r\n${body}`;

async function serve(trial: Trial, handler: FetchHandler, options: ServeHttpOptions = {}) {
  const address = { host: "127.0.0.1", port: 0, lingerTimeout: 500, ...trial.serverTls };
  const { port } = await serveHttp(address, handler, { reactor: trial.reactor, ...options });
  return (text: string): Recorder => {
    const client = trial.dial({ host: "127.0.0.1", port });
    client.sendData(text, "latin1");
    return client;
  };
}

onEveryEngine("serveHttp", (engine) => {
  engine.ruleOnStreams(
    "a function answers requests, with ours and with the platform's Response",
    async (trial, medium) => {
      const seen: unknown[] = [];
      const ask = await serve(trial, (request, info) => {
        seen.push(request instanceof Request, request.headers instanceof Headers, request.url, request.method);
        seen.push(request.headers.get("X-Test"), request.headers.has("nothing"), info.remoteAddress?.family);
        const kind = new URL(request.url).pathname;
        if (kind === "/ours") return new Ours("hello", { headers: { "x-kind": "ours" } });
        if (kind === "/async") return Promise.resolve(new Ours("later"));
        if (kind === "/bytes") return new Ours(Buffer.from("bytes"), { status: 201 });
        if (kind === "/json") return Ours.json({ a: 1 });
        if (kind === "/none") return new Ours(null, { status: 204 });
        if (kind === "/cookies")
          return new Ours("", {
            headers: [
              ["set-cookie", "a=1"],
              ["set-cookie", "b=2"],
            ],
          });
        return new Response("hello", { headers: { "x-kind": "theirs" } });
      });
      const client = ask(get("/ours", "x-test: a\r\nX-Test: b\r\n"));
      const [ours] = await answers(trial, client, 1);
      const scheme = medium === "tls" ? "https" : "http";
      assert.deepEqual(seen, [true, true, `${scheme}://example.com/ours`, "GET", "a, b", false, "IPv4"]);
      assert.equal(ours?.body, "hello");
      assert.equal(ours?.fields.get("x-kind"), "ours");
      assert.equal(ours?.fields.get("content-type"), "text/plain;charset=UTF-8");
      assert.equal(ours?.fields.get("content-length"), "5");
      client.sendData(
        ["/theirs", "/async", "/bytes", "/json", "/none", "/cookies"].map((target) => get(target)).join(""),
      );
      const [, theirs, later, bytes, json, none, cookies] = await answers(trial, client, 7);
      assert.equal(theirs?.body, "hello");
      assert.equal(theirs?.fields.get("x-kind"), "theirs");
      assert.equal(theirs?.fields.get("content-length"), "5", "what is at hand goes as a whole");
      assert.equal(later?.body, "later");
      assert.deepEqual([bytes?.status, bytes?.body, bytes?.fields.get("content-type")], [201, "bytes", undefined]);
      assert.deepEqual([json?.body, json?.fields.get("content-type")], ['{"a":1}', "application/json"]);
      assert.deepEqual([none?.status, none?.fields.get("content-length")], [204, undefined]);
      assert.equal(cookies?.fields.get("set-cookie"), "b=2");
      assert.match(client.text, /\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n/);
      client.closeConnection();
    },
  );

  engine.rule("a request's content is read as the platform's is", async (trial) => {
    const ask = await serve(trial, async (request) => {
      switch (new URL(request.url).pathname) {
        case "/text":
          return new Ours(`${request.bodyUsed} ${await request.text()} ${request.bodyUsed}`);
        case "/json":
          return Ours.json(await request.json());
        case "/bytes":
          return new Ours(`${(await request.arrayBuffer()).byteLength}`);
        case "/form":
          return new Ours(`${(await request.formData()).get("a")}`);
        case "/blob":
          return new Ours(`${(await request.blob()).type}`);
        case "/clone": {
          const clone = request.clone();
          return new Ours(`${await clone.text()} ${await request.text()}`);
        }
        case "/stream": {
          let text = "";
          for await (const piece of request.body ?? []) text += Buffer.from(piece).toString();
          return new Ours(text);
        }
        case "/twice": {
          await request.text();
          return new Ours(
            await request.text().then(
              () => "twice",
              (error) => error.name,
            ),
          );
        }
        default:
          return new Ours(request.body);
      }
    });
    const type = (value: string) => `Content-Type: ${value}\r\n`;
    const client = ask(
      post("hello", "", "/text") +
        post('{"a":[1]}', "", "/json") +
        post("12345", "", "/bytes") +
        post("a=b", type("application/x-www-form-urlencoded"), "/form") +
        post("x", type("image/png"), "/blob") +
        post("both", "", "/clone") +
        post("stream", "", "/stream") +
        post("x", "", "/twice") +
        post("echo", "", "/echo") +
        get("/text"),
    );
    const seen = await answers(trial, client, 10);
    assert.deepEqual(
      seen.map(({ body }) => body),
      [
        "false hello true",
        '{"a":[1]}',
        "5",
        "b",
        "image/png",
        "both both",
        "stream",
        "TypeError",
        "echo",
        "false  false",
      ],
    );
    client.closeConnection();
  });

  engine.ruleOnStreams("content streams both ways, as fast as the slower side", async (trial) => {
    let most = 0;
    const ask = await serve(trial, (request, info) => {
      const watched = new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          most = Math.max(most, info.connection.outboundSize);
          controller.enqueue(chunk);
        },
      });
      return new Response((request.body as ReadableStream<Uint8Array>).pipeThrough(watched));
    });
    const total = 2_000_000;
    const client = ask(post("x".repeat(total)));
    await trial.until(() => client.bytes > 0, "it has begun");
    client.pause();
    await trial.settle(50);
    client.resume();
    const [seen] = await answers(trial, client, 1);
    assert.equal(seen?.body.length, total);
    assert.equal(seen?.fields.get("transfer-encoding"), "chunked");
    assert.ok(most < 300_000, `${most} bytes waited`);
    client.closeConnection();
  });

  engine.rule(
    "the request's signal aborts, and the answer's stream is cancelled, when the peer goes",
    async (trial) => {
      const seen: unknown[] = [];
      const ask = await serve(trial, (request) => {
        request.signal.addEventListener("abort", () => seen.push("aborted"));
        return new Response(
          new ReadableStream({
            pull: async (controller) => {
              await trial.sleep(1);
              controller.enqueue(new Uint8Array(100_000));
            },
            cancel: () => void seen.push("cancelled"),
          }),
        );
      });
      const client = ask(get("/"));
      await trial.until(() => client.bytes > 0, "it has begun");
      client.abort();
      await trial.until(() => seen.length === 2, "both are told");
      assert.deepEqual(seen, ["aborted", "cancelled"]);
    },
  );

  engine.rule("a request's URL is one, or the request is refused", async (trial) => {
    const ask = await serve(trial, (request) => new Ours(new URL(request.url).host));
    const hosts = ["256.256.256.256", "1.2.3.4.5", "xn--a", "a.xn--a:80", "0x100000000", "1.2.3.256:8080", "09"];
    for (const host of hosts) {
      for (const target of ["/", "//", `http://${host}/`, `http://${host}`, `http://${host}?1`]) {
        const client = ask(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
        await trial.allUnbound(client);
        assert.equal(responses(client.text)?.[0]?.status, 400, `${target} of ${host}`);
      }
    }
    const good = ["127.0.0.1:8080", "0x7f.1", "a.1b", "1a.example", "example.com.", "xn--bcher-kva.example", "[::1]:1"];
    for (const host of good) {
      const client = ask(`GET /1.2.3.4.5 HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
      await trial.allUnbound(client);
      const [answer] = responses(client.text) ?? [];
      assert.deepEqual([answer?.status, answer?.body], [200, new URL(`http://${host}/`).host], host);
    }
  });

  engine.rule("a handler that fails is a 500, or what onError makes of it", async (trial) => {
    const reported: unknown[] = [];
    trial.reactor.onError((error) => reported.push((error as Error).message));
    const handler: FetchHandler = (request) => {
      if (request.url.endsWith("/throw")) throw new Error("thrown");
      if (request.url.endsWith("/wrong")) return "text" as never;
      if (request.url.endsWith("/reject")) return Promise.reject(new Error("rejected"));
      return new Ours("fine");
    };
    const ask = await serve(trial, handler);
    for (const target of ["/throw", "/reject", "/wrong"]) {
      const client = ask(get(target));
      await trial.allUnbound(client);
      assert.equal(responses(client.text)?.[0]?.status, 500);
    }
    assert.equal(reported.length, 3);
    assert.deepEqual(reported.slice(0, 2), ["thrown", "rejected"]);
    const saved = await serve(trial, handler, {
      onError: (error) => new Ours((error as Error).message, { status: 503 }),
    });
    const client = saved(get("/throw") + get("/reject") + get("/fine"));
    const seen = await answers(trial, client, 3);
    assert.deepEqual(
      seen.map(({ status, body }) => [status, body]),
      [
        [503, "thrown"],
        [503, "rejected"],
        [200, "fine"],
      ],
    );
    assert.equal(reported.length, 3);
    client.closeConnection();
  });

  engine.rule("a stream that fails cuts the answer off", async (trial) => {
    const reported: unknown[] = [];
    trial.reactor.onError((error) => reported.push((error as Error).message));
    const ask = await serve(trial, () => {
      let count = 0;
      const pull = async (controller: ReadableStreamDefaultController) => {
        await trial.sleep(5);
        if (count++ > 1) throw new Error("the source failed");
        controller.enqueue(Buffer.from("piece"));
      };
      return new Response(new ReadableStream({ pull }));
    });
    const client = ask(get("/"));
    await trial.allUnbound(client);
    assert.doesNotMatch(client.text, /\r\n0\r\n\r\n$/);
    assert.deepEqual(reported, ["the source failed"]);
  });

  engine.ruleOnStreams("an upgrade gives the raw connection, with what came behind the head", async (trial) => {
    const ask = await serve(trial, (_request, info) => {
      if (!info.wantsUpgrade) return new Ours("plain");
      const { connection, unread } = info.upgrade({ upgrade: "echo" });
      const stream = toDuplex(connection);
      stream.unshift(unread);
      stream.pipe(stream);
      return undefined as never;
    });
    const client = ask(`${get("/")}${get("/", "Connection: Upgrade\r\nUpgrade: echo\r\n")}early `);
    await trial.until(() => client.text.endsWith("early "), "what came with it is echoed");
    client.sendData("late");
    await trial.until(() => client.text.endsWith("early late"), "and what came after it");
    client.closeConnectionAfterWriting();
    await trial.allUnbound(client);
  });

  engine.rule("HEAD sends no content, of streams either, and HTTP/1.0 no chunks", async (trial) => {
    let cancelled = 0;
    const ask = await serve(trial, (request) => {
      if (request.url.endsWith("/whole")) return new Ours("whole");
      const pull = async (controller: ReadableStreamDefaultController) => {
        await trial.sleep(5);
        controller.enqueue(Buffer.from("piece"));
        if (request.method !== "HEAD") controller.close();
      };
      return new Response(new ReadableStream({ pull, cancel: () => void cancelled++ }));
    });
    const client = ask((get("/whole") + get("/stream")).replaceAll("GET", "HEAD"));
    const seen = await answers(trial, client, 2, ["HEAD", "HEAD"]);
    assert.deepEqual(
      seen.map(({ fields }) => [fields.get("content-length"), fields.get("transfer-encoding")]),
      [
        ["5", undefined],
        [undefined, "chunked"],
      ],
    );
    await trial.until(() => cancelled === 1, "the stream is cancelled");
    client.closeConnection();
    const old = ask("GET /stream HTTP/1.0\r\n\r\n");
    await trial.allUnbound(old);
    assert.match(old.text, /\r\nConnection: close\r\n(?:Content-Length: 5\r\n)?\r\npiece$/);
  });

  engine.rule("misuse is an ArgumentError before anything listens", async (trial) => {
    const { reactor } = trial;
    const address = { host: "127.0.0.1", port: 0 };
    const bad = { name: "ArgumentError" };
    const fine: FetchHandler = () => new Ours("");
    for (const handler of [undefined, null, 1, "f", {}, { fetch: 1 }]) {
      await assert.rejects(serveHttp(address, handler as never, { reactor }), bad);
    }
    for (const options of [null, 1]) await assert.rejects(serveHttp(address, fine, options as never), bad);
    for (const options of [
      { maxBdy: 1 },
      { maxBody: -1 },
      { headerTimeout: -1 },
      { maxPipelined: 0 },
      { onError: 1 },
    ]) {
      await assert.rejects(serveHttp(address, fine, { ...options, reactor } as never), bad);
    }
    await assert.rejects(serveHttp(address, fine, { reactor: {} as never }), bad);
    await assert.rejects(serveHttp({ port: 0, hots: "x" } as never, fine, { reactor }), bad);
  });
});
