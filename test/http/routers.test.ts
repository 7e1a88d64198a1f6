import assert from "node:assert/strict";
import { test } from "node:test";
import { Reactor } from "eventmachine";
import { type FetchTarget, installGlobals, Response as Ours, serveHttp } from "eventmachine/http";
import { H3, readBody } from "h3";
import { Hono } from "hono";
import { logger } from "hono/logger";
import { AutoRouter } from "itty-router";
import { within } from "../support/wait.js";

/** Routers of others, unmodified, over `serveHttp`; the client is Node's own. */
const ROUTERS: Record<string, () => FetchTarget> = {
  hono() {
    const app = new Hono();
    app.use(logger(() => {}));
    app.get("/hello/:name", (c) =>
      c.text(`hello ${c.req.param("name")} ${c.req.header("x-test")}`, 200, { "x-from": "hono" }),
    );
    app.post("/json", async (c) => c.json({ got: await c.req.json() }));
    app.get("/headers", (c) => c.json(Object.keys(c.req.header()).includes("x-test")));
    app.get("/fail", () => {
      throw new Error("hono answers this itself");
    });
    app.onError((error, c) => c.text(error.message, 500));
    return app as FetchTarget;
  },
  h3() {
    const app = new H3();
    app.get("/hello/:name", (event) => {
      event.res.headers.set("x-from", "h3");
      return `hello ${event.context.params?.name} ${event.req.headers.get("x-test")}`;
    });
    app.post("/json", async (event) => ({ got: await readBody(event) }));
    app.get("/headers", (event) => [...event.req.headers.keys()].includes("x-test"));
    app.get("/fail", () => new Response("hono answers this itself", { status: 500 }));
    return app as unknown as FetchTarget;
  },
  "itty-router"() {
    const router = AutoRouter();
    router.get("/hello/:name", (request) => {
      const text = `hello ${request.params.name} ${request.headers.get("x-test")}`;
      return new Response(text, { headers: { "x-from": "itty-router" } });
    });
    router.post("/json", async (request) => ({ got: await request.json() }));
    router.get("/headers", (request) => [...request.headers.keys()].includes("x-test"));
    router.get("/fail", () => new Response("hono answers this itself", { status: 500 }));
    return router as unknown as FetchTarget;
  },
};

for (const engine of ["native", "portable"] as const) {
  for (const globals of [false, true]) {
    for (const [name, make] of Object.entries(ROUTERS)) {
      test(`${name} on ${engine}${globals ? ", with our globals" : ""}`, { timeout: 60_000 }, async () => {
        const restore = globals ? installGlobals() : () => {};
        const reactor = new Reactor({ engine });
        const target = make();
        try {
          await reactor.run(async () => {
            const { port } = await serveHttp({ host: "127.0.0.1", port: 0 }, target, { reactor });
            const ask = (path: string, init?: RequestInit) =>
              within(fetch(`http://127.0.0.1:${port}${path}`, { headers: { "x-test": "yes" }, ...init }), path);
            const hello = await ask("/hello/world");
            assert.equal(await hello.text(), "hello world yes");
            assert.equal(hello.headers.get("x-from"), name);
            assert.equal(await (await ask("/headers")).text(), "true");
            const json = await ask("/json", {
              method: "POST",
              body: '{"a":[1,2]}',
              headers: { "content-type": "application/json" },
            });
            assert.deepEqual(await json.json(), { got: { a: [1, 2] } });
            const failed = await ask("/fail");
            assert.equal(failed.status, 500);
            assert.equal(await failed.text(), "hono answers this itself");
            assert.equal((await ask("/nowhere")).status, 404);
            reactor.stop();
          });
        } finally {
          restore();
        }
      });
    }
  }
}

test("both classes of Response are instances of either", () => {
  const Node = globalThis.Response;
  assert.ok(new Ours("a") instanceof Node);
  assert.ok(new Node("a") instanceof Ours);
  const restore = installGlobals();
  try {
    assert.ok(new Response("a") instanceof Node);
    assert.equal(globalThis.Response, Ours);
  } finally {
    restore();
  }
  assert.equal(globalThis.Response, Node);
});

test("ours does what the platform's does", async () => {
  const Node = globalThis.Response;
  for (const make of [
    () => ["text"],
    () => ["text", { status: 404, headers: { "X-A": "b" } }],
    () => [
      Buffer.from("bytes"),
      {
        headers: [
          ["a", "1"],
          ["a", "2"],
        ],
      },
    ],
    () => [null, { status: 204 }],
    () => [],
    () => [new URLSearchParams("a=b")],
    () => ["text", { statusText: "Fine" }],
    () => ["grüße €", { headers: new Headers({ "content-type": "text/html" }) }],
  ] as (() => [string?, ResponseInit?])[]) {
    const ours = new Ours(...make());
    const theirs = new Node(...make());
    const look = async (response: Response) => ({
      status: response.status,
      ok: response.ok,
      statusText: response.statusText,
      type: response.type,
      headers: [...response.headers],
      used: response.bodyUsed,
      empty: response.body === null,
      text: await response.clone().text(),
      again: await response.text(),
      usedNow: response.bodyUsed,
    });
    assert.deepEqual(await look(ours), await look(theirs));
  }
  for (const wrong of [
    ["x", { status: 204 }],
    ["x", { status: 99 }],
    ["x", { status: 1000 }],
    ["x", { headers: { "a b": "c" } }],
  ] as [string, ResponseInit][]) {
    assert.throws(
      () => new Ours(...wrong).headers,
      (error) => error instanceof RangeError || error instanceof TypeError,
    );
  }
});
