import assert from "node:assert/strict";
import type { HttpResponse } from "eventmachine/http";
import { onEveryEngine } from "../support/harness.js";
import { answers, responses, serveHttp } from "../support/http.js";

const HOST = "Host: example.com\r\n";
const get = (target: string, fields = "") => `GET ${target} HTTP/1.1\r\n${HOST}${fields}\r\n`;
const post = (body: string, fields = "") =>
  `POST / HTTP/1.1\r\n${HOST}Content-Length: ${body.length}\r\n${fields}\r\n${body}`;

onEveryEngine("HTTP", (engine) => {
  engine.ruleOnStreams("a GET is answered, and the connection is kept for the next", async (trial) => {
    const served = await serveHttp(trial, (request, response) => {
      response.send(200, { "content-type": "text/plain" }, `hello ${request.target}`);
    });
    const client = served.ask(get("/a"));
    const [first] = await answers(trial, client, 1);
    assert.equal(first?.status, 200);
    assert.equal(first?.body, "hello /a");
    assert.equal(first?.fields.get("content-length"), "8");
    assert.equal(first?.fields.get("content-type"), "text/plain");
    assert.equal(first?.fields.get("keep-alive"), "timeout=5");
    assert.ok(Math.abs(Date.parse(first?.fields.get("date") ?? "") - Date.now()) < 10_000);
    client.sendData(get("/b", "Connection: close\r\n"));
    const [, second] = await answers(trial, client, 2);
    assert.equal(second?.body, "hello /b");
    assert.equal(second?.fields.get("connection"), "close");
    await trial.allUnbound(client);
    assert.equal(client.kind, "peer-closed");
    await trial.until(() => served.connections[0]?.reasons.length === 1, "the server's side has ended");
    assert.deepEqual(served.connections[0]?.reasons, ["local-close"]);
  });

  engine.ruleOnStreams("responses leave in the order of their requests, whichever is ready first", async (trial) => {
    const waiting: HttpResponse[] = [];
    const served = await serveHttp(trial, (request, response) => {
      if (request.target !== "/2") waiting.push(response);
      else response.send(200, {}, "two");
    });
    const client = served.ask(get("/1") + get("/2") + get("/3"));
    await trial.until(() => waiting.length === 2, "all of them have come");
    waiting[1]?.writeHead(200);
    assert.equal(waiting[1]?.write("thr"), false, "it waits for the first");
    await trial.settle();
    assert.equal(client.bytes, 0);
    waiting[0]?.send(200, {}, "one");
    await trial.until(() => client.text.includes("thr"), "what waited has left");
    waiting[1]?.end("ee");
    const seen = await answers(trial, client, 3);
    assert.deepEqual(
      seen.map(({ body }) => body),
      ["one", "two", "three"],
    );
    client.closeConnection();
  });

  engine.ruleOnStreams("of pipelined requests 16 wait at most, and then the connection is not read", async (trial) => {
    const waiting: HttpResponse[] = [];
    const served = await serveHttp(trial, (_request, response) => {
      waiting.push(response);
    });
    const client = served.ask(Array.from({ length: 40 }, (_, at) => get(`/${at}`)).join(""));
    await trial.until(() => waiting.length === 16, "sixteen have come");
    await trial.settle();
    assert.equal(waiting.length, 16);
    for (let at = 0; at < 40; at++) {
      await trial.until(() => waiting.length > at, `request ${at} has come`);
      assert.ok(waiting.length <= at + 16, `${waiting.length} of them wait at ${at}`);
      waiting[at]?.send(200, {}, `${waiting[at]?.request.target}`);
    }
    const seen = await answers(trial, client, 40);
    assert.deepEqual(
      seen.map(({ body }) => body),
      Array.from({ length: 40 }, (_, at) => `/${at}`),
    );
    client.closeConnection();
  });

  engine.rule("HEAD, 204 and 304 have no content", async (trial) => {
    const served = await serveHttp(trial, (request, response) => {
      if (request.target === "/204") response.send(204);
      else if (request.target === "/304") response.send(304, { etag: '"1"' });
      else if (request.target === "/stream") {
        response.writeHead(200);
        response.write("not sent");
        response.end("neither");
      } else response.send(200, {}, "content");
    });
    const head = (target: string) => get(target).replace("GET", "HEAD");
    const client = served.ask(head("/") + get("/204") + get("/304") + head("/stream") + get("/"));
    const seen = await answers(trial, client, 5, ["HEAD", "GET", "GET", "HEAD", "GET"]);
    assert.deepEqual(
      seen.map(({ status, body, fields }) => [status, body, fields.get("content-length")]),
      [
        [200, "", "7"],
        [204, "", undefined],
        [304, "", undefined],
        [200, "", undefined],
        [200, "content", "7"],
      ],
    );
    client.closeConnection();
  });

  engine.rule("HTTP/1.0 is closed unless it asks otherwise, and has no chunks", async (trial) => {
    const served = await serveHttp(trial, (request, response) => {
      if (request.target === "/stream") {
        response.writeHead(200).write("a ");
        response.end("stream");
      } else response.send(200, {}, "whole");
    });
    const closed = served.ask("GET / HTTP/1.0\r\n\r\n");
    await trial.allUnbound(closed);
    assert.match(closed.text, /\r\nConnection: close\r\nContent-Length: 5\r\n\r\nwhole$/);
    const kept = served.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    const [first] = await answers(trial, kept, 1);
    assert.equal(first?.fields.get("connection"), "keep-alive");
    kept.sendData("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    await trial.allUnbound(kept);
    assert.match(kept.text, /\r\nConnection: close\r\n\r\na stream$/);
    assert.doesNotMatch(kept.text, /chunked/i);
  });

  engine.ruleOnStreams("content is read whole, as text, as JSON and in pieces", async (trial) => {
    const served = await serveHttp(trial, async (request, response) => {
      if (request.target === "/json") response.send(200, {}, JSON.stringify(await request.json()));
      else if (request.target === "/pieces") {
        let length = 0;
        for await (const piece of request) length += piece.length;
        response.send(200, {}, `${length} ${request.trailers?.get("sum")}`);
      } else response.send(200, {}, await request.bytes());
    });
    const chunked = (target: string, chunks: string) =>
      `POST ${target} HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n${chunks}`;
    const client = served.ask(
      post("hello") +
        chunked("/json", '3\r\n{"a\r\n4\r\n": 1\r\n1\r\n}\r\n0\r\n\r\n') +
        chunked("/pieces", "5\r\nhello\r\n0\r\nSum: 5\r\n\r\n") +
        post("", "").replace("POST /", "POST /pieces"),
    );
    const seen = await answers(trial, client, 4);
    assert.deepEqual(
      seen.map(({ body }) => body),
      ["hello", '{"a":1}', "5 5", "0 undefined"],
    );
    client.closeConnection();
  });

  engine.rule(
    "content that nobody reads holds the peer at 64 KiB, and is passed over behind the answer",
    async (trial) => {
      let response: HttpResponse | undefined;
      const served = await serveHttp(trial, (request, given) => {
        if (request.method === "GET") return void given.send(200, {}, "next");
        response = given;
        return undefined;
      });
      const client = served.ask(post("x".repeat(250_000)) + get("/"));
      await trial.until(() => response !== undefined, "the request has come");
      await trial.settle(50);
      const connection = served.connections[0];
      assert.ok((connection?.bytesIn ?? 0) < 200_000, `${connection?.bytesIn} bytes were read`);
      response?.send(200, {}, "first");
      const seen = await answers(trial, client, 2);
      assert.deepEqual(
        seen.map(({ body }) => body),
        ["first", "next"],
      );
      client.closeConnection();
    },
  );

  engine.rule("content above a limit is 413, of the server's, of the request's and of the reader's", async (trial) => {
    const served = await serveHttp(
      trial,
      async (request, response) => {
        if (request.target === "/route") request.maxBody = 4;
        if (request.target === "/reader") response.send(200, {}, await request.text(3));
        else response.send(200, {}, await request.text());
      },
      { maxBody: 8 },
    );
    for (const [text, status] of [
      [post("12345678"), 200],
      [post("123456789"), 413],
      [post("12345").replace("/ ", "/route "), 413],
      [post("1234").replace("/ ", "/route "), 200],
      [post("1234").replace("/ ", "/reader "), 413],
      [post("123").replace("/ ", "/reader "), 200],
    ] as const) {
      const client = served.ask(text);
      const [seen] = await answers(trial, client, 1);
      assert.equal(seen?.status, status, text);
      assert.equal(seen?.fields.get("connection"), status === 413 ? "close" : "keep-alive");
      client.closeConnection();
    }
  });

  engine.rule("a peer that waits for it is told to go on when its content is first read", async (trial) => {
    const waiting: (() => void)[] = [];
    const served = await serveHttp(trial, async (request, response) => {
      if (request.target === "/unread") return void response.send(200, {}, "no need");
      await new Promise<void>((resolve) => waiting.push(resolve));
      response.send(200, {}, await request.text());
      return undefined;
    });
    const expecting = "Expect: 100-continue\r\nContent-Length: 5\r\n";
    const client = served.ask(`POST / HTTP/1.1\r\n${HOST}${expecting}\r\n`);
    await trial.until(() => waiting.length === 1, "the head has come");
    await trial.settle();
    assert.equal(client.text, "");
    waiting[0]?.();
    await trial.until(() => client.text !== "", "it is told");
    assert.equal(client.text, "HTTP/1.1 100 Continue\r\n\r\n");
    client.sendData("hello");
    const [seen] = await answers(trial, client, 1);
    assert.equal(seen?.body, "hello");
    client.closeConnection();
    const unread = served.ask(`POST /unread HTTP/1.1\r\n${HOST}${expecting}\r\n`);
    await trial.allUnbound(unread);
    assert.match(unread.text, /^HTTP\/1\.1 200 OK\r\n[\s\S]*Connection: close\r\n/);
    const other = served.ask(post("hello", "Expect: a-miracle\r\n"));
    const [refused] = await answers(trial, other, 1);
    assert.equal(refused?.status, 417);
    other.closeConnection();
  });

  engine.ruleOnStreams(
    "a response in pieces goes in chunks, or by its declared length, with trailers",
    async (trial) => {
      const served = await serveHttp(trial, (request, response) => {
        if (request.target === "/length") {
          response.writeHead(200, { "content-length": 5 });
          response.write("he");
          response.end("llo");
        } else if (request.target === "/default") response.end("default");
        else if (request.target === "/empty") response.end();
        else {
          response.informational(103, { link: "</style.css>; rel=preload" });
          response.writeHead(200, { "content-type": "text/plain", trailer: "sum" });
          response.write("Grüße");
          response.write(Buffer.from(" an alle"));
          response.end("", [["sum", "15"]]);
        }
      });
      const client = served.ask(get("/") + get("/length") + get("/default") + get("/empty"));
      const seen = await answers(trial, client, 4);
      assert.deepEqual(
        seen.map(({ body, trailers }) => [Buffer.from(body, "latin1").toString(), trailers]),
        [
          ["Grüße an alle", "sum: 15\r\n"],
          ["hello", ""],
          ["default", ""],
          ["", ""],
        ],
      );
      assert.equal(seen[1]?.fields.get("content-length"), "5");
      assert.match(
        client.text,
        /^HTTP\/1\.1 103 Early Hints\r\nlink: <\/style.css>; rel=preload\r\n\r\nHTTP\/1\.1 200 OK\r\n/,
      );
      client.closeConnection();
    },
  );

  engine.ruleOnStreams("a writer waits for its reader", async (trial) => {
    const total = 3_000_000;
    let most = 0;
    const served = await serveHttp(trial, async (_request, response, connection) => {
      const piece = Buffer.alloc(10_000, "x");
      response.writeHead(200, { "content-length": total });
      for (let written = 0; written < total; written += piece.length) {
        if (!response.write(piece)) await response.drained();
        most = Math.max(most, connection.outboundSize);
      }
      response.end();
    });
    const client = served.ask(get("/"));
    await trial.until(() => client.bytes > 0, "it has begun");
    client.pause();
    await trial.settle(50);
    client.resume();
    const [seen] = await answers(trial, client, 1);
    assert.equal(seen?.body.length, total);
    assert.ok(most < 200_000, `${most} bytes waited`);
    client.closeConnection();
  });

  engine.ruleOnStreams("what breaks the rules is answered behind what came before, and closes", async (trial) => {
    const waiting: HttpResponse[] = [];
    const served = await serveHttp(trial, (_request, response) => {
      waiting.push(response);
    });
    const client = served.ask(`${get("/")}GET / HTTP/1.1\r\nHost : a\r\n\r\n${get("/never")}`);
    await trial.until(() => waiting.length === 1, "the first has come");
    await trial.settle();
    assert.equal(client.text, "");
    waiting[0]?.send(200, {}, "first");
    await trial.allUnbound(client);
    const seen = responses(client.text);
    assert.deepEqual(
      seen?.map(({ status, body }) => [status, body]),
      [
        [200, "first"],
        [400, ""],
      ],
    );
    assert.equal(waiting.length, 1);
    await trial.until(() => served.connections[0]?.reasons.length === 1, "the server's side has ended");
    assert.deepEqual(served.connections[0]?.reasons, ["protocol-error"]);
    assert.deepEqual(served.connections[0]?.refusals, ["ERR_EM_HTTP_FIELD"]);
  });

  engine.rule(
    "content that breaks the rules is a status, or where the answer has begun just the end",
    async (trial) => {
      const failures: unknown[] = [];
      const served = await serveHttp(trial, async (request, response) => {
        if (request.target === "/begun") response.writeHead(200).write("begun");
        try {
          await request.bytes();
        } catch (error) {
          failures.push((error as { code: string }).code, request.signal.aborted);
        }
        assert.equal(response.send(200, {}, "too late"), false);
      });
      const bad = (target: string) => `POST ${target} HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\nzz\r\n`;
      const told = served.ask(bad("/"));
      await trial.allUnbound(told);
      assert.match(told.text, /^HTTP\/1\.1 400 Bad Request\r\n[\s\S]*\r\n\r\n$/);
      const begun = served.ask(bad("/begun"));
      await trial.allUnbound(begun);
      assert.match(begun.text, /^(?:HTTP\/1\.1 200 OK\r\n[\s\S]*5\r\nbegun\r\n)?$/);
      await trial.until(() => failures.length === 4, "both readers are told");
      assert.deepEqual(failures, ["ERR_EM_HTTP_CHUNK", true, "ERR_EM_HTTP_CHUNK", true]);
      assert.deepEqual(
        served.connections.flatMap(({ errors }) => errors),
        [],
      );
    },
  );

  engine.ruleOnStreams("a handler that fails is a 500, and an error of the connection", async (trial) => {
    const served = await serveHttp(trial, (request) => {
      if (request.target === "/throw") throw new Error("thrown");
      return Promise.reject(new Error("rejected"));
    });
    for (const how of ["throw", "reject"]) {
      const client = served.ask(get(`/${how}`));
      await trial.allUnbound(client);
      assert.deepEqual(
        responses(client.text)?.map(({ status }) => status),
        [500],
      );
    }
    assert.deepEqual(
      served.connections.map(({ errors }) => errors.map((error) => (error as Error).message)),
      [["thrown"], ["rejected"]],
    );
  });

  engine.rule("an error that nobody takes ends the connection behind its 500, and is the reactor's", async (trial) => {
    const errors: unknown[] = [];
    trial.reactor.onError((error) => errors.push(error));
    const { HttpConnection } = await import("eventmachine/http");
    const reasons: string[] = [];
    class Failing extends HttpConnection {
      override receiveRequest(): void {
        throw new Error("failed");
      }
      override unbind(reason: { kind: string }): void {
        reasons.push(reason.kind);
      }
    }
    const { port } = await trial.reactor.startServer({ host: "127.0.0.1", port: 0 }, Failing);
    const client = trial.dial({ host: "127.0.0.1", port });
    client.sendData(get("/"));
    await trial.allUnbound(client);
    assert.match(client.text, /^HTTP\/1\.1 500 /);
    await trial.until(() => reasons.length === 1, "it has ended");
    assert.deepEqual(reasons, ["handler-error"]);
    assert.equal(errors.length, 1);
  });

  engine.rule("misuse of a response is a typed error", async (trial) => {
    const codes: string[] = [];
    const note = (action: () => unknown) => {
      try {
        action();
        codes.push("none");
      } catch (error) {
        codes.push((error as { code: string }).code);
      }
    };
    const served = await serveHttp(trial, (request, response) => {
      if (request.target === "/short") {
        response.writeHead(200, { "content-length": 5 });
        note(() => response.write("123456"));
        note(() => response.end("1234"));
        return;
      }
      for (const text of ["a\r\nb", "a\nb", "a\0b", "ü€"]) note(() => response.send(200, { "x-a": text }));
      note(() => response.send(200, { "x a": "b" }));
      note(() => response.send(200, { "content-length": "1" }, "two"));
      note(() => response.send(99));
      note(() => response.send(101));
      note(() => response.send(204, {}, "content"));
      note(() => response.send(200, {}, 5 as never));
      note(() => response.send(200, 5 as never));
      note(() => response.upgrade());
      note(() => response.informational(200));
      note(() => response.send(200, { "transfer-encoding": "gzip" }));
      response.send(200, {}, "fine");
      note(() => response.send(200, {}, "again"));
      note(() => response.writeHead(200));
      note(() => response.write("more"));
      note(() => response.end());
    });
    const client = served.ask(get("/"));
    const [seen] = await answers(trial, client, 1);
    assert.equal(seen?.body, "fine");
    const bad = "ERR_EM_INVALID_ARGUMENT";
    assert.deepEqual(codes.slice(0, 11), Array(11).fill(bad));
    assert.deepEqual(codes.slice(11, 14), ["ERR_EM_HTTP_NO_UPGRADE", bad, bad]);
    assert.deepEqual(codes.slice(14), Array(4).fill("ERR_EM_HTTP_ANSWERED"));
    client.closeConnection();
    codes.length = 0;
    const short = served.ask(get("/short"));
    await trial.allUnbound(short);
    assert.deepEqual(codes, ["ERR_EM_HTTP_LENGTH", "ERR_EM_HTTP_LENGTH"]);
  });

  engine.ruleOnStreams("an upgrade hands the connection over, with what came behind the head", async (trial) => {
    const served = await serveHttp(trial, (request, response, connection) => {
      if (!request.wantsUpgrade) return void response.send(200, {}, "plain");
      const { unread } = response.upgrade(request.method === "CONNECT" ? {} : { upgrade: "echo" });
      connection.sendData(`<${unread}>`);
      connection.resume();
      return undefined;
    });
    const upgrade = get("/", "Connection: Upgrade\r\nUpgrade: echo\r\n");
    const client = served.ask(`${get("/")}${upgrade}early`);
    await trial.until(() => client.text.includes("<early>"), "it is another protocol's");
    assert.match(
      client.text,
      /HTTP\/1\.1 101 Switching Protocols\r\nupgrade: echo\r\nConnection: Upgrade\r\n\r\n<early>$/,
    );
    client.sendData("late");
    await trial.until(() => served.connections[0]?.raw.length === 1, "it comes to receiveData");
    assert.equal(String(served.connections[0]?.raw[0]), "late");
    client.closeConnectionAfterWriting();
    await trial.allUnbound(client);
    const tunnel = served.ask("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\nhello");
    await trial.until(() => tunnel.text.includes("<hello>"), "it is a tunnel");
    assert.equal(tunnel.text, "HTTP/1.1 200 OK\r\n\r\n<hello>");
    tunnel.closeConnection();
  });

  engine.rule("an upgrade that is not granted leaves the connection HTTP", async (trial) => {
    const served = await serveHttp(trial, async (request, response) => {
      await trial.sleep(1);
      response.send(200, {}, `${request.wantsUpgrade}`);
    });
    const wanted = "Connection: Upgrade\r\nUpgrade: h2c\r\n";
    const client = served.ask(get("/", wanted) + post("content", wanted) + get("/"));
    const seen = await answers(trial, client, 3);
    assert.deepEqual(
      seen.map(({ body }) => body),
      ["true", "false", "false"],
    );
    client.closeConnection();
  });

  engine.ruleOnStreams("a peer that has sent its FIN is still answered", async (trial) => {
    const served = await serveHttp(trial, async (_request, response) => {
      await trial.sleep(20);
      response.send(200, {}, "late");
    });
    const client = served.ask(get("/"));
    client.halfClose();
    await trial.allUnbound(client);
    assert.equal(responses(client.text)?.[0]?.body, "late");
    const cut = served.ask("GET / HTTP/1.1\r\nHost: exa");
    cut.halfClose();
    await trial.allUnbound(cut);
    assert.equal(responses(cut.text)?.[0]?.status, 400);
  });

  engine.rule("when the peer goes, signals abort, readers are told and writers go on for nothing", async (trial) => {
    const seen: unknown[] = [];
    const served = await serveHttp(trial, async (request, response) => {
      const { signal } = request;
      signal.addEventListener("abort", () => seen.push("aborted"));
      if (request.target === "/read") {
        await request.bytes().catch((error) => seen.push(error.code));
      } else {
        response.writeHead(200);
        const piece = Buffer.alloc(1_000_000);
        while (response.write(piece) || (await response.drained()));
        seen.push("gone");
      }
      assert.equal(response.send(200), false);
      assert.equal(await response.drained(), false);
    });
    const reader = served.ask(`POST /read HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\nhel`);
    await trial.until(() => served.connections.length === 1, "it is accepted");
    await trial.settle();
    reader.abort();
    await trial.until(() => seen.length === 2, "the reader is told");
    assert.deepEqual(new Set(seen.splice(0)), new Set(["ERR_EM_CLOSED", "aborted"]));
    const writer = served.ask(get("/"));
    await trial.until(() => writer.bytes > 0, "it has begun");
    writer.abort();
    await trial.until(() => seen.length === 2, "the writer is told");
    assert.deepEqual(new Set(seen), new Set(["aborted", "gone"]));
    await trial.settle();
    assert.deepEqual(
      served.connections.map(({ errors }) => errors),
      [[], []],
    );
  });

  engine.rule("a paused connection gives no requests", async (trial) => {
    let asked = 0;
    const served = await serveHttp(trial, (_request, response, connection) => {
      asked++;
      connection.pause();
      response.send(200);
    });
    const client = served.ask(get("/1") + get("/2") + get("/3"));
    for (const count of [1, 2, 3]) {
      await trial.until(() => asked === count, `request ${count}`);
      await trial.settle();
      assert.equal(asked, count);
      assert.equal(served.connections[0]?.isPaused, true);
      served.connections[0]?.resume();
    }
    await answers(trial, client, 3);
    client.closeConnection();
  });

  engine.ruleOnStreams("a drain closes what is idle at once, and the others with their response", async (trial) => {
    const waiting: HttpResponse[] = [];
    const served = await serveHttp(trial, (request, response) => {
      if (request.target === "/wait") waiting.push(response);
      else response.send(200);
    });
    const idle = served.ask(get("/"));
    await answers(trial, idle, 1);
    const busy = served.ask(get("/wait"));
    await trial.until(() => waiting.length === 1, "it is under way");
    const drained = trial.reactor.drain({ deadline: 10_000 });
    await trial.allUnbound(idle);
    assert.equal(busy.state, "open");
    waiting[0]?.send(200, {}, "done");
    await trial.allUnbound(busy);
    assert.equal(responses(busy.text)?.[0]?.fields.get("connection"), "close");
    assert.deepEqual(await drained, { finished: 4, aborted: 0 });
  });

  engine.rule(
    "what fails while nobody observes it is reported to the connection, and is no unhandled rejection",
    async (trial) => {
      const unhandled: unknown[] = [];
      const note = (error: unknown) => unhandled.push(error);
      process.on("unhandledRejection", note);
      try {
        const served = await serveHttp(trial, (request) => {
          void (request.target === "/bytes"
            ? request.bytes(1)
            : request.target === "/text"
              ? request.text(1)
              : request.json());
        });
        const codes = (at: number) => served.connections[at]?.errors.map((error) => (error as { code?: string }).code);
        for (const [at, target] of ["/bytes", "/text"].entries()) {
          const client = served.ask(post("hello").replace("/ ", `${target} `));
          await trial.until(() => (codes(at)?.length ?? 0) > 0, `${target} is reported`);
          assert.deepEqual(codes(at), ["ERR_EM_HTTP_BODY_TOO_LARGE"]);
          client.closeConnection();
        }
        const gone = served.ask(post("hello", "").slice(0, -2));
        await trial.until(() => served.connections.length === 3, "it is accepted");
        await trial.settle();
        gone.abort();
        await trial.until(() => served.connections[2]?.reasons.length === 1, "it has ended");
        await trial.settle();
        assert.deepEqual(codes(2), [], "that the connection has ended is its unbind's to say");
        assert.deepEqual(unhandled, []);
      } finally {
        process.off("unhandledRejection", note);
      }
    },
  );

  engine.rule("what waits behind a response that is not ready has one limit for the connection", async (trial) => {
    let first: HttpResponse | undefined;
    const served = await serveHttp(trial, (request, response) => {
      if (request.target === "/first") first = response;
      else response.send(200, {}, Buffer.alloc(4_000_000));
    });
    const fits = served.ask(get("/first") + get("/").repeat(3));
    await trial.until(() => first !== undefined, "they have come");
    first?.send(200);
    const seen = await answers(trial, fits, 4);
    assert.deepEqual(
      seen.map(({ body }) => body.length),
      [0, 4_000_000, 4_000_000, 4_000_000],
    );
    fits.closeConnection();
    const passes = served.ask(get("/first") + get("/").repeat(8));
    await trial.allUnbound(passes);
    assert.equal(passes.text, "");
  });
});
