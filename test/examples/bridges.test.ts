import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { makeCertificate, temporaryFolder } from "../interop/servers/program.js";
import { onEveryEngine, Peer } from "./example.js";

for (const [name, line] of [
  ["http", "200 hello world"],
  ["http2", "hello world"],
  ["ws", "you said hello"],
  ["mqtt", "greetings: hello"],
  ["mail", "mail for b@example.com"],
] as const) {
  onEveryEngine(`bridges/${name} speaks with itself`, async ({ start }) => {
    const example = start(`bridges/${name}`);
    await example.ended();
    assert.deepEqual(example.output, [line]);
  });
}

onEveryEngine("bridges/tls speaks with itself", async ({ start, context }) => {
  const folder = temporaryFolder("tls");
  context.after(() => folder.remove());
  const { cert, key } = makeCertificate(folder.path);
  const example = start("bridges/tls", cert, key);
  await example.ended();
  assert.deepEqual(example.output, ["TLSv1.3: hello over TLS"]);
});

onEveryEngine("bridges/undici asks a server", async ({ start, context }) => {
  const server = createServer((request, response) => response.end(`you asked for ${request.url}`));
  server.listen(0, "127.0.0.1");
  context.after(() => server.close());
  await once(server, "listening");
  const example = start("bridges/undici", `127.0.0.1:${(server.address() as AddressInfo).port}`, "/this");
  await example.ended();
  assert.deepEqual(example.output, ["200 you asked for /this"]);
});

onEveryEngine("log_filter answers the lines with the word, and hangs up", async ({ start }) => {
  const filter = start("log_filter", "error", "127.0.0.1:0");
  const place = await filter.place();
  const peer = await Peer.to(place);
  peer.send("all is well\nan error\nno\nerrors\nquit\nerror behind it\n");
  assert.equal((await peer.rest()).toString(), "an error\nerrors\n");
  const endless = await Peer.to(place);
  endless.send("x".repeat(20_000));
  await endless.rest();
  await filter.complaint(/ERR_EM_LINE_TOO_LONG|line/i);
  filter.signal("SIGTERM");
  await filter.ended();
});
