import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { onEveryEngine, Peer } from "./example.js";

function temporaryFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "em-examples-"));
  context.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

onEveryEngine("echo_server sends back what comes in, and drains at SIGTERM", async ({ start }) => {
  const echo = start("echo_server", "127.0.0.1:0");
  const place = await echo.place();
  const peer = await Peer.to(place);
  await peer.send("hello").hears("hello");
  const much = randomBytes(4 * 1024 * 1024);
  peer.send(much);
  peer.socket.end();
  assert.ok((await peer.rest()).equals(much));
  const idle = await Peer.to(place);
  await idle.send("here").hears("here");
  echo.signal("SIGTERM");
  await idle.rest();
  await echo.ended();
});

onEveryEngine("line_chat tells everybody else", async ({ start }) => {
  const chat = start("line_chat", "127.0.0.1:0");
  const place = await chat.place();
  const ada = await Peer.to(place);
  await ada.hears("your name?\n");
  // The second guest's own line waits for the name, which shows that the first one is in.
  ada.send("ada\n");
  const bob = await Peer.to(place);
  await bob.send("bob\r\n").hears("your name?\n");
  await ada.hears("bob came in\n");
  await ada.send("hello\n").socket.write("you\n");
  await bob.hears("ada: hello\nada: you\n");
  bob.send("/quit\n");
  await bob.rest();
  await ada.hears("bob left\n");
  ada.send(`${"x".repeat(2_000)}\n`);
  await ada.rest();
  await chat.complaint(/ERR_EM_LINE_TOO_LONG/);
});

onEveryEngine("http_hello answers requests with and without bodies", async ({ start }) => {
  const server = start("http_hello", "127.0.0.1:0");
  const place = await server.place();
  const { port } = place as { port: number };

  const first = await fetch(`http://127.0.0.1:${port}/world`);
  assert.equal(await first.text(), "hello world, you sent GET and 0 bytes\n");
  const body = "x".repeat(100_000);
  const second = await fetch(`http://127.0.0.1:${port}/d%C3%BC`, { method: "POST", body });
  assert.equal(await second.text(), "hello dü, you sent POST and 100000 bytes\n");

  const pipelined = await Peer.to(place);
  pipelined.send("GET /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\ncontent-length: 3\r\n\r\nabcGET /3 HTTP/1.0\r\n\r\n");
  const answers = (await pipelined.rest()).toString();
  assert.deepEqual(answers.match(/^hello.*$/gm), [
    "hello 1, you sent GET and 0 bytes",
    "hello 2, you sent POST and 3 bytes",
    "hello 3, you sent GET and 0 bytes",
  ]);

  const refusals = [
    ["GET / HTTP/1.1\r\nno colon\r\n\r\n", "400"],
    ["GET /%ff HTTP/1.1\r\n\r\n", "400"],
    [`GET /${"x".repeat(9_000)}`, "400"],
    ["POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "411"],
    ["POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", "413"],
  ] as const;
  for (const [request, status] of refusals) {
    const peer = await Peer.to(place);
    assert.match(
      (await peer.send(request).rest()).toString(),
      new RegExp(`^HTTP/1.1 ${status} `),
      request.slice(0, 40),
    );
  }
  server.signal("SIGTERM");
  await server.ended();
});

onEveryEngine("file_server serves a folder and nothing beside it", async ({ start, context }) => {
  const folder = temporaryFolder(context);
  const content = randomBytes(3 * 1024 * 1024);
  writeFileSync(join(folder, "three megabytes"), content);
  writeFileSync(join(folder, "empty"), "");
  symlinkSync("/etc/hostname", join(folder, "outside"));
  const server = start("file_server", "127.0.0.1:0", folder);
  const { port } = (await server.place()) as { port: number };
  const base = `http://127.0.0.1:${port}`;

  const whole = await fetch(`${base}/three%20megabytes`);
  assert.ok(Buffer.from(await whole.arrayBuffer()).equals(content));
  await server.line(/^sent \/three%20megabytes: 3145728 bytes$/);
  assert.equal(await (await fetch(`${base}/empty`)).text(), "");
  for (const missing of ["nothing", "outside", "%2e%2e/%2e%2e/etc/hostname", "", "%00", "%ff"]) {
    const response = await fetch(`${base}/${missing}`);
    assert.equal(response.status, 404, missing);
    await response.arrayBuffer();
  }
});

onEveryEngine("unix_server greets its own user alone", async ({ start, context, has }) => {
  const path = join(temporaryFolder(context), "greeter.sock");
  const server = start("unix_server", path);
  const place = await server.place();
  assert.deepEqual(place, { host: "127.0.0.1", path });
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const greeting = (await (await Peer.to({ path })).rest()).toString();
  const expected = has("peerCredentials")
    ? `hello, process ${process.pid} of user ${process.getuid?.()}\n`
    : "hello, whoever you are\n";
  assert.equal(greeting, expected);
  server.signal("SIGTERM");
  await server.ended();
  assert.ok(!existsSync(path), "the socket file is gone");
});

onEveryEngine("deadlines ends a silent, a quiet and an old connection", async ({ start }) => {
  const server = start("deadlines", "127.0.0.1:0", 0.05);
  const place = await server.place();
  await (await Peer.to(place)).rest();
  await server.line(/^#\d+ ended: the connection's first-byte deadline of 100 ms passed$/);
  await (await Peer.to(place)).send("word").rest();
  await server.line(/^#\d+ ended: the connection's read deadline of 250 ms passed$/);
  await (await Peer.to(place)).send("wait").rest();
  await server.line(/^#\d+ ended: the connection's lifetime deadline of 1000 ms passed$/);
});

onEveryEngine("graceful_drain finishes what is under way", async ({ start }) => {
  const server = start("graceful_drain", "127.0.0.1:0", 300);
  const place = await server.place();
  const peer = await Peer.to(place);
  await peer.send("work").hears("done\n");
  const bystander = await Peer.to(place);
  await bystander.send("work").hears("done\n");
  await peer.send("work").hears("working\n");
  server.signal("SIGTERM");
  assert.equal((await bystander.rest()).toString(), "");
  assert.equal((await peer.rest()).toString(), "done\n");
  assert.equal(await server.line(/finished/), "2 finished, 0 cut off");
  await server.line(/^stopping$/);
  await server.ended();
});

onEveryEngine("graceful_drain cuts off what does not finish in time", async ({ start }) => {
  const server = start("graceful_drain", "127.0.0.1:0", 600_000, 100);
  const peer = await Peer.to(await server.place());
  await peer.send("work").hears("working\n");
  server.signal("SIGTERM");
  await peer.rest();
  assert.equal(await server.line(/finished/), "0 finished, 1 cut off");
  await server.ended();
});

onEveryEngine("workers share a port, or say why they cannot", async ({ start, has }) => {
  const server = start("workers", 0, 2);
  if (!has("reusePort")) {
    await server.ended(1);
    assert.match(server.errors, /ERR_EM_UNSUPPORTED/);
    return;
  }
  const place = await server.place();
  const answers = new Set<string>();
  // The kernel spreads by a hash of the addresses: with two listeners 40 peers miss one of them once in 10^12.
  for (let n = 0; n < 40; n++) answers.add((await (await Peer.to(place)).rest()).toString());
  assert.equal(answers.size, 2);
  for (const answer of answers) assert.match(answer, /^thread \d+\n$/);
  server.signal("SIGTERM");
  await server.ended();
});
